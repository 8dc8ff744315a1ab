"""docs/internals.md lists every private part of Celery, kombu, billiard and Flower that we rely on.

The page's table is the only one: these tests read it. A row fails when upstream changes its source.
"""

import ast
import hashlib
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kombu.transport import redis

import contentworker.runtime
from contentworker import config

PAGE = config.ROOT / "docs" / "internals.md"
UPSTREAM = ("celery", "kombu", "billiard", "flower")
OURS = ("contentworker", "tasks", "examples", "celery_worker.py")

NOT_UPSTREAM = {
    "_asdict": "of named tuples, as documented",
    "_replace": "of named tuples, as documented",
    "_exit": "os._exit, as documented",
    "_run_exitfuncs": "Python: what the interpreter does at its end, testing/preloaded.py",
    "_shutdown": "the same",
    "_mapping": "SQLAlchemy's Row, as documented",
    "_parser": "redis-py: what hears of changes of keys, runtime/transport/waiting.py",
    "_sock": "redis-py: the socket of a connection, runtime/records/snapshot.py",
    "rich._export_format": "rich: the frame of an SVG, cli/top.py",
}
"""Private names of other packages, and why they need no row."""


class Row(NamedTuple):
    """A line of the page's table."""

    source: str
    names: tuple[str, ...]
    version: str
    fingerprint: str
    used_in: tuple[str, ...]
    line: str


def _rows() -> Iterator[Row]:
    for line in PAGE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 7 and re.match(rf"`({'|'.join(UPSTREAM)})\b", cells[0]):
            source, names, version, printed, used_in, _, _ = cells
            found = re.findall(r'`([^`]+)`|"([^"]+)"', names)
            yield Row(
                source.strip("`"),
                tuple(name or words for name, words in found),
                version,
                printed.strip("`"),
                tuple(used_in.replace("\\", "").split(", ")),
                line,
            )


ROWS = list(_rows())
NAMES = {name for row in ROWS for name in row.names}


def source_of(symbol: str) -> str:
    """Source code of `module` or `module:Class.name`."""
    module, _, path = symbol.partition(":")
    part: Any = importlib.import_module(module)
    for name in path.split(".") if path else ():
        part = inspect.getattr_static(part, name)
    # A property, a cached one, or a click command: the function in it.
    for inner in ("fget", "func", "callback"):
        part = getattr(part, inner, part)
    return inspect.getsource(part)


def fingerprint(source: str) -> str:
    """What the table has of a source."""
    return hashlib.sha256(source.encode()).hexdigest()[:12]


@pytest.mark.parametrize("row", ROWS, ids=[row.source for row in ROWS])
def test_upstream_is_as_it_was(row: Row) -> None:
    """The source of each row exists, has its names, and is what was checked."""
    try:
        source = source_of(row.source)
    except (ImportError, AttributeError, TypeError) as error:
        pytest.fail(f"{row.source} is gone ({error}). docs/internals.md says who needs it:\n{row.line}")
    missing = [name for name in row.names if name not in source and name not in row.source]
    assert not missing, f"{row.source} no longer has {missing}. See the row of docs/internals.md:\n{row.line}"
    assert fingerprint(source) == row.fingerprint, (
        f"{row.source} is not what it was in {row.version}. Read what changed, check our files in this row "
        f"of docs/internals.md, write the new version and the fingerprint {fingerprint(source)}:\n{row.line}"
    )


def test_our_files_exist() -> None:
    """Each row names our files that rely on it. A project of your own may lack tasks and examples."""
    runtime = {name for row in ROWS for name in row.used_in if name.startswith("runtime/")}
    assert {name for name in runtime if not (config.ROOT / "contentworker" / name).is_file()} == set()
    assert all(row.used_in for row in ROWS)


@pytest.mark.parametrize(
    "row",
    [row for row in ROWS if any(name.startswith("_") for name in row.names)],
    ids=lambda row: row.source,
)
def test_our_files_use_it(row: Row) -> None:
    """A file that the machinery's row names has one of the row's private names, or overrides the method."""
    names = {*row.names, re.split(r"[:.]", row.source)[-1]}
    unused = [
        name
        for name in row.used_in
        if name.startswith("runtime/")
        and not any(each in (config.ROOT / "contentworker" / name).read_text("utf-8") for each in names)
    ]
    assert not unused, f"does not use {sorted(names)}: {unused}"


@pytest.mark.parametrize(
    "name",
    [
        *("_in_poll", "_brpop_sent_at", "sep", "priority_steps", "global_keyprefix", "active_fanout_queues"),
        *("from_transport_options", "conn_or_acquire", "typeof", "subclient"),
    ],
)
def test_an_attribute_of_a_channel_is_there(name: str) -> None:
    """The leased channel reads or sets it."""
    assert hasattr(redis.Channel, name) or name in inspect.getsource(redis.Channel.__init__)


def test_sources_are_listed_once() -> None:
    """The number guards against a table that this test can no longer read."""
    assert len({row.source for row in ROWS}) == len(ROWS) > 80


@cache
def _trees() -> dict[Path, ast.Module]:
    files = [
        file
        for name in OURS
        for file in ([config.ROOT / name] if name.endswith(".py") else (config.ROOT / name).rglob("*.py"))
    ]
    return {file: ast.parse(file.read_text("utf-8")) for file in files}


def test_every_private_name_has_a_row() -> None:
    """A private name that a file uses and does not define itself is someone else's."""
    without = {}
    for file, tree in _trees().items():
        foreign = _used(tree) - _defined(tree) - NAMES - NOT_UPSTREAM.keys()
        if foreign:
            without[str(file.relative_to(config.ROOT))] = sorted(foreign)
    assert not without, "give each a row in docs/internals.md, or a reason in NOT_UPSTREAM"


def _used(tree: ast.AST) -> set[str]:
    used = set()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name):
                used.add(name)
            case ast.ImportFrom(module=str(name)) if re.search(r"(^|\.)_[a-z]", name):
                used.add(f".{name}")
            case ast.Call(
                func=ast.Name(id="getattr" | "hasattr"), args=[_, ast.Constant(value=str(name)), *_]
            ):
                used.add(name)
    return {name.lstrip(".") for name in used if re.match(r"\.|_[^_]", name)}


def _defined(tree: ast.AST) -> set[str]:
    defined = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                defined.add(name)
            case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()):
                defined.add(name)
    return defined


def test_every_override_of_a_private_name_has_a_row() -> None:
    """Also names that our classes define: they may be private ones of a base class from upstream."""
    without = set()
    for found in pkgutil.walk_packages(contentworker.runtime.__path__, "contentworker.runtime."):
        module: Any = importlib.import_module(found.name)
        for node in ast.parse(inspect.getsource(module)).body:
            if not isinstance(node, ast.ClassDef):
                continue
            bases = [
                base for base in getattr(module, node.name).__mro__ if base.__module__.startswith(UPSTREAM)
            ]
            names = {name for name in _used(node) | _defined(node) if re.match(r"_[^_]", name)}
            shared = {name for name in names if any(name in vars(base) for base in bases)}
            without |= {f"{found.name}:{node.name}.{name}" for name in shared - NAMES}
    assert not without, "give each a row in docs/internals.md"


def test_every_log_line_of_upstream_has_a_row() -> None:
    """`outages` knows lines of Celery's and billiard's by their words."""
    from contentworker.runtime.logs import outages

    words = {each.words for each in outages.REPEATED if not each.logger.startswith("contentworker")}
    assert words <= NAMES
