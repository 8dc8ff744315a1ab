"""Whether a language model wrote an article: a calibrated hint, never proof. See docs/detector.md.

This is the result, for all who send or read a verdict; it loads no NumPy. `detector.judging.judge` makes it.
"""

from contentworker.editorial.detector.result import Detection

__all__ = ["Detection"]
