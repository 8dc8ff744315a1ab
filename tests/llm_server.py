"""A server that speaks OpenAI's protocol and, by the name of the model that is asked for, misbehaves."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["LlmServer", "llm_server"]

KEY = "sk-of-the-tests-0123456789"
PROMPT_TOKENS, COMPLETION_TOKENS = 100, 20


def shortened(text: str) -> str:
    """What a good editor answers: the same, a little shorter."""
    for long, short in (
        (" in order to ", " to "),
        (" very ", " "),
        (" in actual fact ", " "),
        (" really ", " "),
    ):
        text = text.replace(long, short)
    return text


@dataclass
class LlmServer:
    """Where it listens, what it was asked, and what it answers with."""

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    """The bodies of all requests."""
    answer: Callable[[str], str] = shortened
    """From the text between the fences to the answer of a model that behaves."""
    release: threading.Event = field(default_factory=threading.Event)
    """Lets go of what hangs."""
    hung_up: threading.Event = field(default_factory=threading.Event)
    """Whether the client left what trickled."""
    opinion: str = '{"same_meaning": true, "differs": []}'
    """What it answers when it is asked to compare two texts."""
    busy: int = 0
    """So many more requests are refused by the model `busy`; then it answers."""

    def text(self, request: dict[str, Any]) -> str:
        """What a request asks to be rewritten."""
        asked: str = request["messages"][-1]["content"]
        fence = next(line for line in asked.splitlines() if line.startswith("=== text"))
        return asked.split(fence)[-2].strip("\n")


@contextmanager
def llm_server() -> Iterator[LlmServer]:
    """Serve on a free port until the block ends."""
    found = LlmServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"found": found}))
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield found
    finally:
        found.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    found: LlmServer

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/v1/elsewhere":
            request["model"] = "redirected"
        self.found.requests.append(request)
        if self.headers.get("authorization") != f"Bearer {KEY}":
            return self._error(
                401, "invalid_api_key", f"Incorrect API key provided: {self.headers['authorization']}"
            )
        getattr(self, f"_{request['model'].replace('-', '_')}", self._good)(request)
        return None

    def _good(self, request: dict[str, Any]) -> None:
        is_check = "response_format" in request
        self._say(self.found.opinion if is_check else self.found.answer(self.found.text(request)))

    def _bad_checker(self, request: dict[str, Any]) -> None:
        return self._error(500, None) if "response_format" in request else self._good(request)

    def _no_schemas(self, request: dict[str, Any]) -> None:
        return self._error(400, "invalid_request") if "response_format" in request else self._good(request)

    def _reckless(self, request: dict[str, Any]) -> None:
        self._say(f"{self.found.text(request)} It fell down.")

    def _say(self, text: str, finish_reason: str = "stop", **message: Any) -> None:
        choice = {
            "index": 0,
            "finish_reason": finish_reason,
            "message": {"role": "assistant", "content": text, **message},
        }
        usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": COMPLETION_TOKENS, "total_tokens": 120}
        body = {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [choice],
            "usage": usage,
        }
        self._send(200, json.dumps(body).encode())

    def _send(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _error(self, status: int, code: str | None, message: str = "no", **headers: str) -> None:
        self._send(
            status, json.dumps({"error": {"message": message, "code": code, "type": "t"}}).encode(), **headers
        )

    def _empty(self, request: dict[str, Any]) -> None:
        self._say("")

    def _chatty(self, request: dict[str, Any]) -> None:
        self._say(f"Here is the rewritten text: {self.found.text(request)}")

    def _cut_short(self, request: dict[str, Any]) -> None:
        self._say(self.found.text(request)[:20], "length")

    def _policy(self, request: dict[str, Any]) -> None:
        self._say("", "content_filter")

    def _refusal(self, request: dict[str, Any]) -> None:
        self._say("", refusal="I cannot help with that.")

    def _too_long(self, request: dict[str, Any]) -> None:
        self._error(400, "context_length_exceeded", self.found.text(request))

    def _unknown_model(self, request: dict[str, Any]) -> None:
        self._error(404, "model_not_found")

    def _no_quota(self, request: dict[str, Any]) -> None:
        self._error(429, "insufficient_quota")

    def _busy(self, request: dict[str, Any]) -> None:
        if self.found.busy:
            self.found.busy -= 1
            return self._error(429, "rate_limit_exceeded", retry_after="0")
        return self._good(request)

    def _busy_for_long(self, request: dict[str, Any]) -> None:
        self._error(429, None, retry_after="1000")

    def _unavailable(self, request: dict[str, Any]) -> None:
        self._error(503, None, retry_after="Wed, 21 Oct 2065 07:28:00 GMT")

    def _broken(self, request: dict[str, Any]) -> None:
        self._error(500, "server_error", self.found.text(request))

    def _broken_later(self, request: dict[str, Any]) -> None:
        return self._good(request) if len(self.found.requests) == 1 else self._error(500, None)

    def _nonsense(self, request: dict[str, Any]) -> None:
        self._send(200, b"\x00\xff not json {", "text/html")

    def _nonsense_json(self, request: dict[str, Any]) -> None:
        self._send(200, b'{"choices": "many"', "application/json")

    def _no_completion(self, request: dict[str, Any]) -> None:
        self._send(200, b'{"hello": []}')

    def _moved(self, request: dict[str, Any]) -> None:
        self._send(307, b"", location="/v1/elsewhere")

    def _hangs(self, request: dict[str, Any]) -> None:
        self.found.release.wait(120)

    def _trickles(self, request: dict[str, Any]) -> None:
        """A byte now and then, as long as the client stays: each ends the wait for the next one."""
        self.send_response(200)
        self.send_header("content-length", "10000")
        self.end_headers()
        with suppress(OSError):
            while not self.found.release.wait(0.05):
                self.wfile.write(b" ")
        self.found.hung_up.set()
        self.close_connection = True

    def _cut_off(self, request: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("content-length", "10000")
        self.end_headers()
        self.wfile.write(b'{"id": ')
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
