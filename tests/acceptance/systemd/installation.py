"""Our services on a machine, put there by the command that people use."""

import os
import shutil
import subprocess
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
BEAT, HEALTH, METRICS = "celery-beat.service", "celery-health.service", "celery-metrics.service"
UNITS = [REDIS, BEAT, FLOWER, UMBRELLA, *WORKERS]

CREDENTIALS = "/etc/content-worker/credentials"
STATE = "/var/lib/content-worker"

OPERATOR = "deployer"
CHECKOUT, WHEELS, PROBE = "/srv/checkout", "/srv/wheels", "/srv/probe"
AS_OPERATOR = ("runuser", "-u", OPERATOR, "--", "env", f"--chdir={CHECKOUT}", f"HOME=/home/{OPERATOR}")


PIP = "/usr/share/python-wheels"
"""Where Debian has the pip of its virtual environments."""


def prepare(files: Path) -> None:
    """A checkout, the packages of nox and of production (there is no network), and who may use sudo."""
    if not (wheels := [str(path) for path in Path(PIP).glob("pip-*.whl")]):
        service_is_missing(f"python3-venv: there is no pip in {PIP}")
    if not shutil.which("sudo"):
        service_is_missing("sudo")
    make_checkout(files / CHECKOUT.lstrip("/"))
    options = ["-qq", "--no-deps", "--only-binary=:all:", "--require-hashes", f"--dest={files / WHEELS[1:]}"]
    for lock in ("nox", "local", "embedded"):  # the second has all of service.txt
        subprocess.run(
            ["/usr/bin/python3", "-m", "pip", "download", *options, "-r", ROOT / f"locks/{lock}.txt"],
            env={**os.environ, "PYTHONPATH": wheels[0]},
            check=True,
        )
    sudoers = files / "etc/sudoers.d/deployer"
    sudoers.parent.mkdir(parents=True, mode=0o750)
    sudoers.write_text(f"{OPERATOR} ALL=(root) NOPASSWD: ALL\n")
    sudoers.chmod(0o440)


def add_operator(machine: Machine) -> None:
    """The person who types the commands: no root, and owner of the checkout."""
    machine.run("useradd", "--create-home", OPERATOR)
    machine.run("chown", "--recursive", f"{OPERATOR}:", CHECKOUT)


def command(machine: Machine, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Type `python3 noxfile.py -s install`, or upgrade, or uninstall."""
    pip = ("PIP_NO_INDEX=1", f"PIP_FIND_LINKS={WHEELS}", "PIP_CONFIG_FILE=/dev/null")
    typed = ("/usr/bin/python3", "noxfile.py", "-s", name, "--", "--yes", *options)
    return machine.run(*AS_OPERATOR, *pip, *typed, check=False)


def secret(machine: Machine, name: str) -> str:
    """A credential of the services."""
    return machine.path(f"{CREDENTIALS}/{name}").read_text("utf-8").strip()
