"""When schedules were sent, and when they are due."""

from datetime import UTC, datetime, timedelta

import pytest
import redis

from contentworker import config
from contentworker.runtime.records.schedules import LAST_SENT
from contentworker.runtime.watching import schedules
from tests.support import client_of

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)


@pytest.mark.usefixtures("clean")
def test_last_and_next(redis_client: redis.Redis, redis_url: str) -> None:
    """As beat reckons; of one that no beat knows, that is off, or whose mark is broken, nothing is said."""
    given = {
        f"WORKER__SCHEDULES__{name}__{key}": value
        for name, values in {
            "NIGHT": {"TASK": "tasks.maintenance.purge", "CRONTAB": "30 3 * * *"},
            "OFTEN": {"TASK": "tasks.maintenance.purge", "EVERY_SECONDS": "600"},
            "NEW": {"TASK": "tasks.maintenance.purge", "EVERY_SECONDS": "60"},
            "OFF": {"TASK": "tasks.maintenance.purge", "EVERY_SECONDS": "60", "ENABLED": "false"},
        }.items()
        for key, value in values.items()
    }
    assert set(config.load(environ=given).schedules) >= {"night", "often", "new", "off"}
    sent = NOW - timedelta(minutes=5)
    for name in ("night", "often", "off"):
        redis_client.hset(LAST_SENT, name, sent.timestamp())
    redis_client.hset(LAST_SENT, "new", "x")
    with client_of(redis_url, **given) as app:
        lines = {line.name: line for line in schedules.read(redis_client, app, NOW)}
    assert (lines["night"].last, lines["night"].next) == (sent, datetime(2026, 12, 2, 3, 30, tzinfo=UTC))
    assert lines["often"].next == sent + timedelta(minutes=10)
    assert (lines["new"].last, lines["new"].next) == (None, None)
    assert (lines["off"].last, lines["off"].next, lines["off"].is_enabled) == (sent, None, False)
    assert (lines["night"].rhythm, lines["often"].rhythm) == ("30 3 * * * UTC", "every 10 min")
