"""How systemd rates the services' sandboxes: `python -m tests.acceptance.systemd.exposure` prints a table."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.acceptance.systemd.installation import FLOWER, REDIS, WORKERS
from tests.support import ROOT

__all__ = ["exposures", "table"]


def exposures() -> dict[str, tuple[float, str]]:
    """Score, from 0 to 10, and systemd's word for it, by unit. Of the files: no systemd need run."""
    with tempfile.TemporaryDirectory() as root:
        shutil.copytree(ROOT / "systemd", Path(root, "etc/systemd/system"))
        return {unit: _rate(unit, root) for unit in [*WORKERS, FLOWER, REDIS]}


def _rate(unit: str, root: str) -> tuple[float, str]:
    command = ["systemd-analyze", f"--root={root}", "security", "--offline=true", "--no-pager", unit]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    ((score, word),) = re.findall(r"^→ Overall exposure level for .*: (\S+) (\w+)", printed, re.M)
    return float(score), word


def table() -> str:
    """For docs/operations.md."""
    rows = [f"| `{unit}` | {score} | {word} |" for unit, (score, word) in exposures().items()]
    return "\n".join(["| service | exposure score | systemd's word |", "|---|---|---|", *rows])


if __name__ == "__main__":
    print(table())
