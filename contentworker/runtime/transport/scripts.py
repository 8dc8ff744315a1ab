"""Loads Lua scripts, each a file beside the module that runs it: `protocol.fetch.lua` beside `protocol.py`.

A file begins with a comment that says what the script does and names its KEYS and ARGV. In the scripts of
`protocol.py`, the line `-- include records` stands for the functions in `protocol.records.lua`, which several
scripts share. With a dot, `-- include protocol.rate` stands for that file in this folder, from any module.
"""

import re
from pathlib import Path

__all__ = ["load"]

_INCLUDE = re.compile(r"^-- include ([\w.]+)$", re.MULTILINE)


def load(module: str, name: str) -> str:
    """Text of a module's script, including what it shares with others.

    `FETCH = load(__file__, "fetch")` in `records.py` reads `records.fetch.lua`.
    """
    if "." in name:
        module, name = str(Path(__file__).with_name(name)), name.rpartition(".")[2]
    text = Path(module).with_suffix(f".{name}.lua").read_text("utf-8")
    return _INCLUDE.sub(lambda include: load(module, include[1]), text)
