"""Schedules when clocks change: in a time zone, and of a server that was wrong and is put right."""

import json
import random
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from celery import Celery

from contentworker.crontab import Crontab
from contentworker.runtime.records import schedules
from contentworker.runtime.records.schedules import HANDLED, SINCE
from contentworker.runtime.worker.beat import Scheduler
from contentworker.time_zones import time_zone
from tests.support import RedisProcess, client_of, wait_until

pytestmark = [
    pytest.mark.usefixtures("clean"),
    # A scheduler looks up its tasks, and so meets those of every test in this process.
    pytest.mark.filterwarnings("ignore::celery.exceptions.DuplicateTaskNameWarning"),
]
FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
HOUR = 3600.0


class Clock:
    """Redis's clock, as beats read it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = datetime.now(UTC)
        really_read = schedules.read
        monkeypatch.setattr(
            schedules, "read", lambda client: replace(really_read(client), now=self.now.timestamp())
        )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def given(**tables: dict[str, str]) -> dict[str, str]:
    """The variables of schedules whose task gets their name; no other schedule is on."""
    variables = {"PURGE__ENABLED": "false"}
    for name, keys in tables.items():
        task = {"TASK": "tasks.maintenance.purge", "ARGUMENTS": f'{{name = "{name}"}}'}
        variables.update({f"{name.upper()}__{key}": value for key, value in {**task, **keys}.items()})
    return {f"WORKER__SCHEDULES__{key}": value for key, value in variables.items()}


@contextmanager
def sender(redis_url: str, **settings: str) -> Iterator[Celery]:
    """An application without tasks, as other tests may have loaded them: it sends any arguments."""
    with client_of(redis_url, **settings) as app:
        app.tasks.pop("tasks.maintenance.purge", None)
        yield app


def sent(server: redis.Redis) -> list[str]:
    """The schedules whose messages came since the last call, the oldest first."""
    raws = server.lrange("celery", 0, -1)
    server.delete("celery")
    return [json.loads(b64decode(json.loads(raw)["body"]))[1]["name"] for raw in reversed(raws)]


NIGHTS = [
    pytest.param("Europe/Berlin", "2026-03-28T22", id="north-spring"),
    pytest.param("Europe/Berlin", "2026-10-24T22", id="north-autumn"),
    pytest.param("Australia/Lord_Howe", "2026-10-03T13", id="half-an-hour-spring"),
    pytest.param("Australia/Lord_Howe", "2026-04-04T13", id="half-an-hour-autumn"),
    pytest.param("America/Santiago", "2026-09-06T02", id="midnight-spring"),
    pytest.param("Asia/Beirut", "2026-10-24T19", id="midnight-autumn"),
]


@pytest.mark.parametrize(("zone", "begin"), NIGHTS)
def test_beats_send_each_moment_of_the_night_once(
    redis_client: redis.Redis, redis_url: str, clock: Clock, zone: str, begin: str
) -> None:
    """Beats that look at random, die and come back send, in their order, what the crontabs say."""
    crontabs = {"wall": "15,45 0-3,23 * * *", "hourly": "*/30 * * * *", "daily": "0 2 * * *"}
    settings = given(**{name: {"CRONTAB": text, "TIMEZONE": zone} for name, text in crontabs.items()})
    first = datetime.fromisoformat(begin).replace(tzinfo=UTC)
    clock.now, last = first, first + timedelta(hours=6)
    expected: Counter[tuple[str, datetime]] = Counter()
    for name, text in crontabs.items():
        moment = first
        while (moment := Crontab(text, time_zone(zone)).after(moment)) <= last:
            expected[name, moment] += 1
    found: Counter[tuple[str, datetime]] = Counter()
    with ExitStack() as stack, sender(redis_url, **settings) as app:
        beats = [Scheduler(app), Scheduler(app)]
        stack.callback(lambda: [each.close() for each in beats])
        chance = random.Random(begin)
        while clock.now <= last:
            chance.choice(beats).tick()
            if chance.random() < 0.01:
                beats[0].close()
                beats[0] = Scheduler(app)
            found.update((name, clock.now) for name in sent(redis_client))
            clock.now += timedelta(minutes=3)
        assert found == expected


def test_a_time_that_lies_ahead_counts_as_now_once(
    redis_client: redis.Redis, redis_url: str, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A clock was a day ahead and is put right: one warning of all beats, and the next moment is sent."""
    clock.now = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
    with sender(redis_url, **given(often={"EVERY_SECONDS": "600"}, noon={"CRONTAB": "5 12 * * *"})) as app:
        beats = [Scheduler(app), Scheduler(app)]
        clock.now += timedelta(days=1)
        beats[0].tick()
        clock.now += timedelta(minutes=10)
        beats[0].tick()
        assert sorted(sent(redis_client)) == ["noon", "often"]
        clock.now -= timedelta(days=1, minutes=9)
        for beat in (*beats, *beats):
            beat.tick()
        assert sent(redis_client) == []
        warned = [each.getMessage() for each in caplog.records if "counts from now" in each.getMessage()]
        assert len(warned) == 2, "one for each schedule"
        clock.now += timedelta(minutes=4)
        for beat in (*beats, *beats):
            beat.tick()
        assert sent(redis_client) == ["noon"]
        clock.now += timedelta(minutes=6)
        for beat in beats:
            beat.tick()
            beat.close()
        assert sent(redis_client) == ["often"]


def test_a_replica_that_is_behind_sends_nothing_twice(
    redis_client: redis.Redis, redis_url: str, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """It takes over, and its clock shows a moment again that was sent: silence, for up to a minute."""
    clock.now = datetime(2026, 12, 1, 11, 59, tzinfo=UTC)
    with sender(redis_url, **given(noon={"CRONTAB": "0 12 * * *"})) as app:
        beat = Scheduler(app)
        beat.tick()
        for seconds in (0, -60, -1, 0, 10):
            clock.now = datetime(2026, 12, 1, 12, 0, tzinfo=UTC) + timedelta(seconds=seconds)
            beat.tick()
        assert sent(redis_client) == ["noon"]
        assert "counts from now" not in caplog.text
        clock.now = datetime(2026, 12, 1, 11, 58, 59, tzinfo=UTC)
        beat.tick()
        beat.close()
    assert caplog.text.count("counts from now") == 1


@pytest.mark.parametrize("value", ["x", "", "nan", "inf", "-inf", "1e300", "-1e300", "9" * 400])
def test_a_time_that_is_none_counts_as_now(redis_client: redis.Redis, client: Celery, value: str) -> None:
    """Whoever wrote it: beat goes on, and the schedule with it."""
    beat = Scheduler(client)
    beat.tick()
    redis_client.hset(HANDLED, "purge", value)
    redis_client.hset(SINCE, redis_client.hkeys(SINCE)[0], value)
    redis_client.hset(SINCE, "no JSON", value)
    beat.tick()
    beat.close()
    now = redis_client.time()[0]
    times = [
        *redis_client.hvals(HANDLED),
        redis_client.hget(SINCE, schedules.since_field("purge", "30 3 * * * UTC")),
    ]
    assert all(now - 60 < float(each or 0) < now + 1 for each in times)


@pytest.fixture
def shifted(tmp_path: Path) -> Iterator[tuple[RedisProcess, Path]]:
    """A real server, and the file that says how wrong its clock is: `+3600`."""
    if FAKETIME is None:
        pytest.skip("libfaketime is not installed")
    wrong = tmp_path / "wrong"
    wrong.write_text("+0")
    server = RedisProcess(
        tmp_path / "redis",
        PATH="",  # the embedded one: Debian's clashes with libfaketime
        LD_PRELOAD=str(FAKETIME),
        FAKETIME_TIMESTAMP_FILE=str(wrong),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )
    yield server.ready(), wrong
    server.stop()


def shift(wrong: Path, server: redis.Redis, seconds: float) -> None:
    """Set a server's clock wrong by so much; libfaketime may notice a little later."""
    wrong.write_text(f"+{seconds:.0f}")
    wait_until(lambda: abs(server.time()[0] - time.time() - seconds) < 1.5, "the clock to be set")


def test_a_server_whose_clock_is_put_right(shifted: tuple[RedisProcess, Path]) -> None:
    """A real server, ahead by a month while beat sleeps: what it sent then does not silence beat later."""
    server, wrong = shifted
    with (
        server.client() as connection,
        sender(server.url, **given(often={"EVERY_SECONDS": "1"}, noon={"CRONTAB": "0 12 * * *"})) as app,
    ):
        beat = Scheduler(app)
        beat.tick()
        shift(wrong, connection, 30 * 24 * HOUR)
        beat.tick()
        assert sorted(sent(connection)) == ["noon", "often"]
        assert schedules.pause(connection, "noon", "ana")
        shift(wrong, connection, 0)
        assert schedules.resume(connection, "noon")
        beat.tick()
        known = schedules.read(connection)
        assert all(float(each) <= known.now for each in (*known.handled.values(), *known.since.values()))
        shift(wrong, connection, 2)
        beat.tick()
        beat.close()
        assert sent(connection) == ["often"]
