"""Each Lua script of the project says what it is given, and is run by the module beside it."""

import re
from pathlib import Path

import pytest

from contentworker.runtime import transport
from contentworker.runtime.transport.scripts import load
from tests.support import ROOT

FILES = sorted((ROOT / "contentworker").rglob("*.lua"))
INCLUDED = {
    Path(transport.__file__).with_name(f"{name}.lua")
    if "." in name
    else path.with_name(f"{path.name.split('.')[0]}.{name}.lua")
    for path in FILES
    for name in re.findall(r"^-- include ([\w.]+)$", path.read_text("utf-8"), re.MULTILINE)
}
NAMES = [str(path.relative_to(ROOT)) for path in FILES]


def test_there_are_scripts() -> None:
    """Else the tests below look at nothing."""
    assert len(FILES) > 25
    assert {path.name for path in INCLUDED} == {
        "protocol.places.lua",
        "protocol.put_back.lua",
        "protocol.rate.lua",
        "protocol.records.lua",
        "queue_state.counting.lua",
        "runs.lists.lua",
    }


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_header_names_what_is_given(path: Path) -> None:
    """Each key and argument that the script uses by its number."""
    text = path.read_text("utf-8")
    header = re.match(r"(--.*\n)+", text)
    assert header, "begins with a comment"
    for given in ("KEYS", "ARGV"):
        used = set(re.findall(rf"\b{given}\[(\d+)\]", re.sub(r"--.*", "", text)))
        named = set(re.findall(rf"\b{given}\[(\d+)(?:\.\.\.)?\]", header[0]))
        assert used <= named, given


@pytest.mark.parametrize("path", [each for each in FILES if each not in INCLUDED], ids=str)
def test_a_module_loads_it(path: Path) -> None:
    """The one whose name it has, by its own."""
    module, name, _ = path.name.split(".")
    assert f'"{name}"' in path.with_name(f"{module}.py").read_text("utf-8")


def test_an_include_is_replaced(tmp_path: Path) -> None:
    """By the whole file, on a line of its own only."""
    (tmp_path / "m.a.lua").write_text("-- A\n-- include b\nreturn b() -- include b\n", "utf-8")
    (tmp_path / "m.b.lua").write_text("local function b() return 1 end", "utf-8")
    text = load(str(tmp_path / "m.py"), "a")
    assert text == "-- A\nlocal function b() return 1 end\nreturn b() -- include b\n"
    with pytest.raises(FileNotFoundError):
        load(str(tmp_path / "m.py"), "none")
