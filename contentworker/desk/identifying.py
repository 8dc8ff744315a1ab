"""Who sent a request: a proxy's header, or a session's cookie; and from which address."""

import ipaddress
import re

from starlette.requests import Request

from contentworker.desk.passwords import NAME
from contentworker.desk.people import Person
from contentworker.desk.web import Desk, Refused

__all__ = ["address_of", "person_of"]


def address_of(request: Request, desk: Desk) -> str:
    """The address that the request came from: before trusted proxies, as the last of them says.

    Of IPv6 the network: whoever has one address there has 2**64, and would have as many tries.
    """
    address = request.client.host if request.client else ""
    said = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    while said and _is_trusted(address, desk):
        try:
            address = str(ipaddress.ip_address(said.pop().strip()))
        except ValueError:
            break
    return _of_one_person(address)


def _of_one_person(address: str) -> str:
    try:
        known = ipaddress.ip_address(address)
    except ValueError:  # a socket has none
        return address
    if known.version == 4:  # noqa: PLR2004 (IPv4)
        return address
    return str(known.ipv4_mapped or ipaddress.IPv6Network((int(known), 64), strict=False))


def _is_trusted(address: str, desk: Desk) -> bool:
    try:
        known = ipaddress.ip_address(address)
    except ValueError:  # a socket has none
        return False
    return any(known in network for network in desk.trusted_networks)


def person_of(request: Request, desk: Desk, token: str) -> Person | None:
    """Who sent it; None: nobody whom the desk knows.

    Raises:
        Refused: the proxy names somebody who cannot be.
    """
    settings = desk.settings.desk
    if settings.proxy_user_header and _is_trusted(request.client.host if request.client else "", desk):
        names = request.headers.getlist(settings.proxy_user_header)
        if any(names):
            return _named_by_proxy(request, desk, names)
    return desk.sessions.find(token, desk.accounts, desk.link_secret) if token else None


def _named_by_proxy(request: Request, desk: Desk, names: list[str]) -> Person:
    settings = desk.settings.desk
    if len(names) != 1 or not re.fullmatch(NAME, names[0]):
        raise Refused(400, "Your proxy names nobody", f"{settings.proxy_user_header} must hold one name.")
    if names[0] in desk.accounts:
        raise Refused(403, "You cannot sign in so", f"{names[0]} is in the password file: sign in there.")
    header = settings.proxy_groups_header
    groups = ",".join(request.headers.getlist(header)).split(",") if header else []
    roles = {role for group in groups for role in settings.group_roles.get(group.strip(), ())}
    return Person(names[0], frozenset(roles), "proxy")
