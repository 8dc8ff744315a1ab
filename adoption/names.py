"""The name of the adopted project, and the forms in which it is written."""

import ast
import keyword
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from adoption.errors import AdoptionError

__all__ = ["Name", "check", "in_use"]

LONGEST = 24
"""`NAME-redis` is an account, and Linux allows 32 characters for one."""
ACCOUNTS = {
    *("adm", "backup", "bin", "celery", "daemon", "dbus", "ftp", "games", "git", "http", "lp", "mail", "man"),
    *("messagebus", "mysql", "news", "nobody", "nogroup", "operator", "postgres", "proxy", "redis", "root"),
    *("sshd", "sync", "sys", "syslog", "systemd", "users", "uucp", "valkey", "www"),
}
"""Accounts of operating systems: the services run as an account called NAME."""
UNITS = "backup|beat|failed|flower|health|metrics|preflight|redis|secrets|worker"


class Name(NamedTuple):
    """`news_desk` in the forms that code, units and pages need."""

    package: str

    @property
    def dashed(self) -> str:
        """`news-desk`: units, folders, accounts."""
        return self.package.replace("_", "-")

    @property
    def title(self) -> str:
        """`News Desk`: headings."""
        return " ".join(word.capitalize() for word in self.package.split("_"))

    def put_into(self, text: str) -> str:
        """The text with this name in place of the source's, in every form."""
        text = re.sub(rf"(?<![\w-])celery-(?!redis-plus)(?=(?:{UNITS})\b|[{{\"*])", f"{self.dashed}-", text)
        for old, new in (
            ("contentworker", self.package),
            ("content_worker", self.package),
            ("content-worker", self.dashed),
            ("Content Worker", self.title),
            ("ContentWorker", self.title.replace(" ", "")),
            ("CONTENTWORKER", self.package.upper()),
            ("CONTENT_WORKER", self.package.upper()),
        ):
            text = text.replace(old, new)
        return text


def check(name: str, root: Path) -> Name:
    """Refuse what cannot be the name of a package in a project like the one in `root`.

    Raises:
        AdoptionError: it is no lower-case package name, or something else has it.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or len(name) > LONGEST:
        raise AdoptionError(
            f"NAME: must be a package name of at most {LONGEST} characters, in lower case, "
            f"such as news_desk, not {name!r}"
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise AdoptionError(f"NAME: {name} is a keyword of Python; choose another")
    if name in sys.stdlib_module_names:
        raise AdoptionError(f"NAME: {name} is a module of Python's standard library; choose another")
    if name in ACCOUNTS:
        raise AdoptionError(f"NAME: {name} is an account of the system, and services get one of this name")
    if name in in_use(root):
        raise AdoptionError(f"NAME: {name} is a file, folder or dependency of the project; choose another")
    return Name(name)


@cache
def in_use(root: Path) -> set[str]:
    """Names of the project's top level, of the packages that it locks, and of all that its code imports."""
    names = {path.stem for path in root.iterdir()}
    for lock in (root / "locks").glob("*.txt"):
        names.update(re.findall(r"^([\w.-]+)(?:\[.*\])?==", lock.read_text("utf-8"), re.MULTILINE))
    for folder in ("contentworker", "tasks", "tests"):
        for file in (root / folder).rglob("*.py"):
            names.update(_imported(ast.parse(file.read_bytes())))
    return {re.sub(r"[.-]", "_", name).lower() for name in names}


def _imported(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
