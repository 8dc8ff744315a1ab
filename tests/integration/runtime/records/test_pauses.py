"""Who paused a queue, and when."""

import pytest
import redis

from contentworker.runtime.records import pauses, queue_state
from contentworker.runtime.transport.protocol import Protocol
from tests.support import run_cli

pytestmark = pytest.mark.usefixtures("clean")


def test_the_first_one_made_the_pause(redis_client: redis.Redis) -> None:
    """A second one changes nothing; `resume` ends it whoever made it."""
    assert pauses.pause(redis_client, "celery", 'ana "\x1b')
    assert not pauses.pause(redis_client, "celery", "bob")
    pause = pauses.read(redis_client)["celery"]
    assert pause
    assert (pause.by, int(pause.since.timestamp()) <= redis_client.time()[0]) == ('ana "\x1b', True)
    (queue,) = queue_state.read(redis_client, ["celery"]).queues
    assert (queue.is_paused, queue.pause) == (True, pause)
    assert pauses.resume(redis_client, "celery")
    assert not pauses.resume(redis_client, "celery")
    assert pauses.read(redis_client) == {}


def test_an_older_command_pauses_too(redis_client: redis.Redis) -> None:
    """Who did it is not known then; a mark that is no mark is nobody's."""
    Protocol(redis_client).pause("celery")
    assert pauses.read(redis_client) == {"celery": None}
    redis_client.hset(pauses.PAUSED_BY, "celery", "[1")
    assert pauses.read(redis_client) == {"celery": None}
    pauses.resume(redis_client, "celery")
    redis_client.hset(pauses.PAUSED_BY, "celery", '["ana", 1]')
    (queue,) = queue_state.read(redis_client, ["celery"]).queues
    assert (queue.is_paused, queue.pause) == (False, None)


def test_the_command_says_who_types_it(redis_client: redis.Redis, redis_url: str) -> None:
    """Under sudo, who typed that; `top` shows it."""
    run_cli("pause", "celery", redis_url=redis_url, SUDO_USER="ana")
    pause = pauses.read(redis_client)["celery"]
    assert pause
    assert pause.by == "ana"
    shown = run_cli("top", "--json", "--once", redis_url=redis_url).stdout
    assert '"by": "ana"' in shown
