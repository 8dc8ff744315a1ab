"""docs/operations.md, "On more machines": its commands, word for word, on two connected machines."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from contentworker.runtime.development import local_redis
from tests.acceptance.systemd import installation
from tests.acceptance.systemd.installation import (
    AS_OPERATOR,
    BEAT,
    CREDENTIALS,
    DEFAULT,
    FLOWER,
    QUEUES,
    UMBRELLA,
)
from tests.acceptance.systemd.machine import Machine
from tests.acceptance.systemd.test_operations import IN_DOCS, PAGE, expression
from tests.support import PATIENCE, wait_until

pytestmark = IN_DOCS

REDIS, FIRST, SECOND = "10.0.0.5", "10.0.0.5", "10.0.0.6"
"""The page's address of Redis, which runs on the first machine."""
SERVER = "/srv/redis"


class Page(NamedTuple):
    """The blocks of the section."""

    install: str
    look: str
    prints: str
    leave_out: str  # editorial


def page() -> Page:
    _, _, section = PAGE.read_text("utf-8").partition("### On more machines\n")
    section, _, _ = section.partition("\n## ")
    (prints,) = re.findall(r"^```text\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    commands = re.findall(r"^```sh\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    leave_out = commands.pop(1)  # editorial
    install, look = commands
    return Page(install, look, prints, leave_out)  # editorial
    # adopted: return Page(install, look, prints)


def typed(machine: Machine, commands: str) -> subprocess.CompletedProcess[str]:
    """The operator types commands on a terminal, and says yes when asked."""
    machine.path("/srv/typed").write_text(commands, "utf-8")
    shell = ("script", "--quiet", "--return", "--command", "bash -e /srv/typed", "/dev/null")
    return machine.run(*AS_OPERATOR, *shell, check=False, input="y\n", timeout=900)


class Pair(NamedTuple):
    """The two machines."""

    first: Machine
    second: Machine
    refused: subprocess.CompletedProcess[str]  # editorial
    """What the first attempt on the second one said."""  # editorial


@pytest.fixture(scope="module")
def pair(
    checkout_files: Path, installed: Machine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """Two machines on which the page's steps were typed.

    The packages are those that the machine of the other tests has built.
    """
    server = Path(local_redis.find_executable(os.environ["PATH"]))
    with ExitStack() as stack:
        machines = []
        for name in ("first", "second"):
            own = tmp_path_factory.mktemp(f"{name}-files")
            shutil.copytree(checkout_files, own, symlinks=True, dirs_exist_ok=True, copy_function=os.link)
            (own / "etc/hostname").write_text(f"{name}\n")
            folder = tmp_path_factory.mktemp(name)
            machine = Machine(folder, files=own, binds={server.parent: SERVER})
            machines.append(stack.enter_context(machine))
            installation.add_operator(machine)
            installation.share(installed, machine)
        first, second = machines
        first.connect(second, FIRST, SECOND)
        options = ("--bind", REDIS, "--requirepass", "PASSWORD", "--appendonly", "yes")
        run = ["systemd-run", "--unit=shared-redis", "--property=StateDirectory=shared-redis"]
        run += ["--property=WorkingDirectory=/var/lib/shared-redis"]
        first.run(*run, f"{SERVER}/{server.name}", *options)
        steps = page()
        done = typed(first, steps.install)
        assert done.returncode == 0, done.stdout + first.journal()
        # >>> editorial
        refused = typed(second, steps.install)
        done = typed(second, steps.leave_out)
        assert done.returncode == 0, done.stdout
        # <<< editorial
        done = typed(second, steps.install)  # on a terminal of its own: sudo reads ahead what is typed
        assert done.returncode == 0, done.stdout + second.journal()
        yield Pair(first, second, refused)  # editorial
        # adopted: yield Pair(first, second)
        # Their Redis is no unit of ours, and would end before them when the machine does.
        first.systemctl("stop", UMBRELLA, BEAT, FLOWER)


# >>> editorial
def test_the_second_is_told_before_anything_is_built(pair: Pair) -> None:
    """Without the step that leaves the queue out: a line that names the host, and what to type."""
    assert pair.refused.returncode == 1
    assert "the host first serves the queue escalation with an SQLite file" in pair.refused.stdout
    assert "Type: sudo systemctl mask celery-worker@escalation" in pair.refused.stdout
    assert "packages:" not in pair.refused.stdout


# <<< editorial
def test_all_workers_answer(pair: Pair) -> None:
    """What the page says is printed."""
    # On a busy machine not every worker answers within the second that Celery waits.
    look, prints = page().look, expression(page().prints)
    wait_until(
        lambda: re.fullmatch(prints, typed(pair.second, look).stdout.replace("\r", "")),
        "every worker to answer",
    )
    assert not pair.second.is_active("celery-worker@escalation.service")  # editorial
    found = json.loads(pair.second.output("content-worker", "health", "--json", f"--timeout={PATIENCE}"))
    assert {item["queue"]: item["status"] for item in found} == dict.fromkeys(QUEUES, "ok")


def test_the_second_serves_alone(pair: Pair) -> None:
    """A task that the first machine sends runs on the second, while the first one's worker is stopped."""
    unit = f"celery-worker@{DEFAULT}.service"
    pair.first.systemctl("stop", unit)
    asked = ("submit", "tasks.health_check", "--wait", str(PATIENCE))
    assert json.loads(pair.first.output("content-worker", *asked))["host"] == "second"
    # The worker tells systemd now and then.
    wait_until(
        lambda: " 0 processed" not in pair.second.show(unit, "StatusText"), "the second to have run it"
    )
    pair.first.systemctl("start", unit)


def test_what_was_set_is_kept_and_nothing_large_is_left(pair: Pair) -> None:
    """The services read the addresses from a file; the checkout has the few packages of the plan."""
    lines = pair.second.output("cat", "/etc/content-worker/environment.installed").splitlines()
    assert 'WORKER__SERVICES__ALLOWED_ADDRESSES=["localhost", "10.0.0.5"]' in lines
    assert (
        int(pair.second.output("du", "--summarize", "--block-size=1M", installation.CHECKOUT).split()[0]) < 60
    )


def test_the_unit_of_the_first_boot(pair: Pair) -> None:
    """In its sandbox it makes what is missing, for root alone; where nothing is, it is not started."""
    missing = pair.second.path(f"{CREDENTIALS}/FLOWER_BASIC_AUTH")
    before = missing.read_text("utf-8")
    kept = installation.secret(pair.second, "REDIS_URL")
    missing.unlink()
    pair.second.systemctl("start", "celery-secrets")
    assert missing.read_text("utf-8") != before
    stat = pair.second.output("stat", "--format=%U:%G %a", f"{CREDENTIALS}/FLOWER_BASIC_AUTH")
    assert stat.strip() == "root:root 600"
    assert installation.secret(pair.second, "REDIS_URL") == kept
    pair.second.systemctl("start", "celery-secrets")
    assert pair.second.show("celery-secrets.service", "ConditionResult") == "no"
