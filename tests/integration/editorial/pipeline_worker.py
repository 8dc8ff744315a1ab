"""The project's own application with a rewrite that notes its calls and costs nothing.

`NOTES` is the folder of the notes, `REWRITE` what becomes of a call: `better`, `worse`, `refused`, `hangs` or
`fails`.
"""

import os
import time
from pathlib import Path
from typing import Any

from celery import shared_task

from celery_worker import celery_app
from contentworker.editorial.rewriting.result import Change, Outcome, Refusal, Rewrite
from contentworker.errors import PermanentError
from tasks.base import CriticalTask

__all__ = ["celery_app"]

BETTER = Path(__file__).with_name("better.md")
celery_app.tasks.pop("tasks.rewrite.generate_rewrite", None)


@shared_task(base=CriticalTask, name="tasks.rewrite.generate_rewrite")
def generate_rewrite(content: str, **_: Any) -> Rewrite:
    with (Path(os.environ["NOTES"]) / "rewrites").open("a") as file:
        file.write("called\n")
    kind = os.environ.get("REWRITE", "better")
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


celery_app.finalize()
