"""Whether a language model wrote an article: a calibrated hint, never proof. See docs/detector.md.

Here are the results only, which whoever sends or reads a verdict needs and which load no numpy;
`detector.judging.judge` makes them.
"""

from contentworker.editorial.detector.result import (
    Abstained,
    Detection,
    SentenceShare,
    StyleShare,
    Verdict,
)

__all__ = ["Abstained", "Detection", "SentenceShare", "StyleShare", "Verdict"]
