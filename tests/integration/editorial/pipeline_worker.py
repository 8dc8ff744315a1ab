"""The project's own application with a rewrite that costs nothing.

The article says what becomes of its rewrite: `better-NAME`, `worse-…`, `refused-…`, `hangs-…` or `fails-…`.
The folder `NOTES` gets a note of each call. A file `crash` there names a change of a run, such as `after move
escalate`: the worker dies at it, once.
"""

import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery import shared_task

from celery_worker import celery_app
from contentworker.editorial.rewriting.result import Change, Outcome, Refusal, Rewrite
from contentworker.errors import PermanentError
from contentworker.runtime.records.runs import Runs
from tasks.base import CriticalTask

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["celery_app"]

BETTER = Path(__file__).with_name("better.md")
NOTES = Path(os.environ["NOTES"])
celery_app.tasks.pop("tasks.rewrite.generate_rewrite", None)


@shared_task(base=CriticalTask, name="tasks.rewrite.generate_rewrite")
def generate_rewrite(content: str, **_: Any) -> Rewrite:
    marked = re.search(r"\b(better|worse|refused|hangs|fails)-[\w-]+", content)
    assert marked
    kind = marked[1]
    with (NOTES / "rewrites").open("a") as file:
        file.write(f"{marked[0]}\n")
    while kind == "hangs":
        time.sleep(0.1)
    if kind == "fails":
        raise PermanentError("the key is wrong")
    broken = (Refusal(rule="numbers", detail="gone: 3; new: 4"),) if kind == "refused" else ()
    outcome: Outcome = "refused" if broken else "rewritten"
    change = Change(original="3.", rewritten="4.", outcome=outcome, refusals=broken, start=0, end=2)
    return Rewrite(
        text=BETTER.read_text("utf-8") if kind == "better" else content,
        changed=not broken,
        changes=(change,),
        diff=(),
        left=(),
        mode="edit",
        model="none",
        provider="here",
        prompt_tokens=1,
        completion_tokens=1,
        cost=0.25,
        seconds=0,
    )


def _crash(moment: str) -> None:
    """Kill the worker with all its processes at the moment asked for."""
    asked = NOTES / "crash"
    with suppress(FileNotFoundError):  # another process of the pool dies at this moment
        if asked.read_text("utf-8") == moment:
            asked.unlink()
            os.killpg(0, signal.SIGKILL)


def _watched(name: str, place: int) -> None:
    """Have a method of `Runs` crash before or after it; the argument at `place` says what is changed."""
    method: Callable[..., Any] = getattr(Runs, name)

    def watched(self: Runs, *arguments: Any) -> Any:
        _crash(f"before {name} {arguments[place]}")
        result = method(self, *arguments)
        _crash(f"after {name} {arguments[place]}")
        return result

    setattr(Runs, name, watched)


_watched("create", 2)
_watched("note", 1)
_watched("move", 2)
celery_app.finalize()
