"""Health over HTTP, for load balancers and orchestrators that ask in no other way.

- `/live`: does every worker give signs of life? `/ready`: does each consume its queue? Both read alive files.
  While an upgrade restarts a worker, its stand-in's file counts, too.
- `/health`: does every queue answer a task? All clients share one check, whose answer is kept for a while.

200: yes; a busy queue is well. 503: no, or unknown; the JSON says which queue and why. It says so only if
clients are on this machine: there is no password, and reasons name queues, hosts and the address of Redis.
"""

import json
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from contentworker import worker_names
from contentworker.runtime import answering
from contentworker.runtime.answering import SharedAnswer
from contentworker.runtime.health.liveness import Sign, read
from contentworker.runtime.health.queues import QueueHealth

__all__ = ["serve"]

KEEP_SECONDS = 5.0
PATIENCE_SECONDS = 15.0
"""Longest time for an answer, whatever Redis does."""
MOST_WAITING = answering.MOST_CONNECTIONS // 2
"""Most clients that wait for `/health`: other connections stay free for `/live` and `/ready`."""

Answer = tuple[bool, Any]
"""Whether all is well, and the reasons."""


class DeepCheck:
    """Runs one check for all clients that ask meanwhile, and answers whatever happens to it."""

    def __init__(self, check: Callable[[], list[QueueHealth]]) -> None:
        limits = {"keep_seconds": KEEP_SECONDS, "patience_seconds": PATIENCE_SECONDS}
        self._shared = SharedAnswer(check, "The health check failed", **limits)
        self._room = threading.BoundedSemaphore(MOST_WAITING)

    def answer(self) -> Answer:
        """The answer of the check that runs, or of the last one."""
        if not self._room.acquire(blocking=False):
            return False, {"reason": f"{MOST_WAITING} others wait for the check"}
        try:
            queues = self._shared.get()
        except TimeoutError:
            return False, {"reason": f"the check has not ended within {PATIENCE_SECONDS:g} s"}
        except Exception as error:  # noqa: BLE001 (logged already; the client gets an answer whatever goes wrong)
            return False, {"reason": str(error)}
        finally:
            self._room.release()
        return all(queue.status != "down" for queue in queues), {"queues": [dict(queue) for queue in queues]}


def serve(
    address: tuple[str, int],
    workers: Iterable[str],
    alive_folder: Path,
    check: Callable[[], list[QueueHealth]],
    *,
    shows_reasons: bool,
) -> None:
    """Answer until the process ends. The alive files are `WORKER/alive` in their folder.

    Without `shows_reasons` an answer only says whether all is well: the status, and `ok`.

    Raises:
        OSError: the server cannot listen on the address.
    """
    names = list(workers)
    deep = DeepCheck(check)

    def sign(name: str) -> Sign:
        own, stand_in = (read(alive_folder / each / "alive") for each in (name, worker_names.stand_in(name)))
        return max(own, stand_in, key=lambda each: (each.is_ready, each.is_alive))

    def signs(is_well: Callable[[Sign], bool]) -> Answer:
        by_worker = {name: sign(name) for name in names}
        texts = {name: each.text for name, each in by_worker.items()}
        return all(map(is_well, by_worker.values())), {"queues": texts}

    pages: dict[str, Callable[[], Answer]] = {
        "/live": lambda: signs(lambda sign: sign.is_alive),
        "/ready": lambda: signs(lambda sign: sign.is_ready),
        "/health": deep.answer,
    }

    def page(path: str, _: Any) -> answering.Reply:
        if path in pages:
            is_well, reasons = pages[path]()
            status = HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE
            reasons = reasons if shows_reasons else {}
        else:
            is_well, reasons = False, {"reason": f"there are {', '.join(pages)}"}
            status = HTTPStatus.NOT_FOUND
        body = json.dumps({"ok": is_well, **reasons}, indent=2).encode() + b"\n"
        return answering.Reply(status, "application/json", body, (("Cache-Control", "no-store"),))

    answering.serve(address, page)
