"""How old the model's knowledge is. It loads no NumPy: the doctor asks, too."""

import json
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

__all__ = ["HEADER", "MOST_MONTHS", "SHIPPED", "read_header", "warning"]

SHIPPED = Path(__file__).with_name("model.npz")
HEADER = "header.json"
"""The member of a model file that holds everything but arrays."""
MOST_MONTHS = 12
"""After a year most articles come from generators that the model never saw."""


def read_header(path: Path = SHIPPED) -> dict[str, Any]:
    """The header of a model file, unchecked.

    Raises:
        OSError, ValueError, KeyError, zipfile.BadZipFile: the file is missing, or no model.
    """
    with zipfile.ZipFile(path) as file:
        header: dict[str, Any] = json.loads(file.read(HEADER))
    return header


def warning(knows_until: str, today: date) -> str:
    """Why not to rely on a model whose newest generator is of this month (`2026-12`); empty if young."""
    newest = date.fromisoformat(f"{knows_until}-01")
    months = 12 * (today.year - newest.year) + today.month - newest.month
    if months <= MOST_MONTHS:
        return ""
    return f"the detector knows no generator after {knows_until}, {months} months ago: it misses most"
