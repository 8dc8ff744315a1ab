"""Addresses of servers, read strictly: a password that is not percent-encoded must not choose the server.

`urllib.parse` ends host and port at the first `/`, `?` or `#`: for it `redis://:57#Zq9@db.example` has no
host and port 57. Here that is an error. No error shows any part of an address, since it may be part of the
password.
"""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from contentworker.errors import ConfigError

__all__ = ["ENCODE", "split"]

ENCODE = (
    "percent-encode the user and the password: letters, digits and -._~ may stay as they are "
    "(# is %23, / is %2F, ? is %3F, @ is %40, ; is %3B, % is %25)"
)
NOT_ALLOWED = re.compile(r"[^!-~]|%(?![0-9A-Fa-f]{2})")
"""Spaces, control characters, letters beyond ASCII, and a percent sign that encodes nothing."""
HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9._])?")


def split(variable: str, address: str) -> SplitResult:
    """The parts of an address; host and port, if it has them, are valid.

    Raises:
        ConfigError: the address is not valid; the error names the variable and shows nothing of its value.
    """
    if NOT_ALLOWED.search(address):
        raise ConfigError(f"{variable}: contains a character that is not allowed in an address; {ENCODE}")
    if "#" in address:
        raise ConfigError(f"{variable}: must not have a #; {ENCODE}")
    if address.count("@") > 1:
        raise ConfigError(f"{variable}: must have one @ at most; {ENCODE}")
    parts = _split(address)
    place = parts.netloc.rpartition("@")[2] if parts else ""
    if parts is None or (place and place.lower() != _place(parts)):
        raise ConfigError(f"{variable}: must name its server as host, host:port or [IPv6]:port; {ENCODE}")
    if "@" in address and "@" not in parts.netloc:
        raise ConfigError(f"{variable}: must have its @ right before the host; {ENCODE}")
    return parts


def _split(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        _ = parts.port  # reading the port checks it
    except ValueError:
        return None  # and no error here, whose context would be this one: its text shows the address
    return parts


def _place(parts: SplitResult) -> str:
    """Host and port as urllib understands them; empty if they are not valid."""
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]" if _is_ipv6(host) else ""
    elif not HOST_NAME.fullmatch(host):
        host = ""
    if not host or parts.port == 0:
        return ""
    return host if parts.port is None else f"{host}:{parts.port}"


def _is_ipv6(host: str) -> bool:
    try:
        return not ipaddress.IPv6Address(host).scope_id
    except ValueError:
        return False
