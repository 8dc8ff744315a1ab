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
from contentworker.errors import PermanentError
from tasks.base import CriticalTask

__all__ = ["celery_app"]

BETTER = Path(__file__).with_name("better.md")
celery_app.tasks.pop("tasks.rewrite.generate_rewrite", None)


@shared_task(base=CriticalTask, name="tasks.rewrite.generate_rewrite")
def generate_rewrite(content: str, article_id: str = "", **_: Any) -> dict[str, Any]:
    with (Path(os.environ["NOTES"]) / "rewrites").open("a") as file:
        file.write(f"{article_id}\n")
    kind = os.environ.get("REWRITE", "better")
    while kind == "hangs":
        time.sleep(0.1)
    if kind == "fails":
        raise PermanentError("the key is wrong")
    refusals = [{"rule": "numbers", "detail": "3 became 4"}] if kind == "refused" else []
    return {
        "text": BETTER.read_text("utf-8") if kind == "better" else content,
        "changed": kind != "refused",
        "sentences": [{"refusals": refusals}],
        "cost": 0.25,
        "model": "none",
        "provider": "here",
        "mode": "edit",
    }


celery_app.finalize()
