"""What paid calls may cost: one cap, one rate and one circuit breaker for all workers, kept in Redis.

Money is counted in whole millionths of the unit of the prices, each amount rounded up. A call that is
admitted counts with its estimate at once and with its cost when it has ended; where its process died in
between, or the cost is not known, the estimate stays. Time is Redis's own, days are those of UTC.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any, Literal

from redis.exceptions import RedisError

from contentworker.errors import ContentWorkerError, PermanentError
from contentworker.runtime.settings import SpendingSettings

__all__ = ["Call", "NotAdmittedError", "OverBudgetError", "Refusal", "Spending"]

Refusal = Literal["cap", "rate", "breaker"]

PREFIX = "contentworker:spending"
MILLIONTHS = 1_000_000
KEPT_DAYS = 8
"""How long a day's sum is kept, and as long as a call may take to end."""

# KEYS: prefix. ARGV: estimate, cap, requests a minute, breaker's failures and seconds, days kept.
_ADMIT = """
local time = redis.call('TIME')
local now, day = time[1] + time[2] / 1000000, math.floor(time[1] / 86400)
local estimate, cap, rate = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local spent_key, rate_key, breaker_key = KEYS[1] .. ':day:' .. day, KEYS[1] .. ':rate', KEYS[1] .. ':breaker'
local open_until = tonumber(redis.call('HGET', breaker_key, 'open_until') or 0)
if tonumber(ARGV[4]) > 0 and open_until > now then return {'breaker', tostring(open_until - now), day} end
local spent = tonumber(redis.call('GET', spent_key) or 0)
if cap > 0 and spent + estimate > cap then return {'cap', tostring((day + 1) * 86400 - now), day} end
if rate > 0 then
    redis.call('ZREMRANGEBYSCORE', rate_key, '-inf', now - 60)
    if redis.call('ZCARD', rate_key) >= rate then
        local oldest = redis.call('ZRANGE', rate_key, 0, 0, 'WITHSCORES')
        return {'rate', tostring(oldest[2] + 60 - now), day}
    end
    redis.call('ZADD', rate_key, now, ARGV[7])
    redis.call('EXPIRE', rate_key, 61)
end
-- Half open: this call is the probe, and the others wait until it has ended, or for as long again.
if open_until > 0 then redis.call('HSET', breaker_key, 'open_until', now + ARGV[5]) end
redis.call('INCRBY', spent_key, ARGV[1])
redis.call('EXPIRE', spent_key, ARGV[6] * 86400)
return {'', '0', day}
"""

# ARGV: difference to the estimate, day of admission, outcome, breaker's failures and seconds, days kept.
_SETTLE = """
local time = redis.call('TIME')
local spent_key, breaker_key = KEYS[1] .. ':day:' .. ARGV[2], KEYS[1] .. ':breaker'
redis.call('INCRBY', spent_key, ARGV[1])
redis.call('EXPIRE', spent_key, ARGV[6] * 86400)
if ARGV[3] == 'ok' then
    redis.call('DEL', breaker_key)
elseif ARGV[3] == 'failed' and tonumber(ARGV[4]) > 0 then
    local failures = redis.call('HINCRBY', breaker_key, 'failures', 1)
    if failures >= tonumber(ARGV[4]) then
        redis.call('HSET', breaker_key, 'open_until', time[1] + time[2] / 1000000 + ARGV[5])
    end
    redis.call('EXPIRE', breaker_key, ARGV[6] * 86400)
end
return 1
"""


class NotAdmittedError(ContentWorkerError):
    """A paid call may not be made now; nothing was spent. `reason` is `cap`, `rate` or `breaker`."""

    def __init__(self, reason: str, retry_after_seconds: float) -> None:
        super().__init__(reason, retry_after_seconds)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        meaning = {"cap": "the day's money is spent", "rate": "the minute's calls are made"}
        why = meaning.get(self.reason, "too many calls have failed")
        return f"no paid call now ({self.reason}: {why}); again in {self.retry_after_seconds:.0f} s"


class OverBudgetError(PermanentError):
    """The day's money is spent, and what asked for more is not to wait for the next."""


@dataclass
class Call:
    """A call that was admitted. `cost` is what it cost; None: not known, the estimate stands for it."""

    cost: float | None = None


class Spending:
    """Admission to paid calls. `client` is a redis-py client."""

    def __init__(self, client: Any, settings: SpendingSettings) -> None:
        self._client = client
        self._settings = settings

    @contextmanager
    def call(self, estimated_cost: float) -> Iterator[Call]:
        """Make one paid call within the block, and say what it cost: `call.cost = …`.

        An error within it feeds the breaker, unless it is a `PermanentError`, which is the request's own.

        Raises:
            NotAdmittedError: the block is not entered.
        """
        settings = self._settings
        estimate = _millionths(estimated_cost)
        breaker = (settings.breaker_failures, settings.breaker_open_seconds, KEPT_DAYS)
        limits = (_millionths(settings.cap_per_day), settings.requests_per_minute, *breaker)
        answer = self._client.eval(_ADMIT, 1, PREFIX, estimate, *limits, uuid.uuid4().hex)
        refused, seconds, day = _text(answer[0]), float(_text(answer[1])), int(answer[2])
        if refused:
            raise NotAdmittedError(refused, max(0.001, seconds))
        call = Call()
        outcome = "unknown"
        try:
            yield call
            outcome = "ok"
        except PermanentError:
            outcome = "ok"  # it was answered
            raise
        except Exception:
            outcome = "failed"
            raise
        finally:
            difference = 0 if call.cost is None else _millionths(call.cost) - estimate
            with suppress(RedisError):  # then the estimate stands: rather too much than too little
                self._client.eval(_SETTLE, 1, PREFIX, difference, day, outcome, *breaker)

    def today(self) -> float:
        """What was spent today (UTC), open calls with their estimates."""
        seconds, _ = self._client.time()
        return int(self._client.get(f"{PREFIX}:day:{seconds // 86_400}") or 0) / MILLIONTHS


def _millionths(amount: float) -> int:
    return int((Decimal(str(amount)) * MILLIONTHS).to_integral_value(ROUND_CEILING))


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
