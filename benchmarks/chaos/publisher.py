"""Sends the tasks described on stdin, a line of JSON each, and says on stdout what became of each.

Never tries again: a second attempt after a lost answer would publish twice, no matter which transport.
"""

import json
import sys

from benchmarks.chaos.worker_app import app

__all__ = ["main"]


def main() -> None:
    """Answer each line with its id and `confirmed` or the error."""
    for line in sys.stdin:
        task = json.loads(line)
        try:
            app.send_task(
                f"chaos.{task['kind']}",
                kwargs={"seconds": task["seconds"], "fail": task["fail"]},
                task_id=task["id"],
                countdown=task["countdown"],
                retry=False,
            )
            outcome = "confirmed"
        except Exception as error:  # noqa: BLE001 (whatever a library raises is its answer)
            outcome = f"{type(error).__name__}: {error}"
        print(json.dumps([task["id"], outcome]), flush=True)


if __name__ == "__main__":
    main()
