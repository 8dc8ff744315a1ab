"""Many processes that hold messages, of which most die at once."""

import os
import signal
import subprocess
import sys
from typing import Any

import pytest
import redis

from contentworker.runtime.transport.keys import DELAYED, LEASES, PREFIX, RENEWED
from tests.support import ROOT, wait_until

HOLDERS = 50
KILLED = 40

# One program, as fifty starts of Python would take longer than all the rest. Each child holds a message and
# renews its lease by its own threads, and dies with its parent.
PROGRAM = """
import ctypes, os, signal, sys
import redis
from contentworker.runtime.transport.holder import Holder

for _ in range(int(sys.argv[2])):
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        holder = Holder(redis.Redis.from_url(sys.argv[1]))
        holder.lease.start()
        fetch = holder.next_fetch()
        holder.take(fetch, holder.protocol.fetch(fetch.holder, fetch.number, 1, ["celery"]))
        while True:
            signal.pause()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a holder's process is looked up on Linux only")
def test_forty_of_fifty_killed_at_once(redis_client: redis.Redis, redis_url: str) -> None:
    """What they held is back, and what the others hold stays with them, which go on to renew."""
    redis_client.flushall()
    messages = {f'{{"id":{number}}}'.encode() for number in range(HOLDERS)}
    redis_client.lpush("celery", *messages)
    command = [sys.executable, "-c", PROGRAM, redis_url, str(HOLDERS)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True) as parent:
        try:
            wait_until(lambda: len(held(redis_client)) == HOLDERS, "fifty messages to be held")
            names: list[Any] = sorted(redis_client.hkeys(LEASES))
            for name in names[:KILLED]:
                os.kill(int(name.split(b":")[2]), signal.SIGKILL)
            wait_until(lambda: redis_client.llen("celery") == KILLED, "forty messages to be back")
            before = redis_client.hgetall(LEASES)
            assert sorted(before) == sorted(redis_client.zrange(RENEWED, 0, -1)) == names[KILLED:]
            wait_until(
                lambda: all(redis_client.hget(LEASES, name) != before[name] for name in before),
                "the ten others to renew",
            )
            assert redis_client.hlen(LEASES) == HOLDERS - KILLED
            assert {*redis_client.lrange("celery", 0, -1), *held(redis_client)} == messages
            assert not redis_client.exists(DELAYED)
        finally:
            parent.kill()


def held(client: redis.Redis) -> list[bytes]:
    """The messages that processes hold."""
    records: list[Any] = [
        value for key in client.scan_iter(match=f"{PREFIX}:held:*") for value in client.hvals(key)
    ]
    return [record.split(b"\n", 3)[3] for record in records]
