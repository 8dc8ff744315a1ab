"""A beat that runs while somebody changes worker.toml, pauses schedules, or runs one by hand."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from contentworker import config
from contentworker.runtime.records import schedules
from contentworker.runtime.records.schedules import HANDLED, SENT, SINCE
from contentworker.runtime.worker.beat import Scheduler
from contentworker.runtime.worker.reloading import ScheduleFile
from contentworker.runtime.worker.schedules import run_now
from tests.support import Process, client_of, environment, wait_until

pytestmark = [
    pytest.mark.usefixtures("clean"),
    # A scheduler looks up its tasks, and so meets those of every test in this process.
    pytest.mark.filterwarnings("ignore::celery.exceptions.DuplicateTaskNameWarning"),
]
TASK = 'task = "tasks.maintenance.purge"'
HOUR = 3600.0


class Beat:
    """A scheduler, and the settings file that it watches."""

    def __init__(self, app: Celery, server: redis.Redis, file: Path) -> None:
        self.file, self.server = file, server
        self.environ: dict[str, str] = {}
        self.write("")
        app.schedule_file = ScheduleFile(file, lambda: config.load(file, self.environ))
        self.scheduler = Scheduler(app)
        self.scheduler.tick()

    def write(self, text: str) -> None:
        """Save the file as editors do: a new one in the place of the old one."""
        new = self.file.with_suffix(".new")
        new.write_text('[queues.celery]\ndescription = "all"\n' + text)
        new.replace(self.file)

    def tick(self) -> int:
        """Look, and return how many messages were sent."""
        before = self.server.llen("celery")
        self.scheduler.tick()
        return self.server.llen("celery") - before

    def later(self, seconds: float) -> int:
        """As `tick` after this time: everything in Redis is older by then."""
        for key in (HANDLED, SINCE):
            for field, value in self.server.hgetall(key).items():
                self.server.hset(key, field, float(value) - seconds)
        return self.tick()

    @property
    def names(self) -> list[str]:
        return sorted(self.scheduler.schedule)


@pytest.fixture
def beat(redis_client: redis.Redis, redis_url: str, tmp_path: Path) -> Iterator[Beat]:
    with client_of(redis_url) as app:
        app.tasks.pop("tasks.maintenance.purge", None)  # if a test has loaded it, it takes no other arguments
        started = Beat(app, redis_client, tmp_path / "worker.toml")
        yield started
        started.scheduler.close()


def test_changes_of_the_file_are_taken(beat: Beat, caplog: pytest.LogCaptureFixture) -> None:
    """New, changed, off, on again and gone; one that counted with another rhythm begins anew."""
    caplog.set_level("INFO")
    assert beat.names == ["purge"], "as the application was built"
    beat.write(f"[schedules.one]\n{TASK}\nevery_seconds = 3600")
    assert (beat.tick(), beat.names) == (0, ["one"])
    assert beat.server.hkeys(HANDLED) == [b"one"]
    assert beat.later(HOUR) == 1
    # The moments of the last ten hours would be due.
    beat.server.hset(HANDLED, "one", beat.server.time()[0] - 10 * HOUR)
    beat.write(f'[schedules.one]\n{TASK}\ncrontab = "0 * * * *"')
    assert beat.tick() == 0, "a missed moment of the new rhythm"
    beat.write(f'[schedules.one]\n{TASK}\ncrontab = "0 * * * *"\narguments = {{ days = 7 }}')
    assert beat.tick() == 0
    assert beat.later(HOUR) == 1, "with other arguments it counts on"
    beat.write(f"[schedules.one]\n{TASK}\nevery_seconds = 3600")
    assert beat.tick() == 0, "the rhythm that it had before counts anew, too"
    beat.write(f"[schedules.one]\n{TASK}\nevery_seconds = 3600\nenabled = false")
    assert (beat.later(HOUR), beat.names) == (0, [])
    beat.write(f"[schedules.one]\n{TASK}\nevery_seconds = 3600")
    assert (beat.tick(), beat.names) == (0, ["one"]), "what it missed while it was off"
    beat.write("")
    assert (beat.later(HOUR), beat.names) == (0, [])
    assert [*beat.server.hkeys(HANDLED), *beat.server.hkeys(SINCE)] == []
    said = [each.getMessage() for each in caplog.records if "read again" in each.getMessage()]
    assert [each.partition("Schedules: ")[2] for each in said] == [
        *("new: one; removed: purge", "changed: one", "changed: one", "changed: one"),
        *("removed: one", "new: one", "removed: one"),
    ]


def test_a_broken_file_is_said_once(beat: Beat, caplog: pytest.LogCaptureFixture) -> None:
    """The old schedules go on; so they do without a file; what is put right is taken."""
    beat.write(f"[schedules.one]\n{TASK}\nevery_seconds = 3600")
    beat.tick()
    for text in ("[schedules.two", f'[schedules.two]\n{TASK}\ncrontab = "75 3 * * *"'):
        beat.write(text)
        assert beat.tick() == 0
        assert beat.later(HOUR) == 1
    beat.file.unlink()
    assert beat.tick() == 0
    assert beat.later(HOUR) == 1
    errors = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert len(errors) == 3
    assert "worker.toml:5: schedules.two.crontab: the minute must be 0 to 59, not 75" in errors[1]
    beat.write(f"[schedules.two]\n{TASK}\nevery_seconds = 3600")
    beat.tick()
    assert beat.names == ["two"]


def test_the_environment_still_wins(beat: Beat) -> None:
    """Variables override the file that was changed, as they did at the start."""
    beat.environ["WORKER__SCHEDULES__ONE__EVERY_SECONDS"] = "60"
    beat.environ["WORKER__SCHEDULES__TWO__ENABLED"] = "false"
    beat.write(f"[schedules.one]\n{TASK}\nevery_seconds = 3600\n[schedules.two]\n{TASK}\nevery_seconds = 5")
    beat.tick()
    assert beat.names == ["one"]
    assert beat.scheduler.schedule["one"].schedule.run_every.total_seconds() == 60


def test_beats_with_different_settings_do_not_hinder_each_other(beat: Beat, redis_url: str) -> None:
    """While a new worker.toml goes from machine to machine, each sends its own, and what both have once."""
    given = {"WORKER__SCHEDULES__PURGE__CRONTAB": "0 * * * *"}
    with client_of(redis_url, **given) as app:
        other = Scheduler(app)
        for _ in range(3):
            other.tick()
            beat.scheduler.tick()
        assert len(beat.server.hkeys(SINCE)) == 2
        beat.server.delete("celery")
        beat.later(48 * HOUR)
        other.tick()
        beat.tick()
        other.close()
    assert beat.server.llen("celery") == 1


def test_what_an_earlier_version_has_not_sent_is_sent(client: Celery, redis_client: redis.Redis) -> None:
    """It noted no rhythm: a moment between the last of its beats and the first of ours is not lost."""
    redis_client.hset(HANDLED, "purge", redis_client.time()[0] - 48 * HOUR)
    scheduler = Scheduler(client)
    scheduler.tick()
    scheduler.close()
    assert redis_client.llen("celery") == 1


def test_a_pause_skips_moments(beat: Beat) -> None:
    """None is sent meanwhile or at its end, also by a beat that was started later; the next one is."""
    beat.write(f"[schedules.one]\n{TASK}\nevery_seconds = 3600")
    beat.tick()
    assert schedules.pause(beat.server, "one", "ana")
    assert not schedules.pause(beat.server, "one", "ben")
    assert beat.later(3 * HOUR) == 0
    paused = schedules.read(beat.server).paused_now["one"]
    assert paused
    assert paused.by == "ana"
    beat.scheduler.close()
    beat.scheduler = Scheduler(beat.scheduler.app)
    assert beat.later(HOUR) == 0
    assert schedules.resume(beat.server, "one")
    assert not schedules.resume(beat.server, "one")
    assert beat.tick() == 0
    assert beat.later(HOUR - 60) == 0
    assert beat.later(60) == 1


def test_what_beat_sends(beat: Beat) -> None:
    """It stands behind what waits already, and keeps no result; Redis keeps when it was sent."""
    beat.write(f"[schedules.one]\n{TASK}\nevery_seconds = 2")
    beat.tick()
    beat.server.lpush("celery", "earlier")
    assert beat.later(HOUR) == 1
    raw, earlier = beat.server.lrange("celery", 0, -1)
    headers = json.loads(raw)["headers"]
    assert (earlier, headers["task"], headers["ignore_result"]) == (
        b"earlier",
        "tasks.maintenance.purge",
        True,
    )
    known = schedules.read(beat.server)
    assert known.now - 60 < known.times_sent["one"] == float(known.handled["one"]) <= known.now
    schedules.pause(beat.server, "one", "ana")
    pause = schedules.read(beat.server).paused_now["one"]
    assert pause
    assert known.now - 60 < pause.since.timestamp() < known.now + 60
    assert beat.scheduler.tick() <= 2, "awake for its next moment, in case that the pause ends"
    beat.write("")
    beat.tick()
    known = schedules.read(beat.server)
    assert (known.paused_now, known.times_sent) == ({}, {}), "of a schedule that is gone"


def test_only_what_has_changed_is_named(beat: Beat, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    one, two = (f"[schedules.{name}]\n{TASK}\nevery_seconds = " for name in ("one", "two"))
    for seconds in (60, 90):
        beat.write(f"{one}60\n{two}{seconds}")
        beat.tick()
    assert caplog.records[-1].getMessage().endswith("Schedules: changed: two")


def test_a_pause_ends_now(redis_client: redis.Redis) -> None:
    """Not up to a second later: a microsecond of few digits is written with its zeros."""
    redis_client.hset(HANDLED, "one", 0)
    wait_until(lambda: redis_client.time()[1] < 80_000, "the beginning of a second")
    schedules.pause(redis_client, "one", "ana")
    before = schedules.read(redis_client).now
    schedules.resume(redis_client, "one")
    after = schedules.read(redis_client)
    assert before <= float(after.handled["one"]) <= after.now


def test_a_pause_while_beat_is_about_to_send(beat: Beat, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has read that the schedule is due; then somebody pauses it: nothing is sent."""
    really_read = schedules.read

    def read(connection: redis.Redis) -> schedules.Schedules:
        found = really_read(connection)
        schedules.pause(beat.server, "purge", "ana")
        return found

    monkeypatch.setattr(schedules, "read", read)
    beat.server.hset(HANDLED, "purge", 0)
    beat.server.hset(SINCE, schedules.since_field("purge", "30 3 * * * UTC"), 0)
    assert beat.tick() == 0


def test_a_pause_of_a_schedule_that_no_beat_knows(redis_client: redis.Redis, client: Celery) -> None:
    """It is kept until there is one; who wrote nonsense pauses it, too, without a name."""
    assert schedules.pause(redis_client, "purge", "ana")
    assert schedules.resume(redis_client, "purge")
    assert redis_client.keys("contentworker:schedules*") == []
    redis_client.hset(schedules.PAUSED, "purge", "x")
    redis_client.hset(HANDLED, "purge", 0)
    scheduler = Scheduler(client)
    scheduler.tick()
    scheduler.close()
    assert redis_client.llen("celery") == 0
    assert schedules.read(redis_client).paused_now == {"purge": None}


def test_run_now_sends_once_and_moves_nothing(beat: Beat, client: Celery) -> None:
    """As beat sends it; the next moment is where it was, also if the schedule is paused."""
    known = schedules.read(beat.server)
    schedules.pause(beat.server, "purge", "ana")
    task_id = run_now(client, beat.server, "purge")
    (raw,) = beat.server.lrange("celery", 0, -1)
    headers = json.loads(raw)["headers"]
    assert (headers["id"], headers["task"]) == (task_id, "tasks.maintenance.purge")
    assert headers["ignore_result"]
    after = schedules.read(beat.server)
    assert (after.handled, after.since) == (known.handled, known.since)
    assert float(beat.server.hget(SENT, "purge") or 0) >= known.now


StartBeat = Callable[[str], Process]


def test_a_real_beat_takes_changes_and_a_pause_survives_it(
    redis_client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    """Somebody changes the file, then pauses a schedule; beat is killed, and the next one keeps to it."""
    file = tmp_path / "worker.toml"
    head = '[queues.celery]\ndescription = "all"\n'
    file.write_text(f"{head}[schedules.one]\n{TASK}\nevery_seconds = 3600\n")
    started: list[Process] = []

    def start() -> Process:
        command = [sys.executable, "-m", "celery", "-A", "celery_worker.celery_app", "beat", "-l", "info"]
        env = environment(REDIS_URL=redis_url, CONTENTWORKER_TOML=str(file))
        started.append(Process(command, tmp_path / f"beat{len(started)}", env))
        return started[-1]

    try:
        first = start()
        wait_until(lambda: redis_client.hexists(HANDLED, "one"), "beat to know it")
        two = f"{head}[schedules.two]\n{TASK}\nevery_seconds = 1\n"
        file.write_text(two)
        first.wait_for_log("Schedules: new: two; removed: one")
        first.wait_for_log("Schedule two: sent")
        schedules.pause(redis_client, "two", "ana")
        first.kill(signal.SIGKILL)
        first.wait()
        redis_client.delete("celery")
        second = start()
        second.wait_for_log("beat: Starting")
        file.write_text(two + two.removeprefix(head).replace("two", "three"))
        second.wait_for_log("Schedule three: sent")
        assert "Schedule two" not in second.log()
    finally:
        for each in started:
            each.stop()
