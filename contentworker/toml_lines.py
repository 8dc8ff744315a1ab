"""The line of each key in a TOML file. `tomllib` reads each statement, so it decides what a key is."""

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Keys", "line_of", "lines_of_keys"]

Keys = tuple[str, ...]
"""The path to a value: `("queues", "celery", "tasks", "[0]")`. The key of an element is its index."""


def line_of(keys: Keys, lines: Mapping[Keys, int]) -> int | None:
    """The line of a key, or of the nearest table around it if the file has no such key."""
    return next((lines[keys[:size]] for size in range(len(keys), 0, -1) if keys[:size] in lines), None)


def lines_of_keys(text: str) -> dict[Keys, int]:
    """The line, from 1, where each table, key and element of an array first stands in a valid TOML text."""
    found: dict[Keys, int] = {}
    tables: dict[Keys, int] = {}
    table: Keys = ()
    for start, rows in _statements(text.replace("\r\n", "\n").split("\n")):
        # A statement is valid TOML of its own: `a.b = 1` is {"a": {"b": 1}}, `[a.b]` is {"a": {"b": {}}}.
        tree = tomllib.loads("\n".join(rows))
        if rows[0].lstrip().startswith("["):
            table = _header(tree, tables, is_element=rows[0].lstrip().startswith("[["))
            for size in range(1, len(table) + 1):
                found.setdefault(table[:size], start)
        else:
            for keys, line in _values(tree, rows, start):
                found.setdefault(table + keys, line)
    return found


def _statements(rows: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Each statement's first line and its rows: the fewest that are valid TOML, as an open one never is."""
    start = 0
    while start < len(rows):
        end = start + 1
        while end < len(rows) and not _is_valid("\n".join(rows[start:end])):
            end += 1
        if rows[start].strip() and not rows[start].lstrip().startswith("#"):
            yield start + 1, rows[start:end]
        start = end


def _is_valid(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _header(tree: Any, tables: dict[Keys, int], *, is_element: bool) -> Keys:
    """The path of a header. A name that `[[…]]` has made an array means its last element."""
    names: Keys = ()
    while tree:
        if isinstance(tree, list):
            tree = tree[0]
            continue
        ((name, tree),) = tree.items()
        names = (*names, name)
        if is_element and not (tree[0] if isinstance(tree, list) else tree):
            tables[names] = tables.get(names, -1) + 1
        if names in tables:
            names = (*names, f"[{tables[names]}]")
    return names


def _values(tree: Any, rows: list[str], line: int, above: Keys = ()) -> Iterator[tuple[Keys, int]]:
    """Each key and element below a statement, with its line."""
    is_array = isinstance(tree, list)
    row_of = _rows_of_elements(rows, above) if is_array and len(rows) > 1 else {}
    for key, value in enumerate(tree) if is_array else tree.items():
        keys, own_line = (*above, f"[{key}]" if is_array else str(key)), line + row_of.get(key, 0)
        yield keys, own_line
        if isinstance(value, dict | list):
            yield from _values(value, rows, own_line, keys)


def _rows_of_elements(rows: list[str], keys: Keys) -> dict[int, int]:
    """The row of each element of an array over several rows; where it ends, if it has several of its own."""
    found: dict[int, int] = {}
    for row in range(len(rows)):
        opened = "\n".join([*rows[: row + 1], "]"])
        if _is_valid(opened):
            array: Any = tomllib.loads(opened)
            for key in keys:
                array = array[int(key[1:-1]) if isinstance(array, list) else key]
            found.update(dict.fromkeys(range(len(found), len(array)), row))
    return found
