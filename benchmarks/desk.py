"""Measures the desk's pages with 10,000 records and letters against the same with 10, and open tabs.

    python benchmarks/desk.py [--json]

Real desks with SQLite and a Redis of their own. Wall time from the request to the last byte: the two desks
are asked in turn, and the median counts. Idle: CPU time of the desk while ten tabs are open.
"""

import argparse
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import redis  # noqa: E402 -- needs the path above

from contentworker.desk import passwords  # noqa: E402
from contentworker.desk.sessions import Sessions  # noqa: E402
from contentworker.editorial.escalations.schema import open_engine  # noqa: E402
from contentworker.editorial.escalations.store import Store  # noqa: E402
from contentworker.runtime.development import local_redis  # noqa: E402
from contentworker.runtime.records import dead_letters  # noqa: E402
from contentworker.runtime.records.dead_letters import DeadLetter  # noqa: E402

MANY, FEW = 10_000, 10
RUNS = 15
TABS = 10
IDLE_SECONDS = 20
LETTER_BYTES = 3_000
START_SECONDS = 60
PAGES = {
    "the list of articles": "/review",
    "settled articles": "/review?state=settled",
    "search": "/review?state=all&text=article-9",
    "an article": "/review/{record}",
    "operations": "/operations",
    "dead letters": "/dead-letters",
}


class Server(NamedTuple):
    """A running desk, and the cookie of a person who is signed in to it."""

    port: int
    cookie: str
    record: str
    pid: int

    def get(self, path: str) -> None:
        """Fetch a page to its last byte."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path.format(record=self.record), headers={"Cookie": self.cookie})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status != http.client.OK:
            sys.exit(f"{path}: {answer.status}")

    def cpu_seconds(self) -> float:
        """CPU time of the desk so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def desk(folder: Path, count: int) -> Iterator[Server]:
    """A desk with so many records and letters."""
    database = folder / "records.sqlite3"
    engine = open_engine("", database)
    store = Store(engine)
    text = (ROOT / "examples" / "thoughts-on-tea.txt").read_text("utf-8")
    refs = [
        store.escalate(f"article-{number}", "failed", evidence={}, content=text) for number in range(count)
    ]
    line = passwords.account_line("ana", ("editor", "operator"), "not a secret")
    token = Sessions(engine).begin(passwords.read(line)["ana"], 3600)
    engine.dispose()
    with local_redis.throwaway(folder / "redis") as address, redis.Redis.from_url(address) as client:
        fill(client, count)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        environ = {
            **os.environ,
            "REDIS_URL": address,
            "DATABASE_URL": "",
            "WORKER__ESCALATIONS__SQLITE_PATH": str(database),
            "DESK_PASSWORDS": line,
        }
        command = [sys.executable, "-m", "contentworker", "desk", "serve", "--port", str(port)]
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL)
        try:
            wait_for(port, process)
            yield Server(port, f"desk={token}", refs[0].id, process.pid)
        finally:
            process.terminate()
            process.wait()


def fill(client: redis.Redis, count: int) -> None:
    """Put dead letters of one cause into a Redis."""
    message = {"body": "x" * LETTER_BYTES, "headers": {"task": "tasks.a.one", "id": "1"}, "properties": {}}
    letter = DeadLetter(
        reason="failed", error="ValueError: no", exception="builtins.ValueError", queue="celery",
        task="tasks.a.one", task_id="1", worker="w@h", message=json.dumps(message),
    )  # fmt: skip
    with client.pipeline(transaction=False) as pipeline:
        for _ in range(count):
            pipeline.xadd(dead_letters.STREAM, {"letter": letter.model_dump_json()})
        pipeline.execute()


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Until the desk listens."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    sys.exit("the desk did not start")


def milliseconds(server: Server, path: str) -> float:
    """Wall time of a page."""
    start = time.perf_counter()
    server.get(path)
    return (time.perf_counter() - start) * 1000


def idle_share(server: Server) -> float:
    """Share of a core that open tabs cost while nothing happens."""
    with ExitStack() as stack:
        for _ in range(TABS):
            tab = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            host = f"127.0.0.1:{server.port}"
            tab.sendall(f"GET /live HTTP/1.1\r\nHost: {host}\r\nCookie: {server.cookie}\r\n\r\n".encode())
            if b" 200 " not in tab.recv(1000):
                sys.exit("/live gives no news")
        before = server.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        return (server.cpu_seconds() - before) / IDLE_SECONDS


def main() -> None:
    """Print the table, as JSON with --json."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    with ExitStack() as stack:
        large, small = (
            stack.enter_context(desk(Path(stack.enter_context(tempfile.TemporaryDirectory())), count))
            for count in (MANY, FEW)
        )
        for name, path in PAGES.items():
            first = milliseconds(large, path)
            milliseconds(small, path)
            pairs = [(milliseconds(large, path), milliseconds(small, path)) for _ in range(RUNS)]
            many, few = (statistics.median(column) for column in zip(*pairs, strict=True))
            figures[name] = {"first": first, "many": many, "few": few, "ratio": many / few}
        idle = idle_share(large)
    if options.json:
        print(json.dumps({"milliseconds": figures, "idle_share_of_a_core": idle}, indent=2))
        return
    print(f"| page | first time, ms | {MANY:,}: ms | {FEW}: ms | ratio |\n|---|---|---|---|---|")
    for name, row in figures.items():
        print(f"| {name} | {row['first']:.0f} | {row['many']:.0f} | {row['few']:.0f} | {row['ratio']:.1f} |")
    print(f"\nTen open tabs, nothing happens: {100 * idle:.1f} % of a core")


if __name__ == "__main__":
    main()
