"""What `submit --wait` says of a task that failed and will be tried again, and where its traceback is."""

from typing import Any

import click
from celery.states import RETRY

from contentworker.printable import one_line

__all__ = ["Retries", "reason", "where_to_look"]


class Retries:
    """The retries that a command has told of, each once."""

    def __init__(self) -> None:
        self._told: set[tuple[str, int]] = set()

    def tell(self, meta: dict[str, Any]) -> None:
        """Print a line to stderr if this stored result of a task says that it will be tried again."""
        if meta["status"] != RETRY:
            return
        task_id, attempt, error = meta["task_id"], meta.get("attempt", 1), meta["result"]
        if (task_id, attempt) in self._told:
            return
        self._told.add((task_id, attempt))
        happened = "asks for another" if error is None else f"failed, another follows: {reason(error)}"
        click.echo(one_line(f"{task_id}: attempt {attempt} {happened}"), err=True)


def reason(error: BaseException) -> str:
    """`ValueError: what it says`; an error whose class is not known here may have more than one argument."""
    said = [str(each) for each in error.args if each is not None]
    return f"{type(error).__name__}: {', '.join(said) if len(error.args) > 1 else error}"


def where_to_look(task_id: str) -> str:
    """A line with what to type to see the traceback of a task that failed for good."""
    return (
        f"See its traceback: {click.get_current_context().find_root().info_name} dead-letters show {task_id}"
    )
