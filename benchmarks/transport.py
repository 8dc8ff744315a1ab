"""Measures what a task costs on our transport, and what that buys, beside Celery's default in the same run.

    nox -s bench -- benchmarks/transport.py
    python benchmarks/transport.py [--quick] [--only SECTION ...] [--show FILE]

It prints the tables of the documentation, in Markdown, and keeps every single measurement as JSON in
`benchmarks/results/transport.json` (`--quick`: only where `--output` says). `--show FILE` prints the tables
of an earlier run. Linux only: it reads /proc.

Equal on both sides: machine, Python, libraries, server program (append-only file, fsync every second), one
new server for each measurement, prefork with 2 processes, prefetch of 4 messages a process, one queue, a
no-op task with one integer argument, mingle, gossip and heartbeat as Celery has them, log level warning,
messages published by a process of its own before the worker starts.

Different: the baseline is `Celery(broker=..., backend=...)` and nothing else, so it acknowledges before it
runs a task and has no time limits. Ours is `celery_worker.celery_app` with every setting of `worker.toml` but
prefetch (1 there): late acknowledgement, reject on a lost worker, time limits, 1,000 tasks a pool process, a
consumer that keeps invalid messages, and `BaseTask`, which checks arguments and retries. "plain Task" leaves
out `BaseTask`; "pool processes kept" replaces none, where a new one costs about as much as a hundred no-op
tasks and both are often due at once; "kombu's transport" has `broker.transport = "plain"`. dramatiq has one
thread a process, so as to run as many tasks at once, and for no-op tasks the prefetch (16) of its default of
8 threads, as with less it sleeps between fetches. huey knows no prefetch.

CPU is user and system time of all processes of the worker and of the server, those that have ended included,
from the first task's start to the last one's end. Sides take turns, and each round starts with another one. A
ratio is the median of the rounds' ratios. With events on, no program listens to them; Flower would cost more.
"""

import argparse
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import redis
from kombu.transport.redis import Channel

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.transport_workers.bodies import Progress  # noqa: E402 -- needs the path above
from contentworker.config import ENVIRONMENT_PREFIX  # noqa: E402 -- needs the path above
from contentworker.runtime.development import local_redis  # noqa: E402 -- needs the path above

PACKAGE = "benchmarks.transport_workers"
RESULTS = ROOT / "benchmarks" / "results" / "transport.json"
PROCESSES, PREFETCH = 2, 4
QUEUE = "celery"
PATIENCE_SECONDS = 120
POLL_SECONDS = 0.002
OTHERS_PERCENT = 10
"""Where other programs take more of the machine than this, the figures say more about them."""

Sample = dict[str, float]
Value = Any


@dataclass(frozen=True)
class Side:
    """A worker to be measured."""

    name: str
    module: str
    on_kill: str
    prefix: str = ""  # of its tasks' names
    settings: Mapping[str, str] = field(default_factory=dict)  # as in worker.toml: SECTION__KEY

    @property
    def environment(self) -> dict[str, str]:
        """The caller's, without what would configure the project, and with this side's settings."""
        kept = {key: text for key, text in os.environ.items() if not key.startswith(ENVIRONMENT_PREFIX)}
        own = {f"{ENVIRONMENT_PREFIX}{key}": text for key, text in self.settings.items()}
        return {**kept, **own, "PYTHONPATH": str(ROOT)}

    def command(self, *options: str) -> list[str]:
        """What starts its worker."""
        if self.module == "dramatiq_app":
            arguments = ["dramatiq", f"{PACKAGE}.dramatiq_app", f"--processes={PROCESSES}", "--threads=1"]
        elif self.module == "huey_app":
            pool = [f"--workers={PROCESSES}", "--worker-type=process", "--quiet"]
            arguments = ["huey.bin.huey_consumer", f"{PACKAGE}.huey_app.huey", *pool]
        else:
            pool = [f"--concurrency={PROCESSES}", f"--prefetch-multiplier={PREFETCH}", f"--queues={QUEUE}"]
            arguments = ["celery", "-A", f"{PACKAGE}.{self.module}", "worker", *pool, *options]
        return [sys.executable, "-m", *arguments]


# What becomes of the task that a killed worker was running, by each program's own defaults.
LOST, HOUR, MINUTE, SECONDS = "lost", "back after an hour", "back after a minute", "back in seconds"
BASELINE = Side("Celery's default", "celery_app", LOST)
DRAMATIQ = Side("dramatiq", "dramatiq_app", MINUTE)
HUEY = Side("huey", "huey_app", LOST)


def our_sides(transport: str) -> list[Side]:
    """Ours as it is first; then with one thing different each, to see what that costs."""
    own = {"BROKER__TRANSPORT": transport} if transport else {}
    on_kill = SECONDS if transport == "leased" else HOUR
    kept = {**own, "LIMITS__MAX_TASKS_PER_CHILD": "1000000"}
    sides = [
        Side("ours", "our_app", on_kill, "typed.", own),
        Side("ours, plain Task", "our_app", on_kill, "bare.", own),
        Side("ours, pool processes kept", "our_app", on_kill, "typed.", kept),
    ]
    if transport == "leased":
        plain = {"BROKER__TRANSPORT": "plain"}
        sides.append(Side("ours, kombu's transport", "our_app", HOUR, "typed.", plain))
    return sides


def wait_until(condition: Callable[[], Value], what: str, poll_seconds: float = POLL_SECONDS) -> Value:
    """Wait for a condition to be true of something, and return that."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain: {what}")
        time.sleep(poll_seconds)
    return found


@dataclass
class Bench:
    """One new server, and the workers on it, all gone in the end."""

    folder: Path
    url: str
    server: int
    client: redis.Redis
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self, side: Side, *options: str, wait: bool = False, **more: str) -> "subprocess.Popen[bytes]":
        """Start a worker; `wait` until it is ready, for which it has to log more than by default.

        `more` is for its environment.
        """
        log = self.folder / f"worker{len(self.workers)}.log"
        if wait:
            options = (*options, "--loglevel=info", f"--hostname=worker{len(self.workers)}@%h")
        with log.open("wb") as output:
            process = subprocess.Popen(
                side.command(*options),
                cwd=ROOT,
                env={**self._environment(side), **more},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.workers.append(process)
        if wait:
            wait_until(lambda: b" ready." in log.read_bytes(), f"{side.name} ready")
        return process

    def publish(self, side: Side, task: str, count: int, argument: str, *options: str) -> float:
        """Have a process publish calls; return how long it took."""
        start = time.monotonic()
        command = [f"{PACKAGE}.publish", f"{PACKAGE}.{side.module}", f"{side.prefix}{task}"]
        subprocess.run(
            [sys.executable, "-m", *command, str(count), argument, *options],
            cwd=ROOT,
            env=self._environment(side),
            check=True,
        )
        return time.monotonic() - start

    def _environment(self, side: Side) -> Mapping[str, str]:
        return {**side.environment, "REDIS_URL": self.url, "BENCH_FOLDER": str(self.folder)}

    def cpu_seconds(self) -> float:
        """User and system time so far of the server and all workers, those of ended children included."""
        sessions = {self.server, *(worker.pid for worker in self.workers)}
        seconds = 0.0
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it ended meanwhile
                fields = path.read_text().rpartition(")")[2].split()
                if int(fields[3]) in sessions:
                    seconds += _cpu_seconds_of(int(path.parent.name))
                    # Of its children that have ended, which no clock shows any more.
                    seconds += (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
        return seconds

    def stored_results(self) -> int:
        """How many results there are, and a few other keys. huey keeps them in one hash."""
        return int(self.client.dbsize()) + int(self.client.hlen("huey.results.bench"))

    def log(self) -> str:
        """The end of what the workers wrote."""
        lines = [line for path in sorted(self.folder.glob("*.log")) for line in path.read_text().splitlines()]
        return "\n".join(lines[-20:])


@contextmanager
def bench() -> Iterator[Bench]:
    """A server for this measurement; it and its workers are killed in the end."""
    with (
        tempfile.TemporaryDirectory() as name,
        local_redis.throwaway(Path(name) / "redis", durable=True) as url,
    ):
        server = local_redis.find(Path(name) / "redis")
        assert server
        with redis.Redis.from_url(url) as client:
            this = Bench(Path(name), url, server.pid, client)
            try:
                yield this
            except TimeoutError as error:
                sys.exit(f"{error}\n{this.log()}")
            finally:
                for worker in this.workers:
                    kill(worker)


def kill(worker: "subprocess.Popen[bytes]") -> None:
    """Kill a worker with all its processes."""
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


def machine_cpu_seconds() -> float:
    """Time so far that all cores together were not idle."""
    fields = [int(ticks) for ticks in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def _cpu_seconds_of(pid: int) -> float:
    """All threads of a process, in nanoseconds where /proc/PID/stat has ticks of 10 ms.

    This is the clock that clock_getcpuclockid(3) names, which Python has for threads only.
    """
    return time.clock_gettime((~pid << 3) | 2)


def rss_megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


@dataclass(frozen=True)
class Load:
    """Tasks to be run through."""

    title: str
    count: int
    milliseconds: int = 0
    stores_results: bool = True
    options: tuple[str, ...] = ()

    @property
    def dramatiq_prefetch(self) -> int:
        """A full prefetch makes dramatiq sleep, a long one lets one process wait while the other has all."""
        return PREFETCH if self.milliseconds else 16


def run_load(side: Side, load: Load) -> Sample:
    """CPU and time of one worker for tasks that wait for it."""
    with bench() as this:
        task = "work" if load.stores_results else "work_ignored"
        this.publish(side, task, load.count, str(load.milliseconds))
        this.start(side, *load.options, dramatiq_queue_prefetch=str(load.dramatiq_prefetch))
        wait_until(lambda: Progress(this.folder).has_started, f"{side.name}: first task")
        machine_before, start = machine_cpu_seconds(), time.monotonic()
        before, done_before = this.cpu_seconds(), Progress(this.folder).done
        wait_until(lambda: Progress(this.folder).done >= load.count, f"{side.name}: {load.title}")
        cpu_seconds, end = this.cpu_seconds() - before, Progress(this.folder)
        others = machine_cpu_seconds() - machine_before - cpu_seconds
        others_share = others / (time.monotonic() - start) / (os.cpu_count() or 1)
        if load.stores_results:
            wait_until(lambda: this.stored_results() >= load.count, f"{side.name}: results")
        elif this.stored_results() >= load.count:
            sys.exit(f"{side.name} stored results that were to be ignored")
        if end.done != load.count:
            sys.exit(f"{side.name} ran {end.done} tasks, not {load.count}")
    return {
        "cpu_milliseconds_per_task": 1_000 * cpu_seconds / (load.count - done_before),
        "tasks_per_second": load.count / end.seconds,
        "seconds": end.seconds,
        "others_cpu_percent": 100 * max(0, others_share),
    }


def in_turn(
    sides: Sequence[Side], rounds: int, measure: Callable[[Side], Any], title: str
) -> dict[str, list[Any]]:
    """Each side once a round, beginning with another one each time."""
    samples: dict[str, list[Any]] = {side.name: [] for side in sides}
    for turn in range(rounds):
        first = turn % len(sides)
        for side in (*sides[first:], *sides[:first]):
            print(f"{title}: round {turn + 1} of {rounds}: {side.name}", file=sys.stderr, flush=True)
            samples[side.name].append(measure(side))
    return samples


def run_in_turn(sides: Sequence[Side], load: Load, rounds: int) -> dict[str, list[Sample]]:
    return in_turn(sides, rounds, lambda side: run_load(side, load), load.title)


def run_recovery(side: Side, kills: int) -> list[float]:
    """Seconds from the kill of a whole worker, in mid-task, to the task's start in the idle other one."""
    moments = random.Random(1)
    with bench() as this:
        workers = [this.start(side, wait=True) for _ in range(2)]
        seconds = []
        for number in range(kills):
            print(f"recovery: kill {number + 1} of {kills}", file=sys.stderr, flush=True)
            # A kill is to fall anywhere between two renewals of a lease.
            victim, took = kill_and_wait(this, side, number, moments.uniform(0, 1))
            seconds.append(took)
            (place,) = (place for place, worker in enumerate(workers) if worker.pid == victim)
            workers[place] = this.start(side, wait=True)
    return seconds


def kill_and_wait(this: Bench, side: Side, number: int, after_seconds: float) -> tuple[int, float]:
    """Kill whichever worker runs a task; return its id, and the seconds until the task starts again."""
    file = this.folder / f"hold-{number}"

    def starts() -> list[tuple[int, int]]:
        """(process, ns) of each start so far."""
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        return [(int(line.split()[0]), int(line.split()[1])) for line in lines if line.endswith("\n")]

    this.publish(side, "hold", 1, str(number))
    wait_until(starts, "start of a task")
    victim = os.getpgid(starts()[0][0])
    time.sleep(after_seconds)
    killed_ns = time.monotonic_ns()
    os.killpg(victim, signal.SIGKILL)
    wait_until(lambda: len(starts()) > 1, "second start of the task")
    return victim, (starts()[1][1] - killed_ns) / 1e9


def run_latency(side: Side, count: int) -> dict[str, Any]:
    """Milliseconds from publishing to the start, one message at a time; CPU while there is none."""
    with bench() as this:
        this.start(side, wait=True)
        latencies = this.folder / "latencies"
        warm_up = 4 * PROCESSES
        this.publish(side, "note_latency", warm_up, "now", "--pause-seconds=0.05")
        wait_until(lambda: len(latencies.read_text().splitlines()) == warm_up, "warm-up")
        before, start = this.cpu_seconds(), time.monotonic()
        time.sleep(5)
        idle = (this.cpu_seconds() - before) / (time.monotonic() - start)
        # One more: the first waits for its publisher to connect.
        this.publish(side, "note_latency", 1 + count, "now", "--pause-seconds=0.1")
        expected = warm_up + 1 + count
        wait_until(lambda: len(latencies.read_text().splitlines()) == expected, "all latencies")
        values = [int(line) / 1e6 for line in latencies.read_text().splitlines()[-count:]]
    return {"milliseconds": values, "idle_cpu_percent": 100 * idle}


def run_memory(side: Side, count: int) -> Sample:
    """What a worker's main process, and Redis, grow by when tasks for later arrive."""
    with bench() as this:
        worker = this.start(side, wait=True)
        before = rss_megabytes(worker.pid), int(this.client.info("memory")["used_memory"]) / 1e6
        publish_seconds = this.publish(side, "work_ignored", count, "0", "--countdown=3600")
        wait_until(lambda: this.client.llen(QUEUE) == 0, "delayed tasks taken from the queue", 0.2)
        _settle(lambda: rss_megabytes(worker.pid))
        after = rss_megabytes(worker.pid), int(this.client.info("memory")["used_memory"]) / 1e6
    return {
        "worker_megabytes_before": before[0],
        "worker_megabytes_after": after[0],
        "redis_megabytes_more": after[1] - before[1],
        "publish_seconds": publish_seconds,
    }


def _settle(measure: Callable[[], float]) -> None:
    """Wait until a figure stays within 1 for two seconds."""
    values = [measure()]

    def is_settled() -> bool:
        values.append(measure())
        return len(values) > 4 and max(values[-5:]) - min(values[-5:]) < 1

    wait_until(is_settled, "memory to settle", 0.5)


def median(samples: Sequence[Sample], name: str) -> float:
    return statistics.median(sample[name] for sample in samples)


def ratio(ours: Sequence[Sample], baseline: Sequence[Sample], name: str) -> tuple[float, float, float]:
    """Median, least and greatest of the rounds' ratios."""
    ratios = [mine[name] / its[name] for mine, its in zip(ours, baseline, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def percentile(values: Sequence[float], percent: int) -> float:
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def table(heading: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (columns, ["---"] * len(columns), *rows)]
    return "\n".join([f"### {heading}", "", *lines, ""])


BARS = {
    # title of the load: (CPU at most, throughput at least), as ratios to the baseline, for `ours`
    "no-op, with results": (0.6, 1.8),
    "no-op, ignore_result": (0.55, 1.6),
    "10 ms, with results": (1, 1),
    "1 s, with results": (1.3, 0.99),
}


def load_table(title: str, count: int, samples: dict[str, list[Sample]], on_kill: dict[str, str]) -> str:
    baseline = samples[BASELINE.name]
    rows = []
    for name, own in samples.items():
        cells = [name, on_kill[name]]
        for quantity in ("cpu_milliseconds_per_task", "tasks_per_second"):
            value = median(own, quantity)
            middle, least, most = ratio(own, baseline, quantity)
            cells.append(f"{value:,.0f}" if value >= 100 else f"{value:.2f}")
            cells.append("1" if own is baseline else f"{middle:.2f} ({least:.2f} to {most:.2f})")
        rows.append(cells)
    columns = [
        "worker",
        "task of a killed worker",
        "CPU ms per task",
        "CPU / default's",
        "tasks/s",
        "tasks/s / default's",
    ]
    text = table(f"{title}: {count:,} tasks, median of rounds: {len(baseline)}", columns, rows)
    if title in BARS:
        cpu_bar, speed_bar = BARS[title]
        cpu = ratio(samples["ours"], baseline, "cpu_milliseconds_per_task")[0]
        speed = ratio(samples["ours"], baseline, "tasks_per_second")[0]
        busiest = max(sample["others_cpu_percent"] for sample in (*samples["ours"], *baseline))
        verdicts = (
            _verdict(busiest, is_met=cpu <= cpu_bar),
            _verdict(busiest, is_met=speed >= speed_bar),
        )
        text += (
            f"\nBars against the default: CPU at most {cpu_bar}: {verdicts[0]}; "
            f"throughput at least {speed_bar}: {verdicts[1]}.\n"
        )
    return text


def _verdict(busiest_percent: float, *, is_met: bool) -> str:
    if busiest_percent > OTHERS_PERCENT:
        return f"not judged, as others took up to {busiest_percent:.0f} % of the machine"
    return "met" if is_met else "**missed**"


def recovery_table(seconds: list[float] | None) -> str:
    visibility = f"{Channel.visibility_timeout:,} s"
    rows = []
    if seconds is not None:
        figures = (percentile(seconds, 50), percentile(seconds, 99), max(seconds))
        rows.append(["ours", str(len(seconds)), *(f"{figure:.1f} s" for figure in figures)])
    rows += [
        ["Celery's default: the task that ran", "not run", *["never: acknowledged before it ran"] * 3],
        ["Celery's default: messages it had prefetched", "not run", *[f"{visibility} (its setting)"] * 3],
    ]
    heading = "Recovery: from kill -9 of a whole worker to the task's start in another, idle one"
    return table(heading, ["worker", "kills", "p50", "p99", "longest"], rows)


def latency_table(samples: dict[str, list[dict[str, Any]]]) -> str:
    rows = []
    for name, rounds in samples.items():
        values = [value for sample in rounds for value in sample["milliseconds"]]
        idle = statistics.median(sample["idle_cpu_percent"] for sample in rounds)
        figures = (f"{percentile(values, percent):.1f} ms" for percent in (50, 99))
        rows.append([name, str(len(values)), *figures, f"{idle:.1f} %"])
    heading = "Latency of a single task through an idle worker, publish to start"
    return table(heading, ["worker", "tasks", "p50", "p99", "CPU while idle (of one core)"], rows)


def memory_table(count: int, samples: dict[str, list[Sample]]) -> str:
    rows = []
    for name, rounds in samples.items():
        before, after = (median(rounds, f"worker_megabytes_{when}") for when in ("before", "after"))
        more = median(rounds, "redis_megabytes_more")
        rows.append(
            [name, f"{before:.0f} MB", f"{after:.0f} MB", f"{after - before:+.0f} MB", f"{more:+.0f} MB"]
        )
    heading = f"Memory of a worker's main process with {count:,} tasks due in an hour"
    return table(heading, ["worker", "before", "after", "more", "more in Redis"], rows)


def report(data: dict[str, Any]) -> str:
    """The tables of a run."""
    parts = []
    for title, load in data.get("loads", {}).items():
        parts.append(load_table(title, load["count"], load["samples"], data["on_kill"]))
    if "loads" in data:
        parts.append(
            "dramatiq and huey stay lighter per task: no main process hands their tasks to a pool, and they "
            "have no events and no remote control. With tasks of 1 s most of the CPU is spent on waiting.\n"
        )
        shares = [
            sample["others_cpu_percent"]
            for load in data["loads"].values()
            for samples in load["samples"].values()
            for sample in samples
        ]
        usual, most = statistics.median(shares), max(shares)
        parts.append(f"Everything else on the machine took {usual:.0f} % of it, at most {most:.0f} %.\n")
    if "recovery" in data:
        parts.append(recovery_table(data["recovery"]))
    if "latency" in data:
        parts.append(latency_table(data["latency"]))
    if "memory" in data:
        parts.append(memory_table(data["memory"]["count"], data["memory"]["samples"]))
    machine = data["machine"]
    parts.append(", ".join(f"{name} {value}" for name, value in machine.items()) + ".")
    return "\n".join(parts)


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    with bench() as this:
        info = this.client.info("server")
    server = "Valkey" if "valkey_version" in info else "Redis"
    names = ("celery", "kombu", "redis", "dramatiq", "huey")
    return {
        "cores": str(os.cpu_count()),
        "Linux": platform.release(),
        "Python": platform.python_version(),
        server: str(info.get("valkey_version", info["redis_version"])),
        **{f"{name} (PyPI)": version(name) for name in names},
    }


SECTIONS = ("loads", "recovery", "latency", "memory")


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """Every section that was asked for."""
    ours, *others = our_sides(options.transport)
    everybody = [BASELINE, ours, *others, DRAMATIQ, HUEY]
    pair, peers = [BASELINE, ours], [BASELINE, ours, DRAMATIQ, HUEY]
    data: dict[str, Any] = {
        "machine": machine(),
        "transport": options.transport or "kombu's",
        "on_kill": {side.name: side.on_kill for side in everybody},
    }
    if "loads" in options.only:
        tasks, quick = options.tasks, options.quick
        loads = [
            (everybody, Load("no-op, with results", tasks)),
            (everybody, Load("no-op, ignore_result", tasks, stores_results=False)),
            (pair, Load("no-op, with results, events on (-E)", tasks, options=("--task-events",))),
            (peers, Load("10 ms, with results", 200 if quick else 1_000, 10)),
            (peers, Load("1 s, with results", 8 if quick else 20, 1_000)),
        ]
        data["loads"] = {
            load.title: {"count": load.count, "samples": run_in_turn(sides, load, options.rounds)}
            for sides, load in loads
        }
    if "recovery" in options.only:
        # On kombu's transport it would take the visibility timeout, an hour.
        data["recovery"] = run_recovery(ours, options.kills) if options.transport == "leased" else None
    few = 1 if options.quick else 3
    if "latency" in options.only:
        count = 30 if options.quick else 200
        data["latency"] = in_turn(pair, few, lambda side: run_latency(side, count), "latency")
    if "memory" in options.only:
        count = options.delayed
        samples = in_turn(pair, 1, lambda side: run_memory(side, count), "memory")
        data["memory"] = {"count": count, "samples": samples}
    return data


def main() -> None:
    """Print the tables; keep the measurements."""
    parser = argparse.ArgumentParser(description="Measure our transport against Celery's default.")
    parser.add_argument("--quick", action="store_true", help="few rounds of few tasks: does it all work?")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--rounds", type=int, help="of each load (default 5, quick 1)")
    parser.add_argument("--tasks", type=int, help="no-op tasks a measurement (default 4000, quick 1000)")
    parser.add_argument("--kills", type=int, help="of a worker (default 10, quick 2)")
    parser.add_argument("--delayed", type=int, help="tasks for later (default 100000, quick 5000)")
    parser.add_argument(
        "--transport",
        choices=["leased", "plain"],
        default="leased",
        help="what ours runs on",
    )
    parser.add_argument("--output", type=Path, help="where the measurements go, as JSON")
    parser.add_argument("--show", type=Path, metavar="FILE", help="print the tables of an earlier run")
    options = parser.parse_args()
    if options.show:
        print(report(json.loads(options.show.read_text("utf-8"))))
        return
    defaults = {
        "rounds": (5, 1),
        "tasks": (4_000, 1_000),
        "kills": (10, 2),
        "delayed": (100_000, 5_000),
        "output": (RESULTS, None),
    }
    for name, (full, quick) in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, quick if options.quick else full)
    # So that a stop, too, leaves no process behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    data = measure_all(options)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    print(report(data))


if __name__ == "__main__":
    main()
