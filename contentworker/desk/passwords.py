"""The password file `DESK_PASSWORDS`: a line `name:roles:hash` for each person."""

import base64
import hashlib
import hmac
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from contentworker.desk.people import ROLES, known_roles
from contentworker.errors import ConfigError

__all__ = ["Account", "Tries", "account_line", "check", "hashed", "read"]

MOST_NAME_CHARACTERS = 100
NAME = rf"[A-Za-z0-9][A-Za-z0-9._@-]{{0,{MOST_NAME_CHARACTERS - 1}}}"
COST, BLOCKS, PARALLEL = 2**14, 8, 5
"""For scrypt, as OWASP's cheat sheet has it for 16 MB: 0.3 s a try on a busy machine."""
MEMORY_BYTES = 64 * 1024 * 1024
HASH = re.compile(r"scrypt\$([A-Za-z0-9+/]{22}==)\$([A-Za-z0-9+/]{43}=)")
TRIES_A_MINUTE = 5
WINDOW_SECONDS = 60
MOST_TRIED = 10_000
"""Names and addresses that are remembered at once."""


class Account(NamedTuple):
    """A person who may sign in."""

    name: str
    roles: frozenset[str]
    hash: str

    @property
    def sha256(self) -> str:
        """A fingerprint of all of it: a session that began under another one is over."""
        return hashlib.sha256(repr((self.name, sorted(self.roles), self.hash)).encode()).hexdigest()


def hashed(password: str, salt: bytes | None = None) -> str:
    """A password as the file holds it."""
    salt = salt or secrets.token_bytes(16)
    key = hashlib.scrypt(
        password.encode(), salt=salt, n=COST, r=BLOCKS, p=PARALLEL, maxmem=MEMORY_BYTES, dklen=32
    )
    return f"scrypt${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


UNKNOWN = hashed(secrets.token_hex(), b"\0" * 16)
"""Checked where no account has the name, so that the answer takes equally long."""


def read(text: str) -> dict[str, Account]:
    """The accounts in a password file, by name.

    Raises:
        ConfigError: a line has another form. It is named by its number, as it may hold a password.
    """
    accounts: dict[str, Account] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, rest = line.strip().partition(":")
        roles, _, key = rest.partition(":")
        given = frozenset(roles.split(","))
        where = f"DESK_PASSWORDS: line {number}"
        if not re.fullmatch(NAME, name):
            raise ConfigError(f"{where}: the name must be 1 to 100 of A-Z a-z 0-9 . _ @ -")
        if not known_roles(given):
            raise ConfigError(f"{where}: the roles must be of {', '.join(ROLES)}, with commas between")
        if not HASH.fullmatch(key):
            raise ConfigError(f"{where}: must end in what `content-worker desk password` prints")
        if name in accounts:
            raise ConfigError(f"{where}: there is a line for this name already")
        accounts[name] = Account(name, given, key)
    if not accounts:
        raise ConfigError(
            "DESK_PASSWORDS: must hold a line for each person: `content-worker desk password NAME`"
        )
    return accounts


def account_line(name: str, roles: tuple[str, ...], password: str) -> str:
    """A line for the file.

    Raises:
        ConfigError: a name or role that the file cannot hold.
    """
    line = f"{name}:{','.join(roles)}:{hashed(password)}"
    read(line)
    return line


def check(account: Account | None, password: str) -> bool:
    """Whether this is the account's password. Takes equally long without an account."""
    key = account.hash if account else UNKNOWN
    salt = base64.b64decode(key.split("$")[1])
    return hmac.compare_digest(hashed(password, salt), key) and account is not None


class Tries:
    """At most five tries a minute for each name, and for each address."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._tries: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def may_try(self, *keys: str) -> bool:
        """Count a try for each key up to the first one that has none left; return whether all of them had.

        Put the address first: one that has no try left uses up none of a name, and no memory.
        """
        with self._lock:  # pages run in threads
            return self._may_try(keys, self._now())

    def _may_try(self, keys: tuple[str, ...], now: float) -> bool:
        if len(self._tries) > MOST_TRIED:
            self._tries = {
                key: tries for key, tries in self._tries.items() if now - tries[-1] < WINDOW_SECONDS
            }
        for key in keys:
            tries = self._tries.setdefault(key, deque(maxlen=TRIES_A_MINUTE))
            if len(tries) == TRIES_A_MINUTE and now - tries[0] < WINDOW_SECONDS:
                return False
            tries.append(now)
        return True
