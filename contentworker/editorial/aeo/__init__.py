"""How ready an article is to be found, quoted and attributed by answer engines. See docs/aeo.md.

These are the results, for all who send or read a score. `aeo.scoring.score` makes them.
"""

from contentworker.editorial.aeo.result import AeoScore, Criterion, Recommendation

__all__ = ["AeoScore", "Criterion", "Recommendation"]
