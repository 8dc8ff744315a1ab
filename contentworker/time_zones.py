"""Time zones by their IANA names, such as Europe/Berlin."""

import zoneinfo
from datetime import UTC, tzinfo

from contentworker.errors import did_you_mean

__all__ = ["time_zone"]

NOT_ZONES = ("Factory", "localtime", "posixrules")
"""Files beside the zones that belong to one machine, or say nothing."""
OTHER_FOLDERS = ("posix/", "right/")
"""The zones once more; those of `right/` count leap seconds, which no clock here does."""


def time_zone(name: str) -> tzinfo:
    """The time zone of this name.

    Raises:
        ValueError: there is no such zone, or no zone at all on this machine.
    """
    if name == "UTC":  # also where there is no data
        return UTC
    if name and name not in NOT_ZONES and not name.startswith(OTHER_FOLDERS):
        try:
            return zoneinfo.ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # OSError: a folder such as Europe
            pass
    known = zoneinfo.available_timezones()
    if not known:
        raise ValueError(
            "cannot be used: this machine has no time zone data; install tzdata (apt, dnf, apk or pip)"
        )
    raise ValueError(f"must be a time zone such as Europe/Berlin, not {name!r}{did_you_mean(name, known)}")
