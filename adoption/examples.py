"""Names in examples of pages that stay: the adopted project has other queues and tasks."""

import re

__all__ = ["put_into"]

OTHERS = "(?:rewrite|escalation)"
"""Queues that the adopted project does not have. The example task's queue takes the place of `evaluation`."""
REPLACED = (
    # Lines about one of the others: what a command prints, and the commands of one worker for each queue.
    (rf"^(?:{OTHERS} +ok | +\"{OTHERS}\": \"ready|\| `\S+@{OTHERS}\.service` |.* --queue={OTHERS} ).*\n", ""),
    (r"evaluation( |, )rewrite\1escalation", "thumbnails"),
    (r"tasks\.(?:evaluation|pipeline)\.\w+", "tasks.thumbnails.fit"),
    (rf"(--queue[ =]|worker@|llen ){OTHERS}\b", r"\1thumbnails"),
    (r"QUEUES__REWRITE__", "QUEUES__THUMBNAILS__"),
    (r"\bevaluation\b", "thumbnails"),
    (r"\barticle(s?)\b", r"document\1"),
    (r"\b(a)n (document)", r"\1 \2"),
    (r"AI detector and AEO scoring tasks", "the example: sizes of pictures"),
)


def put_into(page: str) -> str:
    """A page of docs/ whose examples name what the adopted project has."""
    for pattern, text in REPLACED:
        page = re.sub(pattern, text, page, flags=re.MULTILINE)
    return page
