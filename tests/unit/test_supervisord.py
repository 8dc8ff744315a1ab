"""supervisord.conf says what the units say."""

from configparser import RawConfigParser

import pytest

from contentworker import config
from contentworker.runtime import units
from tests.support import ROOT

SETTINGS = config.load(environ={})
RENDERED = units.render(SETTINGS, ROOT / "systemd" / "templates")


def parsed(*names: str) -> RawConfigParser:
    """The sections of these files together."""
    parser = RawConfigParser()
    for name in names:
        parser.read_string(RENDERED[name])
    return parser


PROGRAMS = parsed("supervisord.conf", "supervisord-redis.conf")


def unit(name: str, queue: str = "") -> dict[str, str]:
    """The settings of a unit; the last, where one is given several times."""
    lines = [line.partition("=") for line in RENDERED[name].splitlines() if line[:1].isalpha()]
    return {key: value.replace("%i", queue) for key, _, value in lines}


@pytest.mark.parametrize("queue", SETTINGS.queues)
def test_worker(queue: str) -> None:
    """Each queue's program has the command, folder and account, the watchdog and the times of its unit."""
    program, same = PROGRAMS[f"program:{queue}"], unit("celery-worker@.service", queue)
    assert program["command"] == same["ExecStart"]
    assert program["directory"] == same["WorkingDirectory"]
    assert program["user"] == same["User"]
    assert program["stopwaitsecs"] == same["TimeoutStopSec"]
    assert (program["stopsignal"], program["stopasgroup"]) == ("TERM", "false")
    assert f'WORKER_WATCHDOG_SECONDS="{same["WatchdogSec"]}"' in program["environment"]


def test_redis() -> None:
    """So has Redis, where the credential is a file of its own."""
    program, same = PROGRAMS["program:celery-redis"], unit("celery-redis.service")
    folder = "/etc/content-worker/credentials"
    assert program["command"] == same["ExecStart"].replace("${CREDENTIALS_DIRECTORY}", folder)
    assert program["user"] == same["User"]
    assert program["stopwaitsecs"] == same["TimeoutStopSec"]


@pytest.mark.parametrize("name", ["celery-beat", "celery-flower"])
def test_others(name: str) -> None:
    """And those that are there once."""
    program, same = PROGRAMS[f"program:{name}"], unit(f"{name}.service")
    assert program["command"] == same["ExecStart"]
    assert program["user"] == same["User"]


def test_no_program_is_given_up() -> None:
    """Every program is started again for ever, and no queue has one that is not in the group."""
    programs = [PROGRAMS[name] for name in PROGRAMS.sections() if name.startswith("program:")]
    assert len(programs) == len(SETTINGS.queues) + 5
    for program in programs:
        assert program["autorestart"] == "true"
        assert program.getint("startretries") >= 1_000_000_000
    assert PROGRAMS["group:celery-worker"]["programs"].split(",") == [*SETTINGS.queues]
