"""One run: a system under load, a fault, and then the figures."""

import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.chaos import promises
from benchmarks.chaos.accounting import Published, count
from benchmarks.chaos.beats import Beats
from benchmarks.chaos.brokers import Broker, Redis
from benchmarks.chaos.faults import Context, Fault
from benchmarks.chaos.hosts import Hosts, certificate, faked_clock, joined_hosts, set_clock
from benchmarks.chaos.load import Options, Publisher
from benchmarks.chaos.processes import ROOT, ChaosError, Worker, Workers, wait_until
from benchmarks.chaos.rabbitmq import RabbitMQ
from benchmarks.chaos.records import Journal
from benchmarks.chaos.systems import System

__all__ = [
    "WARM_UP_TASKS",
    "Setting",
    "drain",
    "environment_of",
    "find_python",
    "made_with",
    "make_workers",
    "publisher_environment",
    "run",
    "set_up",
    "with_clock",
    "worker_command",
]

APP = "benchmarks.chaos.worker_app:app"
WARM_UP_TASKS = 15
DRAIN_AT_MOST_SECONDS = 400
SLOW_SECONDS = 120
"""How much longer a busy machine may take to send the tasks of a run."""


def run(system: System, fault: Fault, options: Options) -> dict[str, Any]:
    """Run a system under load with a fault; return the result.

    Raises:
        ChaosError: it cannot be done here, or the harness itself failed.
    """
    python = find_python(system, options)
    started = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        setting = stack.enter_context(set_up(system, fault, folder))
        journal = Journal(folder / "executions")
        env = {**environment_of(setting.broker.url, setting.results.url, system, journal), **setting.env}
        workers = make_workers(python, env, fault, setting, folder=folder, options=options)
        stack.callback(workers.stop)
        workers.start()
        beats = stack.enter_context(_beats(python, env, fault, system, folder))
        command = [*setting.prefix_of_first, python, "-m", "benchmarks.chaos.publisher"]
        publisher = Publisher(command, {**env, **publisher_environment(system)}, journal, options)
        stack.callback(publisher.stop)
        wait_until(lambda: len(journal.refresh().finished) >= WARM_UP_TASKS, "tasks are being done")
        context = Context(
            workers,
            setting.broker,
            journal,
            random.Random(options.seed),
            options.count,
            options.concurrency,
            set_cable=setting.hosts.set_cable if setting.hosts else None,
            clocks=setting.clocks,
        )
        with beats.killed_in_turn(fault):
            fault.do(context)
        faulted = time.monotonic()
        _wait_for_tasks(publisher, options)
        publisher.check()
        publisher.stop()
        beats.stop()
        wanted = {
            task["id"] for task in publisher.sent.values() if task["confirmed"] and not task["may_be_dropped"]
        }
        drain(lambda: wanted - journal.refresh().finished, journal, system, setting.broker)
        drained = time.monotonic()
        version = setting.broker.version()
        workers.stop()
        published = [
            Published(task["id"], task["kind"], task["confirmed"], task["may_be_dropped"])
            for task in publisher.sent.values()
        ]
        remaining, failures = setting.broker.remaining(), setting.results.failures()
        figures = count(published, journal.refresh().executions.values(), remaining, failures)
        if options.keep:
            _keep(folder, options.keep / f"{system.name}-{fault.name}", publisher)
        return {
            "system": system.name,
            "fault": fault.name,
            **asdict(figures),
            **(
                promises.count(publisher.sent, journal.executions.values(), beats.outage_seconds)
                if system.promises
                else {}
            ),
            "kills": context.events,
            # On a busy machine, an outage may outlast a lease even if the fault itself does not.
            "may_repeat": max(context.may_repeat, workers.announced_repeats() if context.was_away else 0),
            "worker_deaths": workers.deaths,
            "overlaps_reported": workers.log_lines("overlap"),
            "stranded_for_an_hour": figures.left.get("held", 0) if system.stranded else 0,
            "publish_errors": publisher.errors,
            "fault_seconds": round(faulted - started, 1),
            "drain_seconds": round(drained - faulted, 1),
            "seed": options.seed,
            **made_with(python, version, options),
        }


def made_with(python: str, broker: str, options: Options) -> dict[str, Any]:
    """What a result was measured with."""
    return {
        "workers": options.workers,
        "concurrency": options.concurrency,
        "broker": broker,
        "python": _version_of(python, "import platform; print(platform.python_version())"),
        "celery": _version_of(python, "import celery; print(celery.__version__)"),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "date": datetime.now(UTC).date().isoformat(),
    }


@dataclass
class Setting:
    """The broker of a run and what surrounds it."""

    broker: Broker
    results: Redis
    hosts: Hosts | None
    clocks: tuple[Path, ...]
    env: dict[str, str]
    worker_options: tuple[str, ...]

    @property
    def prefix_of_first(self) -> tuple[str, ...]:
        return self.hosts.prefix(0) if self.hosts else ()


@contextmanager
def set_up(system: System, fault: Fault, folder: Path) -> Iterator[Setting]:
    """Start the broker, and Redis for the results if that is another one; in the end, end them."""
    with ExitStack() as stack:
        hosts = stack.enter_context(joined_hosts(2)) if fault.hosts else None
        more: dict[str, Any] = {"fsync": fault.fsync}
        env: dict[str, str] = {}
        clocks: tuple[Path, ...] = ()
        if hosts:
            tls = certificate(folder / "tls", hosts.addresses[0])
            prefix = hosts.prefix(0)
            more |= {
                "address": hosts.addresses[0],
                "prefix": prefix,
                "tls": tls,
                "password": uuid.uuid4().hex,
            }
            env = {"SSL_CERT_FILE": str(tls / "ca.crt")}
        if fault.clocks:
            clocks = (folder / "broker-clock", folder / "workers-clock")
            for clock in clocks:
                set_clock(clock, 0)
            more["env"] = {**os.environ, **faked_clock(clocks[0])}
        broker = _broker(system, folder, more)
        stack.callback(broker.stop)
        broker.start()
        results = broker if isinstance(broker, Redis) else Redis(folder / "results")
        if results is not broker:
            stack.callback(results.stop)
            results.start()
        yield Setting(broker, results, hosts, clocks, env, system.worker_options)


def _broker(system: System, folder: Path, more: dict[str, Any]) -> Broker:
    if system.broker == "pgmq":
        from benchmarks.chaos.pgmq import PGMQ  # needs a package of the bench lock

        return PGMQ(folder / "pgmq")
    return RabbitMQ(folder / "rabbitmq") if system.broker == "rabbitmq" else Redis(folder / "redis", **more)


def find_python(system: System, options: Options) -> str:
    """The interpreter that has what the system needs.

    Raises:
        ChaosError: none has.
    """
    if not system.needs_python:
        return sys.executable
    wanted = ".".join(map(str, system.needs_python))
    for python in (options.python_for_peers, sys.executable):
        if python:
            command = [python, "-c", "import celery_redis_plus"]
            if not subprocess.run(command, capture_output=True, check=False).returncode:
                return python
    raise ChaosError(f"needs Python {wanted} with {system.title}: --python-for-peers")


def environment_of(broker_url: str, results_url: str, system: System, journal: Journal) -> dict[str, str]:
    """The environment of the system's workers."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("WORKER__", "CHAOS_", "PYTEST_")) and name != "REDIS_URL"
    }
    own = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "CHAOS_JOURNAL": str(journal.path)}
    return {**inherited, **own, **system.environment(broker_url, results_url)}


def publisher_environment(system: System) -> dict[str, str]:
    """So that an answer that does not come is not waited for until the end of the fault."""
    return {"WORKER__BROKER__SOCKET_TIMEOUT_SECONDS": "5"} if system.configuration is None else {}


def make_workers(
    python: str, env: dict[str, str], fault: Fault, setting: Setting, *, folder: Path, options: Options
) -> Workers:
    """The workers of a run, not started."""
    env = {**env, **fault.worker_env}
    if setting.clocks:
        env = with_clock(env, setting.clocks[1])
    all_of_them = []
    for number in range(options.workers):
        prefix = setting.prefix_of_first
        if setting.hosts and number:
            prefix = setting.hosts.prefix(1)
        command = [*prefix, *worker_command(python, number, options.concurrency), *setting.worker_options]
        all_of_them.append(Worker(f"w{number}", command, folder, env, ROOT))
    return Workers(all_of_them)


def worker_command(python: str, number: int, concurrency: int) -> list[str]:
    """What starts one."""
    return [
        *(python, "-m", "celery", "-A", APP, "worker", "--loglevel=info", f"--concurrency={concurrency}"),
        *(f"--hostname=w{number}@chaos", "--without-mingle", "--without-gossip"),
    ]


def with_clock(env: Mapping[str, str], clock: Path) -> dict[str, str]:
    """The environment of a worker whose time is the one of this file (`hosts.set_clock`)."""
    path = os.pathsep.join([str(Path(__file__).parent / "clock"), env["PYTHONPATH"]])
    return {**env, **faked_clock(clock), "PYTHONPATH": path}


@contextmanager
def _beats(python: str, env: dict[str, str], fault: Fault, system: System, folder: Path) -> Iterator[Beats]:
    """Two, except where a clock is stepped: that moves the schedule's moments as well."""
    number = 2 if system.promises and not fault.clocks and not fault.hosts else 0
    beats = Beats([python, "-m", "celery", "-A", APP, "beat", "--loglevel=info"], folder, env, number, fault)
    try:
        beats.start()
        yield beats
    finally:
        beats.stop()


def _wait_for_tasks(publisher: Publisher, options: Options) -> None:
    deadline = time.monotonic() + 2 * options.tasks / options.rate + SLOW_SECONDS
    while publisher.confirmed < options.tasks and time.monotonic() < deadline:
        time.sleep(0.1)


def drain(unfinished: Callable[[], set[str]], journal: Journal, system: System, broker: Broker) -> None:
    """Wait until all that was confirmed is finished, or nothing happens any more."""
    seen, since = -1, time.monotonic()
    nowhere_since: float | None = None
    end = since + DRAIN_AT_MOST_SECONDS
    while time.monotonic() < end:
        missing = unfinished()
        # A task that a schedule sent has an id that we do not know; it counts as missed unless it runs.
        if not missing and not (system.promises and set(broker.remaining().values()) - {"dead letter"}):
            return
        if len(missing) != seen or journal.running():
            seen, since = len(missing), time.monotonic()
        if time.monotonic() - since > system.patience_seconds:
            return
        if isinstance(broker, Redis):
            places = broker.remaining()
            waiting = not missing or any(places.get(task, "dead letter") != "dead letter" for task in missing)
            if waiting or journal.running():
                nowhere_since = None
            elif nowhere_since is None:
                nowhere_since = time.monotonic()
            elif time.monotonic() - nowhere_since > 5:  # longer than any retry takes to be sent
                return
        time.sleep(0.25)


def _keep(folder: Path, target: Path, publisher: Publisher) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for file in (*folder.glob("*.log"), folder / "executions"):
        (target / file.name).write_bytes(file.read_bytes())
    lines = (json.dumps(task) for task in publisher.sent.values())
    (target / "published").write_text("\n".join(lines) + "\n", "utf-8")


def _version_of(python: str, code: str) -> str:
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
