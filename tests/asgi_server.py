"""Serves an ASGI application over HTTP, as uvicorn would: `python -m tests.asgi_server MODULE:NAME PORT`."""

import asyncio
import importlib
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["serve"]


def serve(app: Callable[..., Any], port: int) -> None:
    """Answer on 127.0.0.1, each request in a thread and an event loop of its own; the lock has no uvicorn."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
            scope = {
                "type": "http",
                "asgi": {"version": "3.0"},
                "http_version": "1.1",
                "scheme": "http",
                "method": self.command,
                "path": self.path,
                "raw_path": self.path.encode(),
                "root_path": "",
                "query_string": b"",
                "headers": headers,
                "client": self.client_address,
                "server": ("127.0.0.1", port),
            }

            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": body}

            async def send(message: dict[str, Any]) -> None:
                if message["type"] == "http.response.start":
                    self.send_response(message["status"])
                    for name, value in message["headers"]:
                        self.send_header(name.decode(), value.decode())
                    self.end_headers()
                else:
                    self.wfile.write(message.get("body", b""))

            asyncio.run(app(scope, receive, send))

        do_POST = do_GET  # noqa: N815

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    module, _, name = sys.argv[1].partition(":")
    serve(getattr(importlib.import_module(module), name), int(sys.argv[2]))
