"""A small provider of OpenID Connect: real RS256 tokens over HTTP, and everything that one can do wrong."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "desk", "s3cret:with/signs"


class Provider:
    """What it does next; a test changes it."""

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self.claims: dict[str, Any] = {"email": "ana@site.test", "groups": ["editors"]}
        """Of the person who signs in; they win over the token's own."""
        self.left_out: set[str] = set()
        self.metadata: dict[str, Any] = {}
        self.algorithm = "RS256"
        self.status = 200
        self.is_in_another_clock = 0.0
        self._codes: dict[str, dict[str, str]] = {}
        self.kid = ""
        self.published: list[dict[str, Any]] = []
        self.rotate()

    def rotate(self, *, publish: bool = True) -> None:
        """Sign with a new key from now on."""
        self.kid = f"key {len(self.published)} {time.monotonic_ns()}"
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        if publish:
            public = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
            self.published = [{**public, "kid": self.kid, "use": "sig", "alg": "RS256"}]

    def authorize(self, address: str) -> str:
        """What a person does there: sign in; return the query with which the browser goes back."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert query["code_challenge_method"] == "S256"
        code = hashlib.sha256(address.encode()).hexdigest()
        self._codes[code] = query
        return f"code={code}&state={query['state']}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Give a token for a code, once, to the client that has its verifier and secret."""
        asked = self._codes.pop(form["code"], None)
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode().split(":")
        digest = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest())
        if (
            asked is None
            or [unquote(each) for each in pair] != [CLIENT, SECRET]
            or asked["redirect_uri"] != form["redirect_uri"]
            or asked["code_challenge"] != digest.rstrip(b"=").decode()
        ):
            return 400, {"error": "invalid_grant"}
        now = time.time() + self.is_in_another_clock
        own = {"iss": self.issuer, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 300}
        claims = {**own, "nonce": asked["nonce"], **self.claims}
        claims = {name: value for name, value in claims.items() if name not in self.left_out}
        key: Any = {"none": None, "HS256": SECRET * 2}.get(self.algorithm, self._key)
        token = jwt.encode(claims, key, self.algorithm, headers={"kid": self.kid})
        return 200, {"id_token": token, "access_token": "x", "token_type": "Bearer"}


@contextmanager
def provider() -> Iterator[Provider]:
    """One that answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made = server.made
            documents = {
                "/.well-known/openid-configuration": {
                    "issuer": made.issuer,
                    "authorization_endpoint": f"{made.issuer}/authorize",
                    "token_endpoint": f"{made.issuer}/token",
                    "jwks_uri": f"{made.issuer}/keys",
                    **made.metadata,
                },
                "/keys": {"keys": made.published},
            }
            self._answer(made.status, documents[self.path])

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            self._answer(*server.made.token(form, self.headers.get("Authorization", "")))

        def _answer(self, status: int, document: Any) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        made: Provider

    server = Server(("127.0.0.1", 0), Handler)
    server.made = Provider(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
