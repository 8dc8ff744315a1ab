"""Everything that workers count."""

from contentworker.articles.metrics import METRICS
from contentworker.runtime.metrics.definitions import COUNTED

__all__ = ["ALL_COUNTED"]

ALL_COUNTED = (
    *COUNTED,
    *METRICS,  # editorial
)
