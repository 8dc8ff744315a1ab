"""A beat that is killed before or after any of its commands: nothing is sent twice, and nothing is missed."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
import redis
from redis.client import Pipeline, Redis

from contentworker import config
from contentworker.runtime.records import schedules
from contentworker.runtime.worker.beat import Scheduler
from contentworker.runtime.worker.reloading import ScheduleFile
from contentworker.runtime.worker.schedules import beat_schedule
from tests.support import client_of

# A scheduler looks up its tasks, and so meets those of every test in this process.
pytestmark = pytest.mark.filterwarnings("ignore::celery.exceptions.DuplicateTaskNameWarning")
HEAD = '[queues.celery]\ndescription = "all"\n'
BEFORE = '[schedules.often]\ntask = "tasks.health_check"\nevery_seconds = 600\n'
AFTER = '[schedules.noon]\ntask = "tasks.maintenance.purge"\ncrontab = "0 12 * * *"\n'


class Killed(BaseException):
    """As of SIGKILL: nothing catches it."""


class Killer:
    """Kills at one of the commands that a scheduler sends, before Redis has it or after."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = -1
        self.is_after = False
        self.seen = 0
        self.has_killed = False
        for owner, name in ((Redis, "execute_command"), (Pipeline, "execute")):
            monkeypatch.setattr(owner, name, self._wrapped(getattr(owner, name)))

    def _wrapped(self, really: object) -> object:
        def call(client: object, *args: object, **options: object) -> object:
            is_its_turn = self.at == self.seen
            self.seen += 1
            self.has_killed |= is_its_turn
            if is_its_turn and not self.is_after:
                raise Killed
            answer = really(client, *args, **options)  # type: ignore[operator]
            if is_its_turn:
                raise Killed
            return answer

        return call


def story(
    server: redis.Redis, url: str, file: Path, killer: Killer, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """What is sent while a schedule is new, due, missed, and gives way to another one."""
    now = datetime(2026, 12, 1, 11, 0, tzinfo=UTC)
    really_read = schedules.read
    monkeypatch.setattr(schedules, "read", lambda client: replace(really_read(client), now=now.timestamp()))
    file.write_text(HEAD + BEFORE)
    with client_of(url) as app:
        app.runtime_settings = config.load(file, {})
        app.conf.beat_schedule = beat_schedule(app.runtime_settings.schedules)
        app.schedule_file = ScheduleFile(file, lambda: config.load(file, {}))
        beat = Scheduler(app)
        for minutes in (0, 10, 15, 40, 55, 60, 60, 61):
            now = datetime(2026, 12, 1, 11, 0, tzinfo=UTC) + timedelta(minutes=minutes)
            if minutes == 55:
                file.write_text(HEAD + AFTER)
            try:
                beat.tick()
            except Killed:
                beat.close()
                beat = Scheduler(app)
                beat.tick()
        beat.close()
    killer.at = -1
    raws = server.lrange("celery", 0, -1)
    return [json.loads(raw)["headers"]["task"] for raw in reversed(raws)]


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_wherever_it_is_killed(
    redis_client: redis.Redis, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_after: bool
) -> None:
    """At each command in turn: the beat that comes then sends what this one would have sent."""
    expected = ["tasks.health_check", "tasks.health_check", "tasks.maintenance.purge"]
    for number in count():
        with monkeypatch.context() as patch:
            redis_client.flushall()
            killer = Killer(patch)
            killer.at, killer.is_after = number, is_after
            assert story(redis_client, redis_url, tmp_path / "worker.toml", killer, patch) == expected, number
            if not killer.has_killed:
                break
    assert number > 15
