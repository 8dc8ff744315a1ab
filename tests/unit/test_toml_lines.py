"""Where a key stands, whichever way TOML lets you write it."""

import pytest

from contentworker.toml_lines import line_of, lines_of_keys

TEXT = '''\
# a comment with [brackets] and key = 1
top = 1
a.b."c.d" = 2
'literal key'."quo\\"ted" = 3
inline = { one = 1, two = { three = 3 } }

[queues.rewrite] # a comment
tasks = [
    "a", # [not.a.table]
    "b",  "c",

    { d = 1, "e.f" = 2 },
]
text = """
[not.a.table]
not = "a key"
"""
other = \'\'\'
key = 1\'\'\'
after = [[1, 2], [3]]

[queues."a.b"]
[queues.'rewrite'.inner]
x=1
[[list]]
x = 1
[list.inner]
y = 2
[[list.more]]
[[list]]
x.z = 3
[[list.more]]
w = 1
[[list.more]]
w = [
  2
]
'''
LINES = {
    ("top",): 2,
    ("a",): 3,
    ("a", "b", "c.d"): 3,
    ("literal key", 'quo"ted'): 4,
    ("inline", "two", "three"): 5,
    ("queues",): 7,
    ("queues", "rewrite"): 7,
    ("queues", "rewrite", "tasks"): 8,
    ("queues", "rewrite", "tasks", "[0]"): 9,
    ("queues", "rewrite", "tasks", "[1]"): 10,
    ("queues", "rewrite", "tasks", "[2]"): 10,
    ("queues", "rewrite", "tasks", "[3]", "e.f"): 12,
    ("queues", "rewrite", "text"): 14,
    ("queues", "rewrite", "other"): 18,
    ("queues", "rewrite", "after", "[1]", "[0]"): 20,
    ("queues", "a.b"): 22,
    ("queues", "rewrite", "inner"): 23,
    ("queues", "rewrite", "inner", "x"): 24,
    ("list", "[0]", "x"): 26,
    ("list", "[0]", "inner", "y"): 28,
    ("list", "[0]", "more", "[0]"): 29,
    ("list", "[1]"): 30,
    ("list", "[1]", "x", "z"): 31,
    ("list", "[1]", "more", "[0]", "w"): 33,
    ("list", "[1]", "more", "[1]", "w", "[0]"): 36,
}


@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_each_key_has_its_line(line_end: str) -> None:
    """Dotted and quoted keys, inline tables, arrays over lines, and arrays of tables."""
    found = lines_of_keys(TEXT.replace("\n", line_end))
    assert {keys: found.get(keys) for keys in LINES} == LINES
    assert not {"not", "key", "not.a.table"} & {key for keys in found for key in keys}


def test_what_is_not_there_is_looked_for_where_it_belongs() -> None:
    """A missing key has the line of its table, and a table that is missing has none."""
    found = lines_of_keys(TEXT)
    assert line_of(("queues", "rewrite", "description"), found) == 7
    assert line_of(("no", "such"), found) is None
    assert lines_of_keys("") == {}
