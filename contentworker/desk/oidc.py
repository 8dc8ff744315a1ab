"""OpenID Connect: authorization code flow with PKCE, and the check of the token that comes of it."""

import base64
import hashlib
import hmac
import http.client
import json
import logging
import re
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import jwt

from contentworker.desk.passwords import NAME
from contentworker.desk.people import Person
from contentworker.errors import ContentWorkerError

__all__ = ["Flow", "Provider", "ProviderError", "fingerprint"]

logger = logging.getLogger(__name__)

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures by a key that only the provider has: neither `none` nor one that the client's secret makes."""
REQUIRED = ["iss", "aud", "exp", "iat", "sub", "nonce"]
CLOCK_SECONDS = 60
"""How much the clocks of the provider and the desk may differ."""
TIMEOUT_SECONDS = 5
MOST_BYTES = 1_000_000
KEPT_SECONDS = 3600
"""How long the provider's addresses and keys are kept. A key that is not among them is asked for at once."""
AT_ONCE = 4
"""Most people whose sign-in waits for the provider: a slow one must not hold all threads of the desk."""
LOCAL = ("127.0.0.1", "localhost", "::1")


class ProviderError(ContentWorkerError):
    """The provider is away, or what it said cannot be believed."""


class Flow(NamedTuple):
    """What one browser keeps while its person is at the provider: nobody else can end what it began."""

    state: str
    nonce: str
    verifier: str
    next: str

    @classmethod
    def begin(cls, next_page: str) -> "Flow":
        """A new one."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(state, nonce, verifier, next_page)

    @classmethod
    def read(cls, cookie: str) -> "Flow | None":
        """The one in a cookie; None if there is none."""
        parts = cookie.split(":")
        return cls(*parts) if len(parts) == 4 and all(parts[:3]) else None  # noqa: PLR2004 (its fields)

    def __str__(self) -> str:
        return ":".join(self)


def fingerprint(settings: Any) -> str:
    """A hash of the settings that a session rests on: one that began under others is over."""
    desk = settings.model_dump(include={"oidc", "group_roles"}, mode="json")
    return hashlib.sha256(json.dumps(desk, sort_keys=True).encode()).hexdigest()


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow none: an answer is the provider's own."""


class Provider:
    """The provider in the settings."""

    def __init__(self, settings: Any, secret: str, desk_url: str) -> None:
        self._settings, self._groups, self._secret = settings.oidc, settings.group_roles, secret
        self._returns_to = f"{desk_url}/login/oidc/callback"
        self._opener = urllib.request.build_opener(_NoRedirects)
        self._busy = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._metadata: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, jwt.PyJWKSet] | None = None

    def address(self, flow: Flow) -> str:
        """Where a browser goes to sign in.

        Raises:
            ProviderError: the provider is away.
        """
        with self._one_of_few():
            endpoint = self._endpoint("authorization_endpoint")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(flow.verifier.encode()).digest())
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._returns_to,
            "scope": " ".join(self._settings.scopes),
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": challenge.rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    def person(self, answer: Mapping[str, str], flow: Flow | None) -> Person:
        """Who came back with this answer.

        Raises:
            ProviderError: it is not the answer to this flow, or not one that can be believed.
        """
        state = answer.get("state", "").encode("utf-8", "replace")
        if flow is None or not hmac.compare_digest(state, flow.state.encode("utf-8", "replace")):
            raise ProviderError("the answer belongs to another browser, or to an earlier try")
        if answer.get("iss", self._settings.issuer) != self._settings.issuer:  # RFC 9207
            raise ProviderError("the answer is another provider's")
        if "error" in answer or not answer.get("code"):
            raise ProviderError("the provider let nobody in")
        with self._one_of_few():
            claims = self._claims(self._token(answer["code"], flow), flow)
        return self._person(claims)

    @contextmanager
    def _one_of_few(self) -> Iterator[None]:
        if not self._busy.acquire(timeout=TIMEOUT_SECONDS):
            raise ProviderError("the provider is slow, and others wait for it")
        try:
            yield
        finally:
            self._busy.release()

    def _token(self, code: str, flow: Flow) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._returns_to,
            "code_verifier": flow.verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self._secret:  # RFC 6749, 2.3.1: both are encoded first
            pair = f"{quote(self._settings.client_id, safe='')}:{quote(self._secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form["client_id"] = self._settings.client_id
        answer = self._fetch(self._endpoint("token_endpoint"), urlencode(form).encode(), headers)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise ProviderError("the provider gave no id_token")
        return token

    def _claims(self, token: str, flow: Flow) -> dict[str, Any]:
        try:
            claims = jwt.decode(
                token,
                self._key(jwt.get_unverified_header(token).get("kid")),
                algorithms=ALGORITHMS,
                audience=self._settings.client_id,
                issuer=self._settings.issuer,
                leeway=CLOCK_SECONDS,
                options={"require": REQUIRED},
            )
        except jwt.PyJWTError as error:
            raise ProviderError(f"the token cannot be believed: {type(error).__name__}") from None
        if not hmac.compare_digest(str(claims["nonce"]).encode("utf-8", "replace"), flow.nonce.encode()):
            raise ProviderError("the token belongs to another sign-in")
        if claims.get("azp", self._settings.client_id) != self._settings.client_id:
            raise ProviderError("the token was made for another program")
        return claims

    def _key(self, kid: object) -> jwt.PyJWK:
        """The key with this name, which is asked for again if it is new; without a name, the only key."""
        for is_second in (False, True):
            keys = [each for each in self._known_keys(fresh=is_second).keys if each.public_key_use != "enc"]
            named = keys if kid is None else [each for each in keys if each.key_id == kid]
            if len(named) == 1:
                return named[0]
        raise ProviderError("the token is signed with a key that the provider does not have")

    def _known_keys(self, *, fresh: bool) -> jwt.PyJWKSet:
        with self._lock:
            kept = self._keys
        if kept is None or fresh or time.monotonic() - kept[0] > KEPT_SECONDS:
            try:
                keys = jwt.PyJWKSet.from_dict(self._fetch(self._endpoint("jwks_uri")))
            except (jwt.PyJWTError, AttributeError, TypeError, ValueError):
                raise ProviderError("the provider's keys cannot be read") from None
            kept = time.monotonic(), keys
            with self._lock:
                self._keys = kept
        return kept[1]

    def _endpoint(self, name: str) -> str:
        with self._lock:
            kept = self._metadata
        if kept is None or time.monotonic() - kept[0] > KEPT_SECONDS:
            issuer = self._settings.issuer
            metadata = self._fetch(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            if metadata.get("issuer") != issuer:
                raise ProviderError("the provider has another issuer than desk.oidc.issuer")
            kept = time.monotonic(), metadata
            with self._lock:
                self._metadata = kept
        endpoint = kept[1].get(name)
        if not isinstance(endpoint, str) or not self._is_safe(endpoint):
            raise ProviderError(f"the provider's {name} must be an https:// address")
        return endpoint

    def _is_safe(self, address: str) -> bool:
        """Whether it is encrypted, or stays on this machine, as the issuer does."""
        parts, own = urlsplit(address), urlsplit(self._settings.issuer)
        return parts.scheme == "https" or (
            parts.scheme == own.scheme == "http" and parts.hostname in LOCAL and own.hostname in LOCAL
        )

    def _fetch(
        self, address: str, form: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        request = urllib.request.Request(address, form, {"Accept": "application/json", **(headers or {})})  # noqa: S310 (`_is_safe`, or the settings' pattern)
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as response:
                body = response.read(MOST_BYTES + 1)
            answer = json.loads(body) if len(body) <= MOST_BYTES else None
        except urllib.error.HTTPError as error:
            error.close()
            raise ProviderError(f"the provider answers {error.code}") from None
        except (OSError, ValueError, RecursionError, http.client.HTTPException) as error:
            raise ProviderError(f"the provider cannot be asked: {type(error).__name__}") from None
        if not isinstance(answer, dict):
            raise ProviderError("the provider's answer is no JSON object")
        return answer

    def _person(self, claims: Mapping[str, Any]) -> Person:
        name, groups = claims.get(self._settings.name_claim), claims.get(self._settings.groups_claim, [])
        if not isinstance(name, str) or not re.fullmatch(NAME, name):
            raise ProviderError(
                f"the claim {self._settings.name_claim} must be a name of A-Z a-z 0-9 . _ @ -"
            )
        if self._settings.name_claim == "email" and claims.get("email_verified", True) is not True:
            raise ProviderError("the provider has not verified the address")
        values = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
        roles = {role for value in values if isinstance(value, str) for role in self._groups.get(value, ())}
        return Person(name, frozenset(roles), "oidc")
