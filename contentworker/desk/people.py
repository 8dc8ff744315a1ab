"""Who uses the desk, and what their roles let them do."""

from collections.abc import Iterable
from typing import NamedTuple

__all__ = [
    "EDITORS",
    "EDITORS_OF_ONE",
    "EVERYONE",
    "LINK",
    "OPERATIONS",
    "OPERATORS",
    "REVIEW",
    "REVIEW_OF_ONE",
    "ROLES",
    "RUNS",
    "Person",
    "known_roles",
]

ROLES = ("editor", "operator", "reader", "articles")
"""`editor` decides on articles; `operator` looks after queues, letters and runs.

`reader` sees the pages of both, without buttons and without the arguments of tasks. `articles` lets an
operator open arguments, which hold articles.
"""
EDITORS = frozenset({"editor"})
OPERATORS = frozenset({"operator"})
REVIEW = frozenset({"editor", "reader"})
"""Who sees articles that wait for a person."""
OPERATIONS = frozenset({"operator", "reader"})
"""Who sees queues, letters and workers."""
RUNS = REVIEW | OPERATIONS
"""Who sees runs."""
EVERYONE = frozenset(ROLES)
"""Who is signed in."""
LINK = frozenset({"link"})
"""Whoever has the link in a mail: only for routes of one record, `{id}`. Nobody can be given this role."""
EDITORS_OF_ONE = EDITORS | LINK
REVIEW_OF_ONE = REVIEW | LINK


class Person(NamedTuple):
    """Who sent a request: a person, or a program with a token."""

    name: str
    roles: frozenset[str]
    signed_in: str = "password"
    """`password`, `oidc`, `proxy`, `link` or `token`."""
    record_id: str | None = None
    """The only record that this person may see: of a link in a mail."""

    def may(self, *roles: str) -> bool:
        """Whether the person has all of these roles."""
        return self.roles.issuperset(roles)


def known_roles(roles: Iterable[str]) -> bool:
    """Whether these are roles, and at least one."""
    given = frozenset(roles)
    return bool(given) and given <= EVERYONE
