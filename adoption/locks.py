"""Locks without what the adopted project no longer asks for, made without a network."""

import re
import tomllib
from pathlib import Path

__all__ = ["prune", "pruned"]

REQUIREMENT = re.compile(r"^([\w.-]+?)(?:\[[^\]]*\])?==")
DIRECT = re.compile(r"^content-worker \(pyproject\.toml:")


def prune(root: Path) -> None:
    """Keep in each lock what its dependency group still leads to; delete locks of groups that are gone.

    uv writes below each package why it is there (`# via`). A package goes when all its reasons have gone.
    """
    groups = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    for lock in sorted((root / "locks").glob("*.txt")):
        if lock.stem in groups:
            lock.write_text(pruned(lock.read_text("utf-8"), _direct(groups, lock.stem)), "utf-8")
        else:
            lock.unlink()


def _direct(groups: dict[str, list[str | dict[str, str]]], group: str) -> set[str]:
    """The packages that a group names, and those of the groups that it includes."""
    names: set[str] = set()
    for item in groups[group]:
        if isinstance(item, str):
            names.add(_plain(re.split(r"[^\w.-]", item, maxsplit=1)[0]))
        else:
            names |= _direct(groups, item["include-group"])
    return names


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pruned(text: str, direct: set[str]) -> str:
    """A lock without what only packages outside of `direct` lead to."""
    head, *entries = re.split(r"^(?=[\w.-]+(?:\[[^\]]*\])?==)", text, flags=re.MULTILINE)
    reasons = {entry: _reasons(entry) for entry in entries}
    for entry, given in reasons.items():
        if _name(entry) not in direct:
            given.difference_update([reason for reason in given if DIRECT.match(reason)])
    kept = dict(reasons)
    while gone := [entry for entry, given in kept.items() if not given - _absent(given, kept)]:
        for entry in gone:
            del kept[entry]
    return head + "".join(_with_reasons(entry, given - _absent(given, kept)) for entry, given in kept.items())


def _name(entry: str) -> str:
    match = REQUIREMENT.match(entry)
    assert match  # noqa: S101 (entries are split where this matches)
    return _plain(match[1])


def _reasons(entry: str) -> set[str]:
    _, _, below = entry.partition("    # via")
    return {line.strip(" #") for line in below.splitlines() if line.strip(" #")}


def _absent(given: set[str], kept: dict[str, set[str]]) -> set[str]:
    """Reasons that keep nothing: a package that has gone, or only a constraint."""
    names = {_name(entry) for entry in kept}
    return {
        reason for reason in given if not DIRECT.match(reason) and _plain(reason.split("[")[0]) not in names
    }


def _with_reasons(entry: str, reasons: set[str]) -> str:
    above, _, below = entry.partition("    # via")
    lines = [line for line in below.splitlines() if line.strip(" #")]
    stay = [line for line in lines if line.strip(" #") in reasons or line.strip(" #").startswith("-c ")]
    if len(lines) == 1 and below.startswith(" "):
        return entry
    return above + "".join(f"{line}\n" for line in ("    # via", *stay))
