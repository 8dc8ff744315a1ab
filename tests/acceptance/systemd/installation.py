"""Our services on a machine, put there by the command that people use."""

import os
import subprocess
import sys
from pathlib import Path

from contentworker import config
from tests.acceptance.conftest import make_checkout
from tests.acceptance.systemd.machine import Machine
from tests.support import ROOT, service_is_missing

SETTINGS = config.load(environ={})
PREFIX = SETTINGS.services.prefix
QUEUES = list(SETTINGS.queues)
WORKERS = [f"celery-worker@{queue}.service" for queue in QUEUES]
UMBRELLA, FLOWER, REDIS = "celery-worker.service", "celery-flower.service", "celery-redis.service"
HEALTH = "celery-health.service"
UNITS = [REDIS, FLOWER, UMBRELLA, *WORKERS]

CREDENTIALS = "/etc/content-worker/credentials"
STATE = "/var/lib/content-worker"

CHECKOUT, WHEELS, PROBE = "/srv/checkout", "/srv/wheels", "/srv/probe"


PIP = "/usr/share/python-wheels"
"""Where Debian has the pip of its virtual environments."""


def prepare(files: Path) -> None:
    """A checkout, and the packages of production: there is no network where they are installed."""
    if not (wheels := [str(path) for path in Path(PIP).glob("pip-*.whl")]):
        service_is_missing(f"python3-venv: there is no pip in {PIP}")
    make_checkout(files / CHECKOUT.lstrip("/"))
    options = ["-qq", "--no-deps", "--only-binary=:all:", "--require-hashes", f"--dest={files / WHEELS[1:]}"]
    subprocess.run(
        ["/usr/bin/python3", "-m", "pip", "download", *options, "-r", ROOT / "locks/service.txt"],
        env={**os.environ, "PYTHONPATH": wheels[0]},
        check=True,
    )


def command(machine: Machine, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `install`, `upgrade` or `uninstall` in the machine's checkout."""
    pip = ("PIP_NO_INDEX=1", f"PIP_FIND_LINKS={WHEELS}", "PIP_CONFIG_FILE=/dev/null")
    installer = (sys.executable, "-m", "contentworker.installer", name, "--yes", *options)
    return machine.run("env", f"--chdir={CHECKOUT}", *pip, *installer, check=False)


def secret(machine: Machine, name: str) -> str:
    """A credential of the services."""
    return machine.path(f"{CREDENTIALS}/{name}").read_text("utf-8").strip()
