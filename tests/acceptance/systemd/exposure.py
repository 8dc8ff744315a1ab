"""How systemd rates the services' sandboxes: `python -m tests.acceptance.systemd.exposure` prints a table."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.acceptance.systemd.installation import WORKERS
from tests.support import ROOT

__all__ = ["exposures", "table", "version"]


def exposures() -> dict[str, float]:
    """The score of each service, from 0 to 10. Of the files: no systemd need run."""
    with tempfile.TemporaryDirectory() as root:
        shutil.copytree(ROOT / "systemd", Path(root, "etc/systemd/system"))
        files = sorted(path.name for path in (ROOT / "systemd").glob("*.service"))
        units = [*WORKERS, *(name for name in files if name != "celery-worker@.service")]
        return {unit: _rate(unit.replace("@.", "@any."), root) for unit in units}


def _rate(unit: str, root: str) -> float:
    command = ["systemd-analyze", f"--root={root}", "security", "--offline=true", "--no-pager", unit]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    (score,) = re.findall(r"^→ Overall exposure level for .*: (\S+)", printed, re.MULTILINE)
    return float(score)


def table() -> str:
    """For docs/operations.md. Without systemd's word for it: it knows the sandbox, not the service."""
    rows = [f"| `{unit}` | {score} |" for unit, score in exposures().items()]
    return "\n".join([f"| service | exposure score of 10, by {version()} |", "|---|---|", *rows])


def version() -> str:
    """The one that rates: another may know of more."""
    printed = subprocess.run(["systemctl", "--version"], capture_output=True, check=True, text=True).stdout
    return " ".join(printed.split()[:2])


if __name__ == "__main__":
    print(table())
