"""worker.toml and the environment: what is read, where it comes from, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from contentworker import config
from contentworker.config import ROOT, SettingValue, describe, load
from contentworker.errors import ConfigError

GOOD = (ROOT / "worker.toml").read_text("utf-8")
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
    assert len(GOOD.splitlines()) < 60


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            SMALL + "[limits]\nsoft = 3\n",
            "worker.toml: limits.soft: unknown key; allowed here: soft_time_limit_seconds, "
            "hard_time_limit_seconds, max_tasks_per_child",
            id="unknown-key",
        ),
        pytest.param(
            SMALL + "[limit]\nsoft = 3\n",
            "worker.toml: limit: unknown key; allowed here: python, broker, results, default_queue, queues, "
            "retries, limits, reload, flower",
            id="unknown-section",
        ),
        pytest.param(
            SMALL + "threads = 3\n",
            "worker.toml: queues.celery.threads: unknown key; allowed here: description, tasks, concurrency, "
            "pool, prefetch_multiplier, log_level",
            id="unknown-key-of-a-queue",
        ),
        pytest.param(
            SMALL + 'concurrency = "4"\n',
            "worker.toml: queues.celery.concurrency: input should be a valid integer, not '4'",
            id="text-for-a-number",
        ),
        pytest.param(
            SMALL + "concurrency = true\n",
            "worker.toml: queues.celery.concurrency: input should be a valid integer, not True",
            id="bool-for-a-number",
        ),
        pytest.param(
            SMALL + "concurrency = 4.0\n",
            "worker.toml: queues.celery.concurrency: input should be a valid integer, not 4.0",
            id="float-for-a-count",
        ),
        pytest.param(
            SMALL + "[retries]\njitter_seconds = true\n",
            "worker.toml: retries.jitter_seconds: input should be a valid number, not True",
            id="bool-for-seconds",
        ),
        pytest.param(
            SMALL + "concurrency = 0\n",
            "worker.toml: queues.celery.concurrency: input should be greater than or equal to 1, not 0",
            id="too-small",
        ),
        pytest.param(
            SMALL + "[retries]\nmultiplier = inf\n",
            "worker.toml: retries.multiplier: ",
            id="infinite",
        ),
        pytest.param(
            SMALL + 'pool = "gevent"\n',
            "worker.toml: queues.celery.pool: input should be 'prefork', 'solo' or 'threads', not 'gevent'",
            id="not-one-of-the-allowed",
        ),
        pytest.param(
            SMALL + 'tasks = "a.*"\n',
            "worker.toml: queues.celery.tasks: input should be a valid array, not 'a.*'",
            id="text-for-an-array",
        ),
        pytest.param(
            SMALL + 'tasks = ["a b"]\n',
            "worker.toml: queues.celery.tasks.0: string should match pattern",
            id="no-task-pattern",
        ),
        pytest.param(
            SMALL + "[retries]\njitter_seconds = 2026-01-01\n",
            "worker.toml: retries.jitter_seconds: input should be a valid number, not '2026-01-01'",
            id="date-for-a-number",
        ),
        pytest.param("queues = 3\n", "worker.toml: queues: ", id="number-for-a-section"),
        pytest.param("", "worker.toml: queues: is required", id="no-queues"),
        pytest.param("[queues]\n", "worker.toml: queues: ", id="empty-queues"),
        pytest.param(
            "[queues.celery]\n", "worker.toml: queues.celery.description: is required", id="missing-key"
        ),
        pytest.param(
            '[queues."a b"]\ndescription = "x"\n' + SMALL,
            "worker.toml: queues.a b: string should match pattern",
            id="bad-queue-name",
        ),
        pytest.param(
            SMALL + "[limits]\nsoft_time_limit_seconds = 300\n",
            "worker.toml: limits: soft_time_limit_seconds must be less than hard_time_limit_seconds",
            id="soft-equals-hard",
        ),
        pytest.param(
            SMALL + "[limits]\nsoft_time_limit_seconds = 400\n",
            "worker.toml: limits: soft_time_limit_seconds must be less than hard_time_limit_seconds",
            id="soft-above-hard",
        ),
        pytest.param(
            SMALL + "[retries]\ninitial_delay_seconds = 601\n",
            "worker.toml: retries: initial_delay_seconds must not exceed max_delay_seconds",
            id="initial-above-max",
        ),
        pytest.param(
            SMALL + "[broker]\nvisibility_timeout_seconds = 300\n",
            "worker.toml: broker.visibility_timeout_seconds must exceed limits.hard_time_limit_seconds and "
            "retries.max_delay_seconds + retries.jitter_seconds (more than 630)",
            id="visibility-below-limits",
        ),
        pytest.param(
            SMALL + 'tasks = ["a.b"]\n[queues.other]\ndescription = "x"\ntasks = ["a.b"]\n',
            "worker.toml: queues.other.tasks: 'a.b' is already in queue 'celery'",
            id="one-pattern-in-two-queues",
        ),
        pytest.param(
            '[queues.other]\ndescription = "x"\n',
            "worker.toml: default_queue must be one of other",
            id="no-default-queue",
        ),
        pytest.param(
            SMALL + SMALL,
            "worker.toml: queues.celery: declared twice (at line",
            id="queue-name-twice",
        ),
        pytest.param("[queues\n", "worker.toml: is not valid TOML: ", id="no-toml"),
        pytest.param("a = 1\na = 2\n", "worker.toml: is not valid TOML: ", id="key-twice"),
    ],
)
def test_wrong_file_is_one_line_that_says_what_is_allowed(write: WriteFile, text: str, message: str) -> None:
    """File, key, what is allowed, what came instead: in one line."""
    with pytest.raises(ConfigError) as caught:
        load(write(text), {})
    (line,) = str(caught.value).splitlines()
    assert line.startswith(message)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_all_problems_are_said_at_once(write: WriteFile) -> None:
    """One error has a line for each problem, wherever it comes from."""
    path = write(SMALL + "concurrency = 0\n[limits]\nsoft = 1\n[flower]\nport = 70000\n")
    with pytest.raises(ConfigError) as caught:
        load(path, {"WORKER__RETRIES__MULTIPLIER": "0.5"})
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["worker.toml", "queues.celery.concurrency"],
        ["WORKER__RETRIES__MULTIPLIER", "retries.multiplier"],
        ["worker.toml", "limits.soft"],
        ["worker.toml", "flower.port"],
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
    """The same file saved on Windows is the same configuration."""
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
            {"WORKER__QUEUES__CELERY__DESCRIPTION": "x\nother = 1"},
            "queues.celery.description",
            "x\nother = 1",
            id="text-of-two-lines",
        ),
        pytest.param(
            {"WORKER__QUEUES__CELERY__DESCRIPTION": '"8"'}, "queues.celery.description", "8", id="quoted-text"
        ),
        pytest.param({"WORKER__FLOWER__PORT": "5556"}, "flower.port", 5556, id="section-in-neither-file"),
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
    ("environ", "message"),
    [
        pytest.param(
            {"WORKER__LIMITS__MAX_TASKS_PER_CHILD": "many"},
            "WORKER__LIMITS__MAX_TASKS_PER_CHILD: limits.max_tasks_per_child: input should be a valid "
            "integer, not 'many'",
            id="wrong-type",
        ),
        pytest.param(
            {"WORKER__LIMITS__MAX_TASKS_PER_CHILD": ""},
            "WORKER__LIMITS__MAX_TASKS_PER_CHILD: limits.max_tasks_per_child: input should be a valid "
            "integer, not ''",
            id="empty",
        ),
        pytest.param(
            {"WORKER__LIMITS__SOFT": "3"},
            "WORKER__LIMITS__SOFT: limits.soft: unknown key; allowed here: soft_time_limit_seconds,",
            id="unknown-key",
        ),
        pytest.param(
            {"WORKER__NO_SUCH__KEY": "3"},
            "WORKER__NO_SUCH__KEY: no_such: unknown key; allowed here: python, broker, ",
            id="unknown-section",
        ),
        pytest.param(
            {"WORKER__FLOWER__PORT__DEEPER": "3"},
            "WORKER__FLOWER__PORT__DEEPER: flower.port: ",
            id="key-of-a-default-value",
        ),
        pytest.param(
            {"WORKER__QUEUES__CELERY__DESCRIPTION__DEEPER": "3"},
            "WORKER__QUEUES__CELERY__DESCRIPTION__DEEPER: queues.celery.description is a value, not a "
            "section",
            id="key-of-a-value",
        ),
        pytest.param({"WORKER__LIMITS": "3"}, "WORKER__LIMITS: limits: ", id="value-for-a-section"),
        pytest.param({"WORKER__": "3"}, "WORKER__: must have the form WORKER__SECTION__KEY", id="no-name"),
        pytest.param(
            {"WORKER__LIMITS__": "3"},
            "WORKER__LIMITS__: must have the form WORKER__SECTION__KEY",
            id="no-key",
        ),
        pytest.param(
            {"WORKER__DEFAULT_QUEUE": "celer"},
            "worker.toml, WORKER__DEFAULT_QUEUE: default_queue must be one of celery",
            id="default-queue-misspelt",
        ),
        pytest.param(
            {"WORKER__QUEUES__CELERY__TASKS": '["ok.*", 3]'},
            "WORKER__QUEUES__CELERY__TASKS: queues.celery.tasks.1: input should be a valid string, not 3",
            id="wrong-element",
        ),
    ],
)
def test_wrong_environment_names_the_variable(
    write: WriteFile, environ: dict[str, str], message: str
) -> None:
    """What is wrong in the environment is said of the variable, not of the file."""
    with pytest.raises(ConfigError) as caught:
        load(write(SMALL), environ)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(message)


def test_other_variables_are_left_alone(write: WriteFile) -> None:
    """Only WORKER__ is ours."""
    assert load(write(SMALL), {"WORKER_LIMITS": "3", "XWORKER__A__B": "1"}) == load(write(SMALL), {})


def test_origins(write: WriteFile) -> None:
    """Each setting says where it comes from: the default, the file, or the variable."""
    path = write(SMALL + "[retries]\nmultiplier = 3\n")
    environ = {"WORKER__FLOWER__PORT": "1"}
    assert found("retries.multiplier", path, environ).origin == "worker.toml"
    assert found("retries.jitter_seconds", path, environ).origin == "default"
    assert found("flower.port", path, environ).origin == "WORKER__FLOWER__PORT"


def test_description_has_every_setting(write: WriteFile) -> None:
    """No setting is left out, none comes twice."""
    path = write(GOOD)
    keys = [item.key for item in describe(path, {})]
    assert len(keys) == len(set(keys)) == leaves(load(path, {}))


def test_settings_are_frozen(write: WriteFile) -> None:
    """Nobody changes the configuration of others."""
    settings = load(write(SMALL), {})
    with pytest.raises(ValidationError, match="frozen"):
        settings.limits.max_tasks_per_child = 3  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        settings.queues["celery"].concurrency = 3  # type: ignore[misc]


def test_values_travel_as_json(write: WriteFile) -> None:
    """Every value of the description can be printed as JSON."""
    for item in describe(write(GOOD), {}):
        json.dumps(item.value)


def test_environment_prefix_is_the_documented_one() -> None:
    """Scripts and units rely on it."""
    assert config.ENVIRONMENT_PREFIX == "WORKER__"
