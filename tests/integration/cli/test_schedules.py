"""`content-worker schedules`: list, pause, resume, run."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
import redis

from contentworker import config
from contentworker.runtime.records.schedules import HANDLED, SENT, SINCE, since_field
from contentworker.runtime.worker.schedules import beat_schedule
from tests.support import run_cli

pytestmark = pytest.mark.usefixtures("clean")
BERLIN = {"WORKER__SCHEDULES__PURGE__TIMEZONE": "Europe/Berlin"}
ANA = {"USER": "ana", "LOGNAME": "ana", "SUDO_USER": "ana"}


def test_what_the_list_says(redis_client: redis.Redis, redis_url: str) -> None:
    """Last, next in its zone and in UTC; who paused it; as JSON, too."""
    shown = run_cli("schedules", "list", redis_url=redis_url, **BERLIN)
    assert shown.stdout.splitlines() == [
        "purge  tasks.maintenance.purge, 30 3 * * * Europe/Berlin",
        "       last not known, no beat knows it yet",
    ]
    now = datetime.now(UTC)
    rhythm = beat_schedule(config.load(environ=BERLIN).schedules)["purge"]["schedule"]
    for key, field in ((HANDLED, "purge"), (SENT, "purge"), (SINCE, since_field("purge", rhythm))):
        redis_client.hset(key, field, now.timestamp())
    _, line = run_cli("schedules", "list", redis_url=redis_url, **BERLIN).stdout.splitlines()
    assert re.fullmatch(
        rf" +last {now:%Y-%m-%d %H:%M:%S} UTC, next \S+ 0[12]:30:00 UTC \(\S+ 03:30 Europe/Berlin\)", line
    )
    done = run_cli("schedules", "pause", "purge", redis_url=redis_url, **BERLIN, **ANA)
    assert (done.stdout, done.returncode) == ("purge: paused\n", 0)
    _, line = run_cli("schedules", "list", redis_url=redis_url, **BERLIN).stdout.splitlines()
    assert re.search(r"UTC, paused by \S+, \d\d \w\w\w \d\d:\d\d$", line)
    found = json.loads(run_cli("schedules", "list", "--json", redis_url=redis_url, **BERLIN).stdout)
    assert (found["name"], found["is_paused"], found["next"]) == ("purge", True, None)
    assert datetime.fromisoformat(found["paused_since"]) - now < timedelta(minutes=5)
    done = run_cli("schedules", "resume", "purge", redis_url=redis_url, **BERLIN)
    assert (done.stdout, done.returncode) == ("purge: resumed\n", 0)
    found = json.loads(run_cli("schedules", "list", "--json", redis_url=redis_url, **BERLIN).stdout)
    assert found["next_local"].split("T")[1] in {"03:30:00+01:00", "03:30:00+02:00"}


def test_run_sends_what_beat_would(redis_client: redis.Redis, redis_url: str) -> None:
    """With its arguments, to its queue; also one that is off."""
    off = {"WORKER__SCHEDULES__PURGE__ENABLED": "false", "WORKER__SCHEDULES__PURGE__ARGUMENTS": "{days = 7}"}
    done = run_cli("schedules", "run", "purge", redis_url=redis_url, **off)
    (raw,) = redis_client.lrange("celery", 0, -1)
    assert json.loads(raw)["headers"]["id"] == done.stdout.strip()
    shown = run_cli("schedules", "list", redis_url=redis_url, **off).stdout
    assert re.search(r"last \d{4}-\S+ \S+ UTC, off$", shown, re.MULTILINE)


@pytest.mark.parametrize("verb", ["pause", "resume", "run"])
def test_an_unknown_schedule_is_told_the_names(redis_client: redis.Redis, redis_url: str, verb: str) -> None:
    """It is wrong usage, and nothing is done."""
    done = run_cli("schedules", verb, "purg", redis_url=redis_url)
    assert done.returncode == 2
    assert "no schedule 'purg'; allowed: purge; did you mean purge?" in done.stderr
    assert redis_client.keys() == []
