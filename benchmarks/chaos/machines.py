"""Five machines, a Redis watched by Sentinels, and all that can go wrong between machines, in one run.

    nox -s chaos -- machines

| machine | runs |
|---|---|
| 0 | Redis, a Sentinel |
| 1 | its replica, a Sentinel |
| 2 | a Sentinel, the sender, a worker |
| 3 | a worker, whose clock is an hour fast |
| 4 | a worker |

Every connection has TLS and a password; workers and the sender are the user with few rights of docs/redis.md.
While tasks are sent and run, the Redis of machine 0 is killed, the replica takes over, and the old one comes
back as its replica. Then machine 4 is cut off until its worker has lost its lease, and joined again.
"""

import os
import re
import tempfile
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.chaos.accounting import Published, count
from benchmarks.chaos.brokers import Redis, redis_executable
from benchmarks.chaos.hosts import Hosts, certificate, joined_hosts, set_clock
from benchmarks.chaos.load import Options, Publisher
from benchmarks.chaos.processes import ROOT, ChaosError, Process, Worker, Workers, free_port, wait_until
from benchmarks.chaos.records import Journal
from benchmarks.chaos.run import environment_of, publisher_environment, with_clock, worker_command
from benchmarks.chaos.systems import SYSTEMS
from contentworker.runtime.transport.keys import LEASES

__all__ = ["Machines", "run"]

SYSTEM = SYSTEMS["leased"]
MASTER = "themaster"
USER = "content-worker"
SENTINELS = 3
FAST, CUT_OFF = 3, 4
"""Machines: whose clock is wrong, and whose cable is unplugged."""
HOUR_SECONDS = 3600
IN_BETWEEN_TASKS = 20
"""So many are finished before the next thing goes wrong."""


def user_with_few_rights(password: str) -> str:
    """The line of docs/redis.md."""
    found = re.search(rf"^user {USER} .*$", (ROOT / "docs/redis.md").read_text("utf-8"), re.MULTILINE)
    assert found
    return found[0].replace("PASSWORD", password)


class Machines:
    """What runs on five hosts."""

    def __init__(self, hosts: Hosts, folder: Path, stack: ExitStack) -> None:
        self.hosts, self.folder, self._stack = hosts, folder, stack
        self.password, self._admin, self._of_sentinels = (uuid.uuid4().hex for _ in range(3))
        self._tls = certificate(folder / "tls", *hosts.addresses)
        rights = folder / "users.acl"
        rights.write_text(
            f"user default on >{self._admin} ~* &* +@all\n{user_with_few_rights(self.password)}\n", "utf-8"
        )
        more = {
            "aclfile": str(rights),
            "masterauth": self._admin,
            "tls-replication": "yes",
            "repl-diskless-sync-delay": "0",
        }
        self.servers = [
            Redis(
                folder / f"redis{number}",
                address=hosts.addresses[number],
                prefix=hosts.prefix(number),
                tls=self._tls,
                password=self._admin,
                more=more,
            )
            for number in range(2)
        ]
        for server in self.servers:
            stack.callback(server.stop)
            server.start()
        first, second = self.servers
        second.client.replicaof(first.address, str(first.port))
        wait_until(lambda: self.replicas(first) == 1, "the replica has all")
        self._port = free_port()
        self._sentinels = [self._sentinel(number) for number in range(SENTINELS)]
        for each in self._sentinels:
            stack.callback(each.stop)
            each.start()
        wait_until(lambda: all(map(self._knows_all, self._sentinels)), "the Sentinels know each other")

    def _sentinel(self, number: int) -> Process:
        folder = self.folder / f"sentinel{number}"
        folder.mkdir()
        first = self.servers[0]
        lines = [
            *("port 0", f"tls-port {self._port}", f"bind {self.hosts.addresses[number]}", f"dir {folder}"),
            *(f"tls-cert-file {self._tls}/server.crt", f"tls-key-file {self._tls}/server.key"),
            *(f"tls-ca-cert-file {self._tls}/ca.crt", "tls-auth-clients no", "tls-replication yes"),
            *(f"requirepass {self._of_sentinels}", f"sentinel sentinel-pass {self._of_sentinels}"),
            f"sentinel monitor {MASTER} {first.address} {first.port} 2",
            f"sentinel auth-pass {MASTER} {self._admin}",
            f"sentinel down-after-milliseconds {MASTER} 2000",
            f"sentinel failover-timeout {MASTER} 10000",
        ]
        file = folder / "sentinel.conf"
        file.write_text("\n".join([*lines, ""]), "utf-8")
        command = [
            *self.hosts.prefix(number),
            redis_executable(os.environ, tls=True),
            str(file),
            "--sentinel",
        ]
        return Process(command, folder / "log", os.environ, folder)

    @staticmethod
    def _knows_all(sentinel: Process) -> bool:
        said = sentinel.log_file.read_text("utf-8", "replace")
        return said.count("+sentinel sentinel") >= SENTINELS - 1 and "+slave slave" in said

    @staticmethod
    def replicas(server: Redis) -> int:
        """How many have caught up."""
        info: Any = server.client.info("replication")
        return sum(
            each["state"] == "online" for name, each in info.items() if re.fullmatch(r"slave\d+", name)
        )

    @staticmethod
    def is_master(server: Redis) -> bool:
        """Whether it takes writes."""
        info: Any = server.client.info("replication")
        return bool(info["role"] == "master")

    def environment(self, journal: Journal) -> dict[str, str]:
        """Of workers and of the sender."""
        first, *others = [f"{address}:{self._port}" for address in self.hosts.addresses[:SENTINELS]]
        login = f"sentinel://{USER}:{self.password}@{first}/0?ssl_ca_certs={self._tls}/ca.crt"
        url = ";".join([login, *(f"sentinel://{each}" for each in others)])
        return {
            **environment_of(url, "", SYSTEM, journal),
            "WORKER__BROKER__SENTINEL_MASTER": MASTER,
            "WORKER__BROKER__WAIT_FOR_REPLICAS": "1",
            "REDIS_SENTINEL_PASSWORD": self._of_sentinels,
        }

    def worker(self, python: str, host: int, env: Mapping[str, str], concurrency: int) -> Worker:
        """One that is not started yet."""
        if host == FAST:
            clock = self.folder / "clock"
            set_clock(clock, HOUR_SECONDS)
            env = with_clock(env, clock)
        command = [*self.hosts.prefix(host), *worker_command(python, host, concurrency)]
        return Worker(f"w{host}", command, self.folder, env, ROOT)


def run(python: str, options: Options) -> dict[str, Any]:
    """Do it all once; return what became of every task.

    Raises:
        ChaosError: it cannot be done here, or the harness itself failed.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        machines = Machines(stack.enter_context(joined_hosts(CUT_OFF + 1)), folder, stack)
        old, new = machines.servers
        journal = Journal(folder / "executions")
        env = machines.environment(journal)
        workers = Workers(
            [machines.worker(python, host, env, options.concurrency) for host in (2, FAST, CUT_OFF)]
        )
        stack.callback(workers.stop)
        workers.start()
        sending = [*machines.hosts.prefix(2), python, "-m", "benchmarks.chaos.publisher"]
        publisher = Publisher(sending, {**env, **publisher_environment(SYSTEM)}, journal, options)
        stack.callback(publisher.stop)

        def wait_for_tasks() -> float:
            """Wait until more are sent and done; return how long that took."""
            began, sent, done = time.monotonic(), publisher.confirmed, len(journal.refresh().finished)
            wait_until(
                lambda: (
                    publisher.confirmed >= sent + IN_BETWEEN_TASKS
                    and len(journal.refresh().finished) >= done + IN_BETWEEN_TASKS
                ),
                "tasks are sent and done",
            )
            return time.monotonic() - began

        wait_for_tasks()
        old.process.stop()
        killed_at = time.monotonic()
        wait_until(lambda: machines.is_master(new), "the replica is the master")
        failover_seconds = time.monotonic() - killed_at
        old.start()
        wait_until(lambda: machines.replicas(new) == 1, "the old one is a replica")
        replica_seconds = time.monotonic() - killed_at
        wait_for_tasks()
        alone = workers.all[-1]
        wait_until(lambda: _runs(alone, journal), "the worker runs tasks")
        machines.hosts.set_cable("down", CUT_OFF)
        cut_off_at = time.monotonic()
        wait_until(lambda: not _has_lease(alone, new), "others take back what it held")
        reclaim_seconds = time.monotonic() - cut_off_at
        machines.hosts.set_cable("up", CUT_OFF)
        wait_until(lambda: _has_lease(alone, new) and _runs(alone, journal), "it works again")
        wait_for_tasks()
        publisher.check()
        publisher.stop()
        published = [
            Published(task["id"], task["kind"], task["confirmed"]) for task in publisher.sent.values()
        ]
        _drain(published, journal, new)
        workers.stop()
        figures = count(published, journal.refresh().executions.values(), new.remaining(), new.failures())
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            for file in (*folder.glob("*.log"), *folder.glob("*/log"), folder / "executions"):
                (options.keep / str(file.relative_to(folder)).replace("/", "-")).write_bytes(
                    file.read_bytes()
                )
        return {
            **asdict(figures),
            "failover_seconds": round(failover_seconds, 1),
            "replica_seconds": round(replica_seconds, 1),
            "reclaim_seconds": round(reclaim_seconds, 1),
            "worker_deaths": workers.deaths,
            "overlaps_reported": workers.log_lines("overlap"),
            "publish_errors": publisher.errors,
            "broker": new.version(),
        }


def _runs(worker: Worker, journal: Journal) -> bool:
    return any(each.parent == worker.pid for each in journal.refresh().running())


def _has_lease(worker: Worker, server: Redis) -> bool:
    holders: Any = server.client.hkeys(LEASES)
    return any(f":{worker.pid}:".encode() in holder for holder in holders)


def _drain(published: list[Published], journal: Journal, broker: Redis) -> None:
    """Wait until all that was confirmed is finished, a dead letter, or delayed by the clock that is wrong."""
    wanted = {task.id for task in published if task.confirmed}

    def is_over() -> bool:
        missing = wanted - journal.refresh().finished
        if not missing:
            return True
        places = broker.remaining()
        return (
            all(places.get(task) in ("dead letter", "delayed") for task in missing) and not journal.running()
        )

    with suppress(ChaosError):  # what is not over then is counted as lost, or where it is
        wait_until(is_over, "every task is over")
