"""How systemd rates the units, as a table for docs/operations.md: `python -m tests.acceptance.systemd.exposure`."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from contentworker import config
from tests.support import ROOT

UNITS = [
    *(f"celery-worker@{queue}.service" for queue in config.load(environ={}).queues),
    "celery-flower.service",
    "celery-redis.service",
]


def exposures() -> dict[str, tuple[str, str]]:
    """Score, of 10, and systemd's word for it, of each unit with its drop-ins. No systemd need run."""
    found = {}
    with tempfile.TemporaryDirectory() as root:
        shutil.copytree(ROOT / "systemd", Path(root, "etc/systemd/system"))
        for unit in UNITS:
            rated = subprocess.run(
                ["systemd-analyze", f"--root={root}", "security", "--offline=true", "--no-pager", unit],
                capture_output=True,
                check=True,
                text=True,
            )
            score, word = re.findall(r"^→ Overall exposure level for .*: (\S+) (\w+)", rated.stdout, re.M)[0]
            found[unit] = score, word
    return found


def table() -> str:
    """The lines of the table."""
    rows = [f"| `{unit}` | {score} {word} |" for unit, (score, word) in exposures().items()]
    return "\n".join(["| unit | exposure |", "|---|---|", *rows])


if __name__ == "__main__":
    print(table())
