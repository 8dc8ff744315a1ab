"""Our services on a machine, put there by the command that people use."""

import subprocess
import sys
from pathlib import Path

from contentworker import config
from tests.acceptance.conftest import make_checkout
from tests.acceptance.systemd.machine import Machine
from tests.support import ROOT

SETTINGS = config.load(environ={})
PREFIX = SETTINGS.services.prefix
QUEUES = list(SETTINGS.queues)
WORKERS = [f"celery-worker@{queue}.service" for queue in QUEUES]
UMBRELLA, FLOWER, REDIS = "celery-worker.service", "celery-flower.service", "celery-redis.service"
UNITS = [REDIS, FLOWER, UMBRELLA, *WORKERS]

CREDENTIALS = "/etc/content-worker/credentials"
STATE = "/var/lib/content-worker"

CHECKOUT, WHEELS, PROBE = "/srv/checkout", "/srv/wheels", "/srv/probe"


def prepare(files: Path) -> None:
    """A checkout, and the packages of production: there is no network where they are installed."""
    make_checkout(files / CHECKOUT.lstrip("/"))
    options = ["-qq", "--no-deps", "--only-binary=:all:", "--require-hashes", f"--dest={files / WHEELS[1:]}"]
    python = ["env", "PYTHONPATH=" + pip_wheel(), "/usr/bin/python3"]  # which the services run on
    subprocess.run([*python, "-m", "pip", "download", *options, "-r", ROOT / "locks/service.txt"], check=True)


def pip_wheel() -> str:
    """The pip that Debian has for its virtual environments."""
    return str(next(Path("/usr/share/python-wheels").glob("pip-*.whl")))


def command(machine: Machine, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `install`, `upgrade` or `uninstall` in the machine's checkout."""
    pip = ("PIP_NO_INDEX=1", f"PIP_FIND_LINKS={WHEELS}", "PIP_CONFIG_FILE=/dev/null")
    installer = (sys.executable, "-m", "contentworker.installer", name, "--yes", *options)
    return machine.run("env", f"--chdir={CHECKOUT}", *pip, *installer, check=False)


def secret(machine: Machine, name: str) -> str:
    """A credential of the services."""
    return machine.path(f"{CREDENTIALS}/{name}").read_text("utf-8").strip()
