"""Health over HTTP, for load balancers and orchestrators that ask in no other way.

- `/live`: does every queue's worker give signs of life? `/ready`: does each consume? Both read alive files.
- `/health`: does every queue answer a task? Not a task for each request: an answer is kept for a while, and
  whoever asks meanwhile is told the same.

200: yes, and a queue that is busy is well. 503: no, or nobody knows; the JSON says which queue and why.
"""

import json
import logging
import socket
from collections.abc import Callable, Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from contentworker.runtime.health import QueueHealth
from contentworker.runtime.liveness import Sign, read
from contentworker.runtime.shared_answer import SharedAnswer

__all__ = ["serve"]

logger = logging.getLogger(__name__)

KEEP_SECONDS = 5.0
PATIENCE_SECONDS = 15.0
"""Longest that an answer takes, whatever Redis does."""

Answer = tuple[bool, Any]
"""Whether all is well, and what to say of it."""


class DeepCheck:
    """Runs a check for all who ask meanwhile, and has an answer whatever becomes of it."""

    def __init__(self, check: Callable[[], list[QueueHealth]]) -> None:
        self._check = check
        self._shared = SharedAnswer(self._run, KEEP_SECONDS)

    def answer(self) -> Answer:
        """The answer of the check that runs, or ran lately."""
        try:
            return self._shared.get(PATIENCE_SECONDS)
        except TimeoutError:
            return False, {"reason": f"the check has not ended within {PATIENCE_SECONDS:g} s"}

    def _run(self) -> Answer:
        try:
            found = self._check()
            return all(item.status != "down" for item in found), {"queues": [dict(item) for item in found]}
        except Exception as error:  # whatever it is, whoever asks is to get an answer
            logger.warning("The health check failed: %s: %s", type(error).__name__, error)
            return False, {"reason": str(error)}


def serve(
    address: tuple[str, int],
    queues: Iterable[str],
    alive_folder: Path,
    check: Callable[[], list[QueueHealth]],
) -> None:
    """Answer until the process is ended. The alive files are `QUEUE/alive` in their folder.

    Raises:
        OSError: the address cannot be listened on.
    """
    names = list(queues)
    deep = DeepCheck(check)

    def signs(is_well: Callable[[Sign], bool]) -> Answer:
        found = {name: read(alive_folder / name / "alive") for name in names}
        return all(map(is_well, found.values())), {
            "queues": {name: sign.text for name, sign in found.items()}
        }

    pages: dict[str, Callable[[], Answer]] = {
        "/live": lambda: signs(lambda sign: sign.is_alive),
        "/ready": lambda: signs(lambda sign: sign.is_ready),
        "/health": deep.answer,
    }

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "content-worker", ""
        timeout = PATIENCE_SECONDS  # of a client that does not go on

        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            is_well, said = page() if page else (False, {"reason": f"there are {', '.join(pages)}"})
            status = HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE
            body = json.dumps({"ok": is_well, **said}, indent=2).encode() + b"\n"
            self.send_response(status if page else HTTPStatus.NOT_FOUND)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 -- the name is http.server's

        def log_message(self, *_: Any) -> None:
            """Probes come every few seconds."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        request_queue_size = 128

    with Server(address, Handler) as server:
        server.serve_forever()
