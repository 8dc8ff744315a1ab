"""Limits on paid calls: one daily cap, one rate and one circuit breaker in Redis for all workers.

    with spending.call(estimated_cost=0.02) as call:
        call.cost = ask_the_model()

Amounts are whole millionths of the unit of the prices, rounded up. An admitted call counts with its estimate,
and with its cost once it has ended. If its process dies, or the cost is not known, the estimate stays. Times
are Redis's own, days are days of UTC.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any, Literal

from redis.exceptions import RedisError

from contentworker.errors import ContentWorkerError, PermanentError
from contentworker.printable import decoded
from contentworker.runtime.settings import SpendingSettings
from contentworker.runtime.transport.scripts import load

__all__ = ["Call", "NotAdmittedError", "OverBudgetError", "Refusal", "Spending"]

Refusal = Literal["cap", "rate", "breaker"]

PREFIX = "contentworker:spending"
MILLIONTHS = 1_000_000
KEPT_DAYS = 8
"""How long a day's sum is kept, which bounds how long a call may take."""

_ADMIT = load(__file__, "admit")
_SETTLE = load(__file__, "settle")


class NotAdmittedError(ContentWorkerError):
    """A paid call is not allowed now; nothing was spent."""

    def __init__(self, reason: str, retry_after_seconds: float) -> None:
        super().__init__(reason, retry_after_seconds)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        meaning = {
            "cap": "the budget of the day is spent",
            "rate": "too many calls in a minute",
            "breaker": "too many calls have failed",
        }[self.reason]
        return f"no paid call now ({self.reason}: {meaning}); retry in {self.retry_after_seconds:.0f} s"


class OverBudgetError(PermanentError):
    """The budget of the day is spent, and this task should not wait until tomorrow."""

    escalation_reason = "over_budget"


@dataclass
class Call:
    """A call that was admitted. Set `cost` to what it cost; with None the estimate stays."""

    cost: float | None = None


class Spending:
    """Admission to paid calls. `client` is a redis-py client."""

    def __init__(self, client: Any, settings: SpendingSettings) -> None:
        self._client = client
        self._settings = settings

    @contextmanager
    def call(self, estimated_cost: float) -> Iterator[Call]:
        """Make one paid call in the block, and set its cost: `call.cost = …`.

        An error in the block counts for the breaker, unless it is a `PermanentError`: that is an answer.

        Raises:
            NotAdmittedError: the call is not allowed; the block did not run.
        """
        settings = self._settings
        estimate = _millionths(estimated_cost)
        breaker = (settings.breaker_failures, settings.breaker_open_seconds, KEPT_DAYS)
        limits = (_millionths(settings.cap_per_day), settings.requests_per_minute, *breaker)
        answer = self._client.eval(_ADMIT, 1, PREFIX, estimate, *limits)
        refused, seconds, day = decoded(answer[0]), float(decoded(answer[1])), int(answer[2])
        if refused:
            raise NotAdmittedError(refused, max(0.001, seconds))
        call = Call()
        outcome = "unknown"
        try:
            yield call
            outcome = "ok"
        except PermanentError:
            outcome = "ok"  # the service works, and refused this request
            raise
        except Exception:
            outcome = "failed"
            raise
        finally:
            difference = 0 if call.cost is None else _millionths(call.cost) - estimate
            with suppress(RedisError):  # then the estimate stays: better to count too much than too little
                self._client.eval(_SETTLE, 1, PREFIX, difference, day, outcome, *breaker)

    def today(self) -> float:
        """The sum of today (UTC), with the estimates of calls that have not ended."""
        seconds, _ = self._client.time()
        return int(self._client.get(f"{PREFIX}:day:{seconds // 86_400}") or 0) / MILLIONTHS

    def breaker_open_seconds(self) -> float:
        """For how long the circuit breaker stays open; 0 if it is closed, or its next call is the test."""
        seconds, microseconds = self._client.time()
        open_until = float(self._client.hget(f"{PREFIX}:breaker", "open_until") or 0)
        return float(max(0.0, open_until - seconds - microseconds / 1_000_000))


def _millionths(amount: float) -> int:
    return int((Decimal(str(amount)) * MILLIONTHS).to_integral_value(ROUND_CEILING))
