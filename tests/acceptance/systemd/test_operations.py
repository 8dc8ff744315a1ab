"""docs/operations.md: every command, as root on a machine where all is well, prints what the page says."""

import re
from typing import NamedTuple

import pytest
import redis
from celery import Celery

from tests.acceptance.systemd.backed_up import BackedUp
from tests.acceptance.systemd.exposure import table, version
from tests.acceptance.systemd.installation import DEFAULT, QUEUES
from tests.acceptance.systemd.machine import Machine
from tests.support import PATIENCE, ROOT, wait_until

PAGE = ROOT / "docs" / "operations.md"
IN_DOCS = [pytest.mark.systemd, pytest.mark.usefixtures("can_boot")]
# adopted: IN_DOCS += [pytest.mark.skipif({*QUEUES} != {"thumbnails", "celery"}, reason="other queues")]
pytestmark = IN_DOCS


class Step(NamedTuple):
    """A block of commands, and what they print."""

    section: str
    commands: str
    prints: str | None


def steps() -> list[Step]:
    """The page's blocks in their order."""
    found = []
    section = ""
    pattern = r"^#+ ([^\n]+)$|^```bash\n(.*?)^```\n(?:```text\n(.*?)^```$)?"
    for match in re.finditer(pattern, PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE):
        heading, commands, prints = match.groups()
        if heading:
            section = heading
        else:
            found.append(Step(section, commands, prints))
    return found


def expression(text: str) -> str:
    """What matches a block: `…` is anything, a line of it any lines; numbers and gaps may be others."""
    lines = []
    for line in text.splitlines():
        if line.strip() == "…":
            lines.append(r"(?:.*\n)*?")
            continue
        escaped = re.escape(line.strip()).replace("…", ".*")
        escaped = re.sub(r"\d+(?:\\?[.,]\d+)*", lambda _: r"\d+(?:[.,]\d+)*", escaped)
        lines.append(r"[ \t]*" + re.sub(r"(?:\\ )+", r"[ \\t]+", escaped) + r"[ \t]*\n")
    return "".join(lines)


@pytest.fixture(scope="module")
def healthy(services: Machine) -> Machine:
    """Nothing is wrong, and nothing was that the journal still knows of."""
    wait_until(
        lambda: services.run("content-worker", "health", check=False).returncode == 0,
        "an answer of every queue",
    )
    services.run("journalctl", "--rotate", "--vacuum-size=1")
    services.systemctl("restart", f"celery-worker@{DEFAULT}")  # else the journal knows of no worker at all
    return services


@pytest.fixture(scope="module")
def backed_up(healthy: Machine, client: Celery, redis_client: redis.Redis) -> BackedUp:
    """What waits, was done and failed when the page's backup is made."""
    return BackedUp(healthy, client, redis_client)


ASKS_WORKERS = ("content-worker health\n", "content-worker celery inspect active_queues\n")
"""Commands that print which workers answered in time. On a busy machine, one may be late."""


def problem_of(machine: Machine, step: Step) -> str:
    """What the commands print that is not as the page says; empty if all is."""
    done = machine.run("bash", "-e", "-o", "pipefail", "-c", step.commands, check=False)
    said = done.stdout + done.stderr or f"exit code {done.returncode}"
    if done.returncode:
        return said
    if step.prints is None:
        return ""
    printed = done.stdout if done.stdout.endswith("\n") or not done.stdout else done.stdout + "\n"
    return "" if re.fullmatch(expression(step.prints), printed) else said


@pytest.mark.parametrize("step", steps(), ids=lambda step: step.section)
def test_commands(healthy: Machine, backed_up: BackedUp, step: Step) -> None:
    """They succeed, and print what stands below them."""
    if "bgsave" in step.commands:
        backed_up.make()
    if "appendonlydir" in step.commands:
        backed_up.lose()
    problem = problem_of(healthy, step)
    if problem and step.commands in ASKS_WORKERS:
        wait_until(lambda: not problem_of(healthy, step), f"every worker to answer, unlike in {problem}")
    else:
        assert not problem
    if "appendonlydir" in step.commands:
        backed_up.check()


def test_all_is_well_in_the_end(healthy: Machine) -> None:
    """After backup, restore and new passwords: every queue answers."""
    shown = healthy.output("content-worker", "health", f"--timeout={PATIENCE}")
    assert shown.count(" ok ") == len(QUEUES)


def test_exposure_is_that_of_the_docs() -> None:
    """docs/operations.md has the table."""
    _, _, rest = PAGE.read_text("utf-8").partition("<!-- exposure -->\n")
    written, end, _ = rest.partition("<!-- /exposure -->")
    assert " by systemd " in written
    assert end
    if f" by {version()} " not in written:
        pytest.skip(f"the page has the scores of another systemd, this is {version()}")
    assert re.sub(r" <!--.*?-->", "", written) == f"{table()}\n"
