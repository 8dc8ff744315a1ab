"""A release and its units, placed in a folder that a machine is then booted with."""

import glob
import os
import shutil
import subprocess
from pathlib import Path

from tests.acceptance.conftest import project_files
from tests.support import ROOT

PREFIX = "opt/content-worker"
REDIS_PASSWORD = "of-redis"
FLOWER_LOGIN = "operator:of-flower"
QUEUES = ("evaluation", "rewrite", "escalation", "celery")


def place(root: Path) -> None:
    release = root / PREFIX / "releases" / "one"
    for name in project_files():
        if not name.startswith(("tests/", "benchmarks/", ".")):
            (release / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, release / name)
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", release / "environment"], check=True)
    python = release / "environment" / "bin" / "python"
    (pip,) = glob.glob("/usr/share/python-wheels/pip-*.whl")
    subprocess.run(
        [python, f"{pip}/pip", "install", "-qq", "--no-compile", "--require-hashes", "-r", ROOT / "locks/service.txt"],
        check=True,
    )
    (root / PREFIX / "queues").mkdir()
    for queue in QUEUES:
        (root / PREFIX / "queues" / queue).symlink_to("../releases/one")
    (root / PREFIX / "current").symlink_to("releases/one")
    units = root / "etc/systemd/system"
    shutil.copytree(ROOT / "systemd", units, ignore=shutil.ignore_patterns("templates", "*.d" ))
    for queue in QUEUES:
        shutil.copytree(ROOT / "systemd" / f"celery-worker@{queue}.service.d", units / f"celery-worker@{queue}.service.d")
    for folder in ("sysusers.d", "tmpfiles.d"):
        shutil.copytree(ROOT / "systemd" / folder, root / "etc" / folder)
    etc = root / "etc/content-worker"
    (etc / "credentials").mkdir(parents=True)
    (etc / "credentials").chmod(0o700)
    shutil.move(units / "redis.conf", etc / "redis.conf")
    shutil.move(units / "environment.example", etc / "environment")
    for name, value in {
        "REDIS_URL": f"redis://:{REDIS_PASSWORD}@127.0.0.1:6379/0",
        "redis-password.conf": f"requirepass {REDIS_PASSWORD}\n",
        "FLOWER_BASIC_AUTH": FLOWER_LOGIN,
    }.items():
        (etc / "credentials" / name).write_text(value)
        (etc / "credentials" / name).chmod(0o600)
    command = root / "usr/local/bin/content-worker"
    command.parent.mkdir(parents=True)
    command.write_text('#!/bin/sh\ncd /opt/content-worker/current && CREDENTIALS_DIRECTORY=/etc/content-worker/credentials exec environment/bin/python -m contentworker "$@"\n')
    command.chmod(0o755)
