"""Whether two texts say the same: both are normalised, aligned, and every difference needs an allowed reason.

`normalising` reads a text as tokens, with `quantities` for numbers and `equivalents` for what says the same.
`turning`, `constructions`, `clauses` and `modals` put a text another way. `differences` aligns the tokens
and asks `moves`, `additions` (with `subjects`, `typos`) and `bindings` for the reason of what stands
elsewhere, in one text only, or with other function words. `rewording` knows a reason for several
differences at once.
"""

from contentworker.editorial.rewriting.meaning.differences import Difference, differences
from contentworker.editorial.rewriting.meaning.equivalents import equivalents
from contentworker.editorial.rewriting.meaning.normalising import names_of, plain, read

__all__ = ["Difference", "differences", "equivalents", "names_of", "plain", "read"]
