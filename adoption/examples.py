"""Names in examples of pages that stay: the adopted project has other queues and tasks."""

import re

__all__ = ["put_into", "without_articles"]

OTHERS = "(?:rewrite|escalation)"
"""Queues that the adopted project does not have. The example task's queue takes the place of `evaluation`."""
FIT = (
    "| `tasks.thumbnails.fit` | `thumbnails` | `IdempotentTask` "
    "| `width`, `height`, `longest_side` | `width`, `height` |"
)
"""Its row in docs/tasks.md."""
REPLACED = (
    # Such output has a line for each unit or worker; the adopted project has two fewer.
    (
        r"^active\nactive\n(?=(?:active\n){6}```)|^NRestarts=0\n\nNRestarts=0\n\n(?=NRestarts=0\n\nNRestarts=0\n```)",
        "",
    ),
    (r"\b4 nodes online", "2 nodes online"),
    (r"\b7 nodes online", "4 nodes online"),
    # Lines about one of the others: what a command prints, and the commands of one worker for each queue.
    (rf"^(?:{OTHERS} +ok | +\"{OTHERS}\": \"ready|\| `\S+@{OTHERS}\.service` |.* --queue={OTHERS} ).*\n", ""),
    (r"evaluation( |, )rewrite\1escalation", "thumbnails"),
    (r"tasks\.(?:evaluation|pipeline)\.\w+", "tasks.thumbnails.fit"),
    (rf"(--queue[ =]|worker@|llen ){OTHERS}\b", r"\1thumbnails"),
    (r"QUEUES__REWRITE__", "QUEUES__THUMBNAILS__"),
    (r"\bqueues\.rewrite\b", "queues.thumbnails"),
    (r"\bevaluation\b", "thumbnails"),
    # No queue of its reaches the network, as two of ours do.
    (r"(-preflight@\.service` \| )1\.0", r"\g<1>0.9"),
    (r"^(\| `tasks\.maintenance\.purge` .*\n)", rf"{FIT}\n\1"),
    (r"AI detector and AEO scoring tasks", "the example: sizes of pictures"),
)


def put_into(page: str) -> str:
    """A page of docs/ whose examples name what the adopted project has."""
    for pattern, text in REPLACED:
        page = re.sub(pattern, text, page, flags=re.MULTILINE)
    return page


def without_articles(text: str) -> str:
    """Any file, in whose words and fields the content is a document."""
    text = re.sub(r"\b([Aa])n article(?=s?\b|_id\b)", r"\1 article", text)
    return re.sub(r"\barticle(?=s?\b|_id\b)", "document", text).replace("ARTICLE_ID", "DOCUMENT_ID")
