"""`rediss://`: encrypted, with the certificate checked, and a password."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.servers import MASTER, PASSWORD, SENTINEL_PASSWORD, Server, watched
from tests.support import PATIENCE, StartWorker, run_cli, service_is_missing, wait_until


@dataclass
class Authority:
    """Who signs certificates."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self._openssl("req", "-x509", *self._new_key("ca"), "-days", "2", "-out", "ca.crt")

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.crt"

    def sign(self, name: str) -> tuple[Path, Path]:
        """Certificate and key of a server on 127.0.0.1."""
        (self.folder / "extensions").write_text("subjectAltName=IP:127.0.0.1\n")
        self._openssl("req", *self._new_key(name), "-out", f"{name}.csr")
        self._openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-days", "2", "-extfile", "extensions", "-out", f"{name}.crt"),
        )
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"

    @staticmethod
    def _new_key(name: str) -> list[str]:
        return ["-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key"]

    def _openssl(self, *arguments: str) -> None:
        if not (openssl := shutil.which("openssl")):
            service_is_missing("the openssl command")
        subprocess.run([openssl, *arguments], cwd=self.folder, check=True, capture_output=True)


@dataclass
class Secured:
    """How to configure a server with TLS, and how to connect to it."""

    authority: Authority
    other: Authority
    lines: tuple[str, ...]
    options: dict[str, object]


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Secured:
    """Certificates for the servers of this module, and an authority that signed none of them."""
    folder = tmp_path_factory.mktemp("certificates")
    authority, other = Authority(folder / "ours"), Authority(folder / "other")
    certificate, key = authority.sign("server")
    lines = (
        f"tls-cert-file {certificate}",
        f"tls-key-file {key}",
        f"tls-ca-cert-file {authority.certificate}",
        "tls-auth-clients no",
        "tls-replication yes",
    )
    return Secured(authority, other, lines, {"ssl": True, "ssl_ca_certs": str(authority.certificate)})


@pytest.fixture(scope="module")
def server(secured: Secured, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Redis that speaks TLS only."""
    folder = tmp_path_factory.mktemp("tls") / "redis"
    process = Server(folder, *secured.lines, f'requirepass "{PASSWORD}"', tls=secured.options)
    try:
        wait_until(lambda: not process.is_alive or process.answers(PASSWORD), "the server to answer or end")
        if not process.is_alive:
            says = process.log().splitlines()[-1]
            service_is_missing(f"a Redis server with TLS; {process.command[0]} says: {says}")
        yield process
    finally:
        process.stop()


def address(server: Server, certificates: Path | None, password: str = PASSWORD) -> str:
    issuer = f"?ssl_ca_certs={quote(str(certificates))}" if certificates else ""
    return f"rediss://:{quote(password, safe='')}@127.0.0.1:{server.port}/0{issuer}"


def test_worker_submit_health_and_the_other_commands(
    server: Server, secured: Secured, worker: StartWorker
) -> None:
    """All of them by TLS; no log has the password."""
    url = address(server, secured.authority.certificate)
    serving = worker("--queues=celery", redis_url=url)
    done = run_cli("submit", "tasks.health_check", "--wait", str(PATIENCE), redis_url=url)
    assert json.loads(done.stdout)["status"] == "ok", done.stderr
    done = run_cli("health", "--json", "--queue", "celery", f"--timeout={PATIENCE}", redis_url=url)
    assert [found["status"] for found in json.loads(done.stdout)] == ["ok"]
    assert run_cli("redis", "ping", redis_url=url).stdout == "PONG\n"
    assert run_cli("dead-letters", "list", redis_url=url).stdout == "No dead letters.\n"
    assert PASSWORD not in serving.log()
    assert quote(PASSWORD, safe="") not in serving.log()


@pytest.mark.parametrize("issuer", ["of another", "of the system"])
@pytest.mark.parametrize("command", [["submit", "tasks.health_check"], ["health"], ["redis", "ping"]])
def test_wrong_issuer_is_refused(server: Server, secured: Secured, command: list[str], issuer: str) -> None:
    """No command accepts a certificate that no trusted authority has signed."""
    url = address(server, secured.other.certificate if issuer == "of another" else None)
    done = run_cli(*command, redis_url=url)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "certificate verify failed" in done.stderr
    assert "Traceback" not in done.stderr
    assert quote(PASSWORD, safe="") not in done.stderr


def test_worker_says_that_it_does_not_trust(server: Server, secured: Secured, worker: StartWorker) -> None:
    """It does not serve, and keeps trying, as for a server that is away."""
    waiting = worker("--queues=celery", redis_url=address(server, secured.other.certificate), ready=False)
    waiting.wait_for_log("certificate verify failed")
    waiting.kill()
    assert waiting.wait() == 0
    assert " ready." not in waiting.log()


def test_wrong_password_is_refused(server: Server, secured: Secured) -> None:
    """With Redis's own words."""
    done = run_cli("redis", "ping", redis_url=address(server, secured.authority.certificate, "wrong"))
    assert done.returncode == 3
    assert "invalid username-password pair" in done.stderr


def test_by_way_of_sentinels(server: Server, secured: Secured, worker: StartWorker, tmp_path: Path) -> None:
    """An ssl_ parameter of a sentinel:// address is for the Sentinels and for Redis."""
    more = {"WORKER__BROKER__SENTINEL_MASTER": MASTER, "REDIS_SENTINEL_PASSWORD": SENTINEL_PASSWORD}
    with watched(tmp_path / "servers", *secured.lines, tls=secured.options) as group:
        hosts = ";".join(f"sentinel://127.0.0.1:{each.port}" for each in group.sentinels[1:])
        first = f"sentinel://:{quote(PASSWORD, safe='')}@127.0.0.1:{group.sentinels[0].port}/0"
        url = f"{first}?ssl_ca_certs={quote(str(secured.authority.certificate))};{hosts}"
        worker("--queues=celery", redis_url=url, **more)
        done = run_cli("submit", "tasks.health_check", "--wait", str(PATIENCE), redis_url=url, **more)
        assert json.loads(done.stdout)["status"] == "ok", done.stderr
        assert run_cli("redis", "ping", redis_url=url, **more).stdout == "PONG\n"
