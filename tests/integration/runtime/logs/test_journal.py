"""The reader of a worker's log stops reading: the worker waits, keeps its lease, and goes on."""

import fcntl
import os
import select
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from contentworker.runtime.transport.keys import LEASES
from tests.flow import Flow
from tests.support import PROBE_APP, StartWorker, wait_until

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="sets the size of a pipe, as Linux can"),
]

BYTES = 4096


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A small named pipe, open at both ends."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)
    fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, BYTES)
    yield path, descriptor
    os.close(descriptor)


def test_a_full_pipe(
    pipe: tuple[Path, int], worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Nothing is lost or run twice, however long it takes."""
    path, descriptor = pipe
    into_pipe = ("sh", "-c", f"exec \"$@\" >'{path}' 2>&1", "sh")
    serving = worker("--queues=celery", app=PROBE_APP, prefix=into_pipe, ready=False)
    log = b""
    while b" ready." not in log:
        log += os.read(descriptor, BYTES)
    flow = Flow(client, tmp_path / "flow")
    wait_until(lambda: not select.select([], [descriptor], [], 0)[1], "a full pipe")

    def renewals() -> int:
        ((_, count),) = redis_client.hgetall(LEASES).items()
        return int(count)

    before = renewals()
    wait_until(lambda: renewals() > before + 4, "its lease to be renewed all the while")
    flow.stop()
    assert flow.missing
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            if select.select([descriptor], [], [], 0.1)[0]:
                os.read(descriptor, BYTES)

    reading = threading.Thread(target=read)
    reading.start()
    try:
        wait_until(lambda: not flow.missing, "all of them")
    finally:
        ended.set()
        reading.join()
    assert set(flow.runs().values()) == {1}
    assert serving.is_alive
