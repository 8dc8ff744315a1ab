"""A queue with a file of one host: another host is refused while the lease lasts."""

import threading

import pytest
import redis

from contentworker.errors import ConfigError
from contentworker.runtime.records import single_host

pytestmark = pytest.mark.usefixtures("clean")

KEY = "contentworker:only-host:escalation"


def test_another_host_waits_for_the_end_of_the_lease(redis_client: redis.Redis) -> None:
    """It is told which host, and what to do; the same host renews; after the lease any host may have it."""
    single_host.register(redis_client, "escalation", "here 1", 60)
    single_host.register(redis_client, "escalation", "here 1", 60)
    assert single_host.holder(redis_client, "escalation", "there 2") == "here"
    assert single_host.holder(redis_client, "escalation", "here 1") is None
    assert 100 < redis_client.ttl(KEY) <= 120
    with pytest.raises(ConfigError, match=r"^The host here serves the queue escalation with an SQLite file"):
        single_host.register(redis_client, "escalation", "there 2", 60)
    single_host.register(redis_client, "another", "there 2", 60)
    redis_client.hset(KEY, "here 1", redis_client.time()[0])
    assert single_host.holder(redis_client, "escalation", "there 2") is None
    single_host.register(redis_client, "escalation", "there 2", 60)
    assert redis_client.hkeys(KEY) == [b"there 2"]


def test_the_keeper_goes_on_until_the_queue_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    """A connection that fails is tried again; of a ConfigError the owner hears, once."""
    errors = iter([None, ConnectionError("away"), None, ConfigError("another host"), None])
    lost: list[ConfigError] = []
    ended = threading.Event()

    def keep() -> None:
        if error := next(errors):
            raise error

    def lose(error: ConfigError) -> None:
        lost.append(error)
        ended.set()

    keeper = single_host.Keeper(keep, lose, lease_seconds=0.04)  # type: ignore[arg-type]
    keeper.start()
    assert ended.wait(30)
    keeper.stop()
    assert [str(each) for each in lost] == ["another host"]
    assert caplog.messages == ["This host's lease of the queue cannot be renewed, and is tried again: away"]
    assert next(errors) is None, "it asks no more"
