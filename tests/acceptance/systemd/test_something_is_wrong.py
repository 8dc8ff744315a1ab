"""docs/operations.md, "When something is wrong": each trouble is caused, seen and ended as it says."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import redis
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from kombu.exceptions import EncodeError, OperationalError

from contentworker.runtime.records.dead_letters import STREAM
from contentworker.runtime.transport.keys import DELAYED
from tests.acceptance.systemd.installation import (
    BEAT,
    CREDENTIALS,
    DEFAULT,
    OTHER,
    QUEUES,
    REDIS,
    SETTINGS,
    STATE,
    UNITS,
    WORKERS,
)
from tests.acceptance.systemd.machine import Machine
from tests.acceptance.systemd.probing import Background, hold, probed, release
from tests.acceptance.systemd.test_operations import IN_DOCS, PAGE, expression
from tests.support import PATIENCE, executions, wait_until

pytestmark = IN_DOCS

UNIT = f"celery-worker@{DEFAULT}.service"
OTHER_UNIT = f"celery-worker@{OTHER}.service"
DATA = "/var/lib/content-worker-redis"
ENVIRONMENT = "/etc/content-worker/environment"
FLOOD = """\
import contextlib, socket
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal, contextlib.suppress(BlockingIOError):
    journal.setblocking(False)
    while journal.sendto(b"MESSAGE=flood\\n", "/run/systemd/journal/socket"):
        pass
"""


class Entry(NamedTuple):
    """A trouble: how to look at it, what that prints where all is well, and commands that end it."""

    heading: str
    text: str
    look: str
    healthy: str
    fix: str


def entries() -> list[Entry]:
    """In the page's order."""
    _, _, section = PAGE.read_text("utf-8").partition("## When something is wrong\n")
    section = section.partition("\n## ")[0]
    found = []
    for part in section.split("\n### ")[1:]:
        heading, _, text = part.partition("\n")
        blocks = dict(re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
        found.append(Entry(heading, text, *(blocks.get(language, "") for language in ("bash", "text", ""))))
    return found


@dataclass
class Place:
    """What a cause can get at."""

    machine: Machine
    client: Celery
    redis: redis.Redis
    folder: Path
    entry: Entry

    def look(self, *, well: bool = False) -> str:
        """What the entry's commands print; `well`: what they print where all is well, but for numbers."""
        self.machine.sync_journal()
        done = self.machine.run("bash", "-c", self.entry.look, check=False)
        if well:
            assert re.fullmatch(expression(self.entry.healthy), done.stdout), done.stdout + done.stderr
        return done.stdout

    def page_says(self, *words: str) -> None:
        """What was seen is what a reader is told to look for."""
        flat = " ".join(self.entry.text.split())
        assert [each for each in words if each not in flat] == []

    def hold(self, count: int) -> None:
        """Have so many tasks started that do not end before `release` is there."""
        for _ in range(count):
            self.client.send_task("probe.base.hold", kwargs={"folder": f"{STATE}/{self.folder.name}"})

    def wait_for_journal(self, unit: str, text: str) -> None:
        wait_until(lambda: text in self.machine.journal(unit), f"{text!r} in the journal of {unit}")

    def wait_for_health(self) -> None:
        """Every queue answers."""
        healthy = ("content-worker", "health")
        wait_until(lambda: self.machine.run(*healthy, check=False).returncode == 0, "every queue to answer")

    def restarts(self) -> list[str]:
        return [self.machine.show(unit, "NRestarts") for unit in WORKERS]


Cause = Callable[[Place], None]
CAUSES: dict[str, Cause] = {}


def cause(heading: str) -> Callable[[Cause], Cause]:
    """Note who causes the trouble of an entry."""

    def note(function: Cause) -> Cause:
        CAUSES[heading] = function
        return function

    return note


@pytest.fixture(scope="module")
def machine(services: Machine) -> Iterator[Machine]:
    """The installed services; the default queue's worker knows tasks that misbehave."""
    services.run("ip", "address", "replace", "192.0.2.1/32", "dev", "lo")
    directives = [
        "WatchdogSec=10",
        "Environment=WORKER__RETRIES__INITIAL_DELAY_SECONDS=0.1 WORKER__RETRIES__JITTER_SECONDS=0",
        "Environment=WORKER__LIMITS__MAX_TASKS_PER_CHILD=5",
    ]
    with probed(services, DEFAULT, "blocked_worker,sandbox_worker", *directives):
        yield services


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.heading)
def test_entry(
    machine: Machine, client: Celery, redis_client: redis.Redis, folder: Path, entry: Entry
) -> None:
    """The trouble shows as the page says, and ends by what it says."""
    assert entry.heading in CAUSES, "an entry of the page whose trouble no test causes: write that"
    try:
        CAUSES[entry.heading](Place(machine, client, redis_client, folder, entry))
    finally:  # or after a failure every entry that follows would fail
        (folder / "release").touch()
        machine.systemctl("start", *UNITS, check=False)


def test_no_cause_without_an_entry() -> None:
    """What was renamed or removed on the page is here, too."""
    assert list(CAUSES) == [entry.heading for entry in entries()]


def test_a_journal_that_hangs(machine: Machine, client: Celery) -> None:
    """Workers go on; afterwards the journal says how many events it never got."""
    journal, pid = "systemd-journald.service", machine.main_pid(UNIT)

    def say() -> None:
        client.send_task("probe.say", kwargs={"text": "a"}).get(timeout=PATIENCE)

    def loss_is_said() -> bool:
        machine.systemctl("kill", "--signal=STOP", journal)
        try:
            machine.run("/usr/bin/python3", "-c", FLOOD)
            say()
            say()
        finally:
            machine.systemctl("kill", "--signal=CONT", journal)
        say()
        return "The journal took no events for a while; dropped: " in machine.journal(UNIT)

    # More than once where the pool process was replaced just then: the count goes with it.
    wait_until(loss_is_said, "the loss to be said")
    assert machine.main_pid(UNIT) == pid


@cause("Tasks are not picked up")
def _not_picked_up(place: Place) -> None:
    machine = place.machine
    machine.systemctl("stop", OTHER_UNIT)
    sent = place.client.send_task("tasks.health_check", queue=OTHER)
    others = rf"\n{len(QUEUES) - 1} nodes? online\.\n\Z"
    # On a busy machine not every worker answers within the second that Celery waits.
    wait_until(lambda: re.search(others, place.look()), "the others to answer")
    machine.systemctl("start", OTHER_UNIT)
    assert sent.get(timeout=PATIENCE)["status"] == "ok"
    place.page_says("a wrong name becomes a dead letter".capitalize())
    place.client.send_task("tasks.misspelt", queue=DEFAULT)
    wait_until(lambda: place.redis.xlen(STREAM), "the dead letter")
    assert "tasks.misspelt" in machine.output("content-worker", "dead-letters", "list")
    place.redis.delete(STREAM)


@cause("Tasks stay PENDING")
def _pending(place: Place) -> None:
    place.client.send_task("tasks.health_check", countdown=1000)
    assert place.redis.zcard(DELAYED) == 1
    place.look(well=True)
    place.redis.delete(DELAYED)
    place.page_says("arguments that are not JSON are refused when you send them")
    place.page_says("a task that hits a time limit is a FAILURE")
    with pytest.raises(EncodeError):
        place.client.send_task("tasks.health_check", kwargs={"a": object()})
    keywords = {"folder": f"{STATE}/{place.folder.name}"}
    sent = place.client.send_task("probe.base.hold", kwargs=keywords, soft_time_limit=1)
    with pytest.raises(SoftTimeLimitExceeded):
        sent.get(timeout=PATIENCE)
    assert sent.state == "FAILURE"
    wait_until(lambda: place.redis.xlen(STREAM), "its dead letter")
    place.redis.delete(STREAM)


@cause("Memory grows")
def _memory(place: Place) -> None:
    place.look(well=True)
    place.page_says("after `limits.max_tasks_per_child` tasks", "its task is delivered again")
    pids = {place.client.send_task("probe.pid").get(timeout=PATIENCE) for _ in range(25)}
    assert len(pids) > SETTINGS.queues[DEFAULT].concurrency
    # As the kernel does where a service passes its memory: these machines enforce no such limit.
    sent, pid = hold(place.client, place.folder), place.machine.main_pid(UNIT)
    place.machine.run("kill", "-KILL", str(executions(place.folder)[0]["pid"]))
    wait_until(lambda: len(executions(place.folder)) == 2, "the task to be delivered again")
    release(sent, place.folder)
    assert place.machine.main_pid(UNIT) == pid


@cause("A queue falls behind")
def _behind(place: Place) -> None:
    machine = place.machine
    machine.systemctl("stop", OTHER_UNIT)
    sent = [place.client.send_task("tasks.health_check", queue=OTHER) for _ in range(2)]
    assert place.look(well=True) == "2\n"
    machine.systemctl("start", OTHER_UNIT)
    for each in sent:
        each.get(timeout=PATIENCE)
    concurrency = SETTINGS.queues[DEFAULT].concurrency
    place.hold(concurrency + 1)
    wait_until(lambda: len(executions(place.folder)) == concurrency, "a busy worker")
    busy = rf"{DEFAULT} +busy .* 1 waiting, oldest \d+ s"

    def is_busy() -> bool:
        """`down` where a busy machine holds up the worker's answer for more than a second."""
        asked = machine.run("content-worker", "health", f"--queue={DEFAULT}", "--timeout=1", check=False)
        return asked.returncode == 1 and bool(re.search(busy, asked.stdout))

    wait_until(is_busy, "the queue to be busy")
    (place.folder / "release").touch()
    place.page_says("`busy` in `health` is not an error", "`oldest` shows how far behind")
    place.wait_for_health()


@cause("A worker starts again and again")
def _starts_again(place: Place) -> None:
    machine = place.machine

    def see(*reasons: str) -> None:
        machine.systemctl("restart", OTHER_UNIT, check=False)
        wait_until(lambda: machine.show(OTHER_UNIT, "NRestarts") != "0", "another start")
        assert re.search(r"NRestarts=[1-9]", place.look(well=True))
        for reason in reasons:
            place.wait_for_journal(OTHER_UNIT, reason)

    place.page_says("the line begins with `Error:` and names the key")
    file = machine.path(ENVIRONMENT)
    written = file.read_text("utf-8")
    file.write_text(f"{written}\nWORKER__LIMITS__NONSENSE=1\n", "utf-8")
    try:
        see("Error: WORKER__LIMITS__NONSENSE: ")
    finally:
        file.write_text(written, "utf-8")
    machine.wait_active(OTHER_UNIT)

    place.page_says("`status=243/CREDENTIALS`")
    secret = machine.path(f"{CREDENTIALS}/REDIS_URL")
    aside = secret.rename(secret.with_name("aside"))
    try:
        see("status=243/CREDENTIALS")
    finally:
        aside.rename(secret)
    machine.wait_active(OTHER_UNIT)

    place.page_says("Exit code 78: Redis could lose messages; the line says why")
    place.redis.config_set("maxmemory", "1gb")
    place.redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        see("status=78/CONFIG", "this server drops messages (maxmemory-policy allkeys-lru)")
    finally:
        place.redis.config_set("maxmemory-policy", "noeviction")
        place.redis.config_set("maxmemory", 0)
    machine.wait_active(OTHER_UNIT)


@cause("A worker hangs")
def _hangs(place: Place) -> None:
    machine, pid = place.machine, place.machine.main_pid(UNIT)
    where = {"folder": f"{STATE}/{place.folder.name}"}
    to = [f"{DEFAULT}@test-machine"]
    block = partial(place.client.control.broadcast, "block", where, destination=to)
    wait_until(lambda: block() or executions(place.folder), "the loop to hang")
    wait_until(lambda: machine.main_pid(UNIT) not in (0, pid), "the watchdog")
    assert "Watchdog timeout" in place.look()
    _, _, after = machine.journal(UNIT).rpartition("Watchdog timeout")
    assert "in wait_for_release" in after
    place.page_says("after it the Python stack")
    machine.wait_active(UNIT)


@cause("A stop takes long")
def _stop_takes_long(place: Place) -> None:
    machine = place.machine
    place.look(well=True)
    hold(place.client, place.folder)
    stop = Background(lambda: machine.systemctl("stop", UNIT, check=False))
    wait_until(lambda: "finishing 1 task" in machine.show(UNIT, "StatusText"), "the worker to drain")
    (command,) = re.findall(r"`(systemctl kill .*?)`", place.entry.text)
    machine.run(*command.replace("QUEUE", DEFAULT).split())
    stop.end()
    place.page_says("running tasks go back to their queue")
    assert place.redis.llen(DEFAULT) == 1
    machine.systemctl("start", UNIT)
    wait_until(lambda: len(executions(place.folder)) == 2, "the task to be run again")
    (place.folder / "release").touch()
    place.wait_for_health()


@cause("Schedules are not sent")
def _no_schedules(place: Place) -> None:
    machine = place.machine
    machine.systemctl("stop", BEAT)
    assert place.look() == "inactive\n"
    machine.systemctl("stop", REDIS)
    machine.systemctl("start", BEAT)
    place.page_says("whether it waits for Redis")
    place.wait_for_journal(BEAT, "Schedules wait for Redis")
    machine.systemctl("start", REDIS)
    place.wait_for_journal(BEAT, "Redis is back: schedules go on")


@cause("Redis is down")
def _redis_down(place: Place) -> None:
    machine, before = place.machine, place.restarts()
    machine.systemctl("stop", REDIS)
    assert place.look() == "inactive\n"
    assert machine.run("content-worker", "redis", "ping", check=False).stdout == ""
    for unit in WORKERS:
        wait_until(lambda: "waiting for Redis" in machine.show(unit, "StatusText"), "it is missed")  # noqa: B023 (called here)
    files = sorted(machine.path(f"{DATA}/appendonlydir").glob("*.incr.aof"))
    with files[-1].open("ab") as file:
        file.write(b"no command\r\n")
    machine.systemctl("start", REDIS)
    place.page_says("A damaged append-only file")
    place.wait_for_journal(REDIS, "Bad file format reading the append only file")
    machine.run("bash", "-e", "-c", place.entry.fix)
    place.wait_for_health()
    assert place.restarts() == before
    place.page_says("nothing needs to be restarted")


@cause("Redis is full")
def _redis_full(place: Place) -> None:
    machine = place.machine
    place.look(well=True)
    sent = hold(place.client, place.folder)
    place.redis.config_set("maxmemory", 1)
    place.page_says("Senders get an error", "workers go on")
    try:
        refused = machine.run("content-worker", "submit", "tasks.health_check", check=False)
        assert refused.returncode
        assert "not allowed when used memory > 'maxmemory'" in refused.stderr
        (place.folder / "release").touch()
        wait_until((place.folder / "finished").exists, "the task to end")
    finally:
        place.redis.config_set("maxmemory", 0)
    assert sent.get(timeout=PATIENCE) == "released"


@cause("The disk is full")
def _disk_full(place: Place) -> None:
    machine = place.machine
    machine.systemctl("stop", REDIS)
    machine.run("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", DATA)
    machine.systemctl("start", REDIS)
    try:
        place.wait_for_health()
        before = place.restarts()
        with machine.path(f"{DATA}/filler").open("ab", buffering=0) as file, suppress(OSError):
            while file.write(b"x" * 4096):
                pass
        assert place.look(well=True).split() == ["Use%", "100%"]

        def refusal() -> str:
            try:
                place.client.send_task("tasks.health_check", retry=False, ignore_result=True)
            except OperationalError as error:
                return str(error)
            return ""

        place.page_says('Redis refuses writes until it can write its file again ("MISCONF")')
        assert "MISCONF" in wait_until(refusal, "a sender to be refused")
        wait_until(lambda: "waiting for Redis" in machine.show(UNIT, "StatusText"), "workers to wait")
        machine.path(f"{DATA}/filler").unlink()
        place.wait_for_health()
        assert place.restarts() == before
    finally:
        machine.systemctl("stop", REDIS)
        machine.run("umount", DATA)
        machine.systemctl("start", REDIS)
    place.wait_for_health()


@cause("Redis forgot tasks when the machine went down")
def _forgot(place: Place) -> None:
    machine = place.machine
    place.redis.config_set("appendonly", "no")
    assert place.look() == "appendonly\nno\n"
    place.redis.set("forgotten", "1")
    pid = machine.main_pid(REDIS)
    machine.run("kill", "-KILL", str(pid))
    wait_until(lambda: machine.main_pid(REDIS) not in (0, pid), "another Redis")
    place.wait_for_health()
    assert place.redis.get("forgotten") is None
    place.look(well=True)


@cause("A task ran twice")
def _twice(place: Place) -> None:
    machine = place.machine
    sent, pid = hold(place.client, place.folder), machine.main_pid(UNIT)
    machine.run("kill", "-KILL", str(pid))
    wait_until(lambda: len(executions(place.folder)) == 2, "the task to be run again")
    gone = " is gone; 1 message that it held is back"
    wait_until(lambda: gone in place.look(), "who put it back to say so")
    place.page_says("or was killed")
    release(sent, place.folder)


@cause("Dead letters pile up")
def _dead_letters(place: Place) -> None:
    machine = place.machine
    keywords = {"folder": f"{STATE}/{place.folder.name}", "times": 4}
    place.client.send_task("probe.base.fail_until", kwargs=keywords)
    wait_until(lambda: place.redis.xlen(STREAM), "the dead letter")
    listed = machine.output("content-worker", "dead-letters", "list")
    assert "probe.base.fail_until" in listed
    assert "failure 4" in listed
    (letter,) = re.findall(r"\d{13}-\d+", listed)
    place.page_says("`dead-letters replay ID`")
    machine.run("content-worker", "dead-letters", "replay", letter)
    wait_until(lambda: len(executions(place.folder)) == 5, "the task to be run again")
    assert place.redis.xlen(STREAM) == 0


@cause("Which release runs?")
def _which_release(place: Place) -> None:
    """After an upgrade that went back, `test_upgrade.py` looks at the same link."""
    pid = place.machine.main_pid(OTHER_UNIT)
    runs = place.machine.output("readlink", f"/proc/{pid}/cwd")
    assert Path(place.look(well=True)).name == Path(runs).name


@cause("Who has the port?")
def _port(place: Place) -> None:
    machine = place.machine
    port = SETTINGS.broker.port
    listening = f"import socket, time; kept = socket.create_server(('127.0.0.1', {port})); time.sleep(1000)"
    machine.systemctl("stop", REDIS)
    machine.run("systemd-run", "--unit=stranger", "/usr/bin/python3", "-c", listening)
    try:
        wait_until(lambda: "python3" in place.look(), "who has the port")
        machine.systemctl("start", REDIS)
        place.wait_for_journal(REDIS, "Address already in use")
        assert "python3" in place.look()
        place.page_says("If it is another program's Redis")
    finally:
        machine.systemctl("stop", "stranger")
    place.wait_for_health()


@cause("A service cannot reach an address")
def _no_address(place: Place) -> None:
    place.look(well=True)
    answers = place.client.send_task("probe.sandbox.attempt").get(timeout=PATIENCE)
    place.page_says("Operation not permitted")
    assert "Operation not permitted" in answers["reach another address"]
