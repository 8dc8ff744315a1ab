"""When schedules were sent, and when they are due."""

from datetime import UTC, datetime, timedelta

import pytest
import redis

from contentworker import config
from contentworker.runtime.records.schedules import HANDLED, SENT, SINCE, pause, since_field
from contentworker.runtime.watching import schedules
from tests.support import client_of

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)


@pytest.mark.usefixtures("clean")
def test_last_and_next(redis_client: redis.Redis, redis_url: str) -> None:
    """As beat reckons; of one that no beat knows, that is off, paused, or broken, there is no next."""
    given = {
        f"WORKER__SCHEDULES__{name}__{key}": value
        for name, values in {
            "NIGHT": {"TASK": "tasks.maintenance.purge", "CRONTAB": "30 3 * * *", "TIMEZONE": "Asia/Tokyo"},
            "OFTEN": {"TASK": "tasks.maintenance.purge", "EVERY_SECONDS": "600"},
            "NEW": {"TASK": "tasks.maintenance.purge", "EVERY_SECONDS": "60"},
            "HELD": {"TASK": "tasks.maintenance.purge", "CRONTAB": "0 * * * *"},
            "OFF": {"TASK": "tasks.maintenance.purge", "EVERY_SECONDS": "60", "ENABLED": "false"},
        }.items()
        for key, value in values.items()
    }
    assert set(config.load(environ=given).schedules) >= {"night", "often", "new", "off"}
    sent = NOW - timedelta(minutes=5)
    with client_of(redis_url, **given) as app:
        for name in ("night", "often", "off", "held"):
            redis_client.hset(SENT, name, sent.timestamp())
            redis_client.hset(HANDLED, name, sent.timestamp())
        for name, entry in app.conf.beat_schedule.items():
            redis_client.hset(SINCE, since_field(name, entry["schedule"]), sent.timestamp() - 60)
        redis_client.hset(HANDLED, "new", "x")
        pause(redis_client, "held", "ana")
        lines = {line.name: line for line in schedules.read(redis_client, app, NOW)}
    assert (lines["night"].last, lines["night"].next) == (sent, datetime(2026, 12, 1, 18, 30, tzinfo=UTC))
    assert f"{lines['night'].next_local:%m-%d %H:%M %z}" == "12-02 03:30 +0900"
    assert lines["often"].next == sent + timedelta(minutes=10)
    assert (lines["new"].last, lines["new"].next) == (None, None)
    assert (lines["off"].last, lines["off"].next, lines["off"].is_enabled) == (sent, None, False)
    assert (lines["night"].rhythm, lines["often"].rhythm) == ("30 3 * * * Asia/Tokyo", "every 10 min")
    assert (lines["held"].last, lines["held"].next, lines["held"].is_paused) == (sent, None, True)
    states = {name: lines[name].state for name in ("night", "new", "off")}
    assert states == {"night": "on", "new": "no beat knows it yet", "off": "off"}
    assert lines["held"].state.startswith("paused by ana, ")
