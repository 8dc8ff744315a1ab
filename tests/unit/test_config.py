"""worker.toml and the environment: what is read, where it comes from, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from contentworker.config import SettingValue, describe, load
from contentworker.errors import ConfigError
from tests.support import WORKER_TOML

GOOD = WORKER_TOML.read_text("utf-8")
SMALL = '[queues.celery]\ndescription = "all"\n'
WriteFile = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> WriteFile:
    """Write a worker.toml."""

    def write_one(text: str) -> Path:
        path = tmp_path / "worker.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_one


def found(key: str, path: Path, environ: dict[str, str]) -> SettingValue:
    (value,) = [item for item in describe(path, environ) if item.key == key]
    return value


def leaves(node: BaseModel | dict[str, Any]) -> int:
    values = list((node if isinstance(node, dict) else dict(node)).values())
    return sum(leaves(value) if isinstance(value, BaseModel | dict) else 1 for value in values)


def test_project_file_is_good_and_short() -> None:
    """worker.toml loads, and says no more than differs from the defaults."""
    settings = load(environ={})
    assert set(settings.queues) >= {"evaluation", "rewrite", "escalation", "celery"}
    assert len(GOOD.splitlines()) < 65


def test_project_file_is_the_documented_configuration() -> None:
    """The numbers of the reference document."""
    settings = load(environ={})
    documented = {"evaluation": 4, "rewrite": 2, "escalation": 2, "celery": 4}
    assert {name: settings.queues[name].concurrency for name in documented} == documented
    assert (settings.limits.soft_time_limit_seconds, settings.limits.hard_time_limit_seconds) == (270, 300)
    assert settings.limits.max_tasks_per_child == 1000
    retries = settings.retries
    assert (retries.initial_delay_seconds, retries.multiplier, retries.max_delay_seconds) == (60, 2, 600)
    assert (
        retries.base_max_retries,
        retries.idempotent_max_retries,
        retries.critical_max_retries,
    ) == (3, 5, 0)
    assert (settings.flower.address, settings.flower.port) == ("127.0.0.1", 5555)


def test_own_configuration_is_read_once() -> None:
    """Every part of one process sees the same settings."""
    assert load() is load()


def test_all_problems_are_said_at_once(write: WriteFile) -> None:
    """One error has a line for each problem, wherever it comes from."""
    path = write(SMALL + "concurrency = 0\n[limits]\nsoft = 1\n[flower]\nport = 70000\n")
    with pytest.raises(ConfigError) as caught:
        load(path, {"WORKER__RETRIES__MULTIPLIER": "0.5"})
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["worker.toml:3", "queues.celery.concurrency"],
        ["WORKER__RETRIES__MULTIPLIER", "retries.multiplier"],
        ["worker.toml:5", "limits.soft"],
        ["worker.toml:7", "flower.port"],
    ]


def test_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file is named with its folder."""
    path = tmp_path / "worker.toml"
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert str(caught.value) == f"worker.toml: cannot be read: No such file or directory ({path})"


def test_folder_in_place_of_the_file(tmp_path: Path) -> None:
    """A folder is no configuration."""
    with pytest.raises(ConfigError, match=r": cannot be read: Is a directory"):
        load(tmp_path, {})


@pytest.mark.parametrize(
    ("content", "byte"),
    [pytest.param(b"# caf\xe9\n", 5, id="latin-1"), pytest.param(b"\xff\xfe#\0", 0, id="utf-16")],
)
def test_file_that_is_not_utf8(tmp_path: Path, content: bytes, byte: int) -> None:
    """A file in another encoding is refused, and the place is said."""
    path = tmp_path / "worker.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert str(caught.value) == f"worker.toml: byte {byte} is not UTF-8; the file must be UTF-8"


def test_windows_line_ends_and_comments_are_read(write: WriteFile, tmp_path: Path) -> None:
    """A file that was saved on Windows is the same configuration."""
    path = tmp_path / "crlf.toml"
    path.write_bytes(GOOD.replace("\n", "\r\n").encode())
    assert load(path, {}) == load(write(GOOD), {})


def test_empty_queue_is_allowed(write: WriteFile) -> None:
    """A queue without patterns gets what is sent to it by name."""
    assert load(write(SMALL), {}).queues["celery"].tasks == ()
    assert load(write(SMALL + "tasks = []\n"), {}).queues["celery"].tasks == ()


@pytest.mark.parametrize(
    ("environ", "key", "value"),
    [
        pytest.param({"WORKER__LIMITS__MAX_TASKS_PER_CHILD": "7"}, "limits.max_tasks_per_child", 7, id="int"),
        pytest.param({"WORKER__RETRIES__JITTER_SECONDS": "0.5"}, "retries.jitter_seconds", 0.5, id="float"),
        pytest.param(
            {"WORKER__QUEUES__CELERY__TASKS": '["x.*", "y"]'}, "queues.celery.tasks", ("x.*", "y"), id="array"
        ),
        pytest.param(
            {"WORKER__DEFAULT_QUEUE": "my-own.queue"}, "default_queue", "my-own.queue", id="top-level"
        ),
        pytest.param(
            {"WORKER__QUEUES__MY_OWN_QUEUE__CONCURRENCY": "9"},
            "queues.my-own.queue.concurrency",
            9,
            id="queue-with-dash-and-dot",
        ),
        pytest.param(
            {"WORKER__queues__celery__concurrency": "3"}, "queues.celery.concurrency", 3, id="lower-case"
        ),
        pytest.param(
            {"WORKER__QUEUES__CELERY__LOG_LEVEL": "debug"}, "queues.celery.log_level", "debug", id="bare-text"
        ),
        pytest.param(
            {"WORKER__QUEUES__CELERY__DESCRIPTION": "a = 1 ] ["},
            "queues.celery.description",
            "a = 1 ] [",
            id="text-that-is-no-toml",
        ),
        pytest.param(
            {"WORKER__QUEUES__CELERY__DESCRIPTION": '"8"'}, "queues.celery.description", "8", id="quoted-text"
        ),
        pytest.param({"WORKER__FLOWER__PORT": "5557"}, "flower.port", 5557, id="section-in-neither-file"),
    ],
)
def test_environment_wins(write: WriteFile, environ: dict[str, str], key: str, value: object) -> None:
    """WORKER__SECTION__KEY overrides the file and the default, and is named as the origin."""
    path = write(SMALL + '[queues."my-own.queue"]\ndescription = "dashes"\n')
    assert found(key, path, environ) == (key, value, next(iter(environ)))


def test_environment_can_add_a_queue(write: WriteFile) -> None:
    """A queue that the file has not got can come from the environment."""
    environ = {"WORKER__QUEUES__NIGHT__DESCRIPTION": "slow"}
    assert set(load(write(SMALL), environ).queues) == {"celery", "night"}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("8\nmax_deliveries = 9", id="more-toml"),
        pytest.param("8\n# more", id="comment"),
        pytest.param("8\n", id="line-end"),
        pytest.param("8\r", id="return"),
    ],
)
def test_a_variable_is_one_line(write: WriteFile, text: str) -> None:
    """It cannot smuggle further settings in."""
    with pytest.raises(ConfigError, match=r"^WORKER__FLOWER__PORT: must be one line$"):
        load(write(SMALL), {"WORKER__FLOWER__PORT": text})


def test_a_variable_is_utf8(write: WriteFile) -> None:
    """Python has half surrogates in the place of other bytes, and JSON knows none."""
    with pytest.raises(ConfigError) as caught:
        load(write(SMALL), {"WORKER__SERVICES__USER": "a\udcff"})
    assert str(caught.value) == "WORKER__SERVICES__USER: must be UTF-8"


def test_a_number_of_too_many_digits(write: WriteFile) -> None:
    """Python converts no number of more than 4300."""
    with pytest.raises(ConfigError, match="max_tasks_per_child: must be a whole number"):
        load(write(SMALL), {"WORKER__LIMITS__MAX_TASKS_PER_CHILD": "1" * 5000})


def test_other_variables_are_left_alone(write: WriteFile) -> None:
    """Ours begin with WORKER__, and what is no near miss of one may belong to another program."""
    environ = {"WORKER_LIMITS": "3", "WORKER_NODE": "n", "XWORKER__A__B": "1", "WORKER_ALIVE_FILE": "x"}
    assert load(write(SMALL), environ) == load(write(SMALL), {})


def test_origins(write: WriteFile) -> None:
    """Each setting says where it comes from: the default, the file, or the variable."""
    path = write(SMALL + "[retries]\nmultiplier = 3\n")
    environ = {"WORKER__FLOWER__PORT": "1"}
    assert found("retries.multiplier", path, environ).origin == "worker.toml"
    assert found("retries.jitter_seconds", path, environ).origin == "default"
    assert found("flower.port", path, environ).origin == "WORKER__FLOWER__PORT"


def test_description_has_every_setting(write: WriteFile) -> None:
    """No setting is left out, none comes twice, and each value is the same as JSON."""
    path = write(GOOD)
    items = list(describe(path, {}))
    assert len(items) == len({item.key for item in items}) == leaves(load(path, {}))
    by_key = {item.key: item.value for item in items}
    assert json.loads(json.dumps(by_key))["queues.evaluation.concurrency"] == 4


def test_settings_are_frozen(write: WriteFile) -> None:
    """No part of a process can change the configuration for the others."""
    settings = load(write(SMALL), {})
    with pytest.raises(ValidationError, match="frozen"):
        settings.limits.max_tasks_per_child = 3  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        settings.queues["celery"].concurrency = 3  # type: ignore[misc]


LIMITS = [
    ("flower.port", 1, 0),
    ("flower.port", 65_535, 65_536),
    ("retries.multiplier", 1, 0.99),
    ("retries.jitter_seconds", 0, -0.01),
    ("retries.initial_delay_seconds", 600, 600.01),
    ("limits.soft_time_limit_seconds", 299.99, 300),
    ("limits.max_tasks_per_child", 1, 0),
    ("limits.max_deliveries", 2, 1),
    ("limits.max_message_bytes", 65_536, 65_535),
    ("limits.max_message_bytes", 268_435_456, 268_435_457),
    ("broker.visibility_timeout_seconds", 630.01, 630),
    ("dead_letters.max_number", 1, 0),
    ("spending.cap_per_day", 0, -0.01),
    ("services.backups_kept", 1, 0),
    ("services.watchdog_seconds", 3, 2),
    ("queues.celery.memory_max_mebibytes", 64, 63),
    ("queues.celery.cpu_weight", 10_000, 10_001),
    ("queues.celery.workers", 64, 65),
    ("queues.celery.prefetch_multiplier", 1, 0),
    ("schedules.daily.every_seconds", 1, 0.99),
    ("schedules.daily.every_seconds", 1e9, 1.1e9),
    ("broker.socket_timeout_seconds", 1e9, 1.1e9),
    ("results.expires_seconds", 1, 0.99),
    ("retention.runs_seconds", 1, 0.99),
]


@pytest.mark.parametrize(("key", "allowed", "refused"), LIMITS, ids=str)
def test_bounds_of_numbers(write: WriteFile, key: str, allowed: float, refused: float) -> None:
    """The last value that is allowed, and the first that is not."""
    path = write(SMALL + '[schedules.daily]\ntask = "tasks.x"\nevery_seconds = 60\n')
    variable = f"WORKER__{key.replace('.', '__').upper()}"
    assert found(key, path, {variable: str(allowed)}).value == allowed
    with pytest.raises(ConfigError, match=variable):
        load(path, {variable: str(refused)})
