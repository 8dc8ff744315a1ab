"""Sends the tasks described on stdin, a line of JSON each, and says on stdout what became of each.

Never tries again: a second attempt after a lost answer would publish twice, no matter which transport. A task
to be revoked is revoked at once; the output also says when that was confirmed, by the clock of `records.py`.
"""

import json
import sys
import time
from typing import Any

from benchmarks.chaos.worker_app import LIMITED, app

__all__ = ["main"]


def main() -> None:
    """Answer each line with its id, what became of it, and when it was revoked.

    What became of it: `confirmed`, `duplicate` or the error.
    """
    for line in sys.stdin:
        task = json.loads(line)
        revoked_at = None
        try:
            outcome = _send(task)
            if task.get("revoke"):
                app.control.revoke(task["id"])
                revoked_at = time.monotonic()
        except Exception as error:  # noqa: BLE001 (whatever a library raises is its answer)
            outcome = f"{type(error).__name__}: {error}"
        print(json.dumps([task["id"], outcome, revoked_at]), flush=True)


def _send(task: dict[str, Any]) -> str:
    more: dict[str, Any] = {"key": task["key"]} if "key" in task else {}
    # As a client that knows nothing of the declaration would send it.
    options: dict[str, Any] = {"unique": False} if task.get("foreign") else {}
    if "customer" in task:
        options["headers"] = {"customer": task["customer"]}
    sent = app.send_task(
        LIMITED if task["kind"] == "limited" else f"chaos.{task['kind']}",
        kwargs={"seconds": task["seconds"], "fail": task["fail"], **more},
        task_id=task["id"],
        countdown=task["countdown"],
        retry=False,
        ignore_result=task.get("ignore_result", False),
        **options,
    )
    return "confirmed" if sent.id == task["id"] else "duplicate"


if __name__ == "__main__":
    main()
