"""Our services on a machine, put there by the command that people use."""

import shutil
import subprocess
from pathlib import Path

from contentworker import config
from contentworker.installer.release import MADE_OF
from tests.acceptance.conftest import make_checkout
from tests.acceptance.systemd.machine import Machine
from tests.support import ROOT, service_is_missing

SETTINGS = config.load(ROOT / "worker.toml", environ={})
PREFIX = SETTINGS.services.prefix
QUEUES = list(SETTINGS.queues)
DEFAULT = SETTINGS.default_queue
OTHER = next((queue for queue in QUEUES if queue != DEFAULT), DEFAULT)
"""A second queue, where there is one."""
WORKERS = [f"celery-worker@{queue}.service" for queue in QUEUES]
UMBRELLA, FLOWER, REDIS = "celery-worker.service", "celery-flower.service", "celery-redis.service"
BEAT, HEALTH, METRICS = "celery-beat.service", "celery-health.service", "celery-metrics.service"
DESK = "celery-desk.service"  # editorial
BACKUP, TIMER, REPORT = "celery-backup.service", "celery-backup.timer", "celery-failed@any.service"
UNITS = [REDIS, BEAT, FLOWER, UMBRELLA, *WORKERS]

CREDENTIALS = "/etc/content-worker/credentials"
STATE = "/var/lib/content-worker"

OPERATOR = "deployer"
CHECKOUT, WHEELS, PROBE = "/srv/checkout", "/srv/wheels", "/srv/probe"
INSTALL_SECONDS = 900
"""Longest installation or upgrade, on a machine that does much else."""
AS_OPERATOR = ("runuser", "-u", OPERATOR, "--", "env", f"--chdir={CHECKOUT}", f"HOME=/home/{OPERATOR}")
PIP = "/usr/share/python-wheels"
"""Where Debian has the pip of its virtual environments."""


def prepare(files: Path) -> None:
    """Make what a machine has: a checkout, and a person who may use sudo."""
    if not list(Path(PIP).glob("pip-*.whl")):
        service_is_missing(f"python3-venv: there is no pip in {PIP}")
    if not shutil.which("sudo"):
        service_is_missing("sudo")
    make_checkout(files / CHECKOUT.lstrip("/"))
    sudoers = files / "etc/sudoers.d/deployer"
    sudoers.parent.mkdir(parents=True, mode=0o750)
    sudoers.write_text(f"{OPERATOR} ALL=(root) NOPASSWD: ALL\n")
    sudoers.chmod(0o440)


def share(built: Machine, machine: Machine) -> None:
    """Give a machine the environments that another one has built: they take most of an installation."""
    # Not resolve(): it would leave the machine by /proc/PID/root, which reads as a link to /.
    release = built.path(PREFIX) / built.path(f"{PREFIX}/current").readlink()
    environment = release / "environment"
    name = f"environment-{(environment / MADE_OF).read_text('utf-8')}"
    for source, target in (
        (environment, f"{CHECKOUT}/.nox/install/{name}"),
        (built.path(f"{CHECKOUT}/.nox/_install"), f"{CHECKOUT}/.nox/_install"),
    ):
        machine.path(target).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "--archive", source, machine.path(target)], check=True)
    machine.run("chown", "--recursive", f"{OPERATOR}:", CHECKOUT)


def add_operator(machine: Machine) -> None:
    """The person who types the commands: no root, and owner of the checkout."""
    machine.run("useradd", "--create-home", OPERATOR)
    machine.run("chown", "--recursive", f"{OPERATOR}:", CHECKOUT)


def command(machine: Machine, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Type `python3 noxfile.py -s install`, or upgrade, or uninstall."""
    pip = ("PIP_NO_INDEX=1", f"PIP_FIND_LINKS={WHEELS}", "PIP_CONFIG_FILE=/dev/null")
    typed = ("/usr/bin/python3", "noxfile.py", "-s", name, "--", "--yes", *options)
    return machine.run(*AS_OPERATOR, *pip, *typed, check=False, timeout=INSTALL_SECONDS)


def secret(machine: Machine, name: str) -> str:
    """A credential of the services."""
    return machine.path(f"{CREDENTIALS}/{name}").read_text("utf-8").strip()
