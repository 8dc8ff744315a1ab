"""The installed services as they are documented: enabled, started, stopped, booted, rated."""

import base64
import json
import re
import subprocess
import urllib.error
import urllib.request

import pytest

from contentworker import config
from tests.acceptance.systemd.exposure import UNITS, exposures, table
from tests.acceptance.systemd.machine import Machine
from tests.acceptance.systemd.placement import FLOWER_LOGIN
from tests.support import ROOT, wait_until

pytestmark = [pytest.mark.once, pytest.mark.systemd, pytest.mark.usefixtures("can_boot")]

QUEUES = list(config.load(environ={}).queues)
WORKERS = [f"celery-worker@{queue}.service" for queue in QUEUES]
MOST_EXPOSED = {"evaluation": 1.0, "celery": 1.0, "rewrite": 1.2, "escalation": 1.2}
FLOWER_PORT = config.load(environ={}).flower.port


def all_answer(machine: Machine) -> bool:
    return [item["status"] for item in json.loads(machine.output("content-worker", "health", "--json"))] == [
        "ok"
    ] * len(QUEUES)


def test_enable_and_start(installed: Machine) -> None:
    """`systemctl enable celery-worker`, `systemctl start celery-worker`: it returns when all queues serve."""
    installed.systemctl("enable", "celery-worker", "celery-redis", "celery-flower")
    installed.systemctl("start", "celery-worker")
    assert all_answer(installed)
    for queue, unit in zip(QUEUES, WORKERS, strict=True):
        assert re.fullmatch(rf"{queue}: 0 running, \d processed", installed.show(unit, "StatusText"))
        assert installed.show(unit, "NRestarts") == "0"


def test_boot(installed: Machine) -> None:
    """A reboot brings up all that is enabled, Redis first."""
    installed.reboot()
    assert all_answer(installed)
    units = ["celery-redis.service", "celery-flower.service", "celery-worker.service", *WORKERS]
    assert {unit: installed.show(unit, "NRestarts") for unit in units if not installed.is_active(unit)} == {}
    since = {unit: int(installed.show(unit, "ActiveEnterTimestampMonotonic")) for unit in units}
    assert all(since["celery-redis.service"] < since[unit] for unit in WORKERS)


@pytest.mark.parametrize("article", ["how-leap-years-work.html", "wann-ist-ein-schaltjahr.md"])
def test_real_task_under_the_sandbox(services: Machine, article: str) -> None:
    """An article is scored."""
    file = f"/srv/{article}"
    services.path(file).write_bytes((ROOT / "examples" / article).read_bytes())
    submit = ("content-worker", "submit", "tasks.evaluation.score_aeo", f"content@{file}", "--wait=30")
    assert 0 < json.loads(services.output(*submit))["score"] <= 100


def test_start_revives_a_worker_that_was_stopped(services: Machine) -> None:
    """`systemctl start celery-worker` starts what is missing, though all of it counts as started."""
    services.systemctl("stop", "celery-worker@rewrite")
    assert services.is_active("celery-worker.service")
    others = {unit: services.main_pid(unit) for unit in WORKERS if "rewrite" not in unit}
    services.systemctl("start", "celery-worker")
    services.wait_active("celery-worker@rewrite.service")
    assert all_answer(services)
    assert {unit: services.main_pid(unit) for unit in others} == others


def test_stop_and_start(services: Machine) -> None:
    """`systemctl stop celery-worker` returns when every worker has ended; nothing of them stays."""
    services.systemctl("stop", "celery-worker")
    assert {services.show(unit, "ActiveState") for unit in WORKERS} == {"inactive"}
    assert {services.show(unit, "Result") for unit in WORKERS} == {"success"}
    assert services.run("pgrep", "--full", "celery_app worker", check=False).returncode == 1
    assert services.run("content-worker", "health", "--timeout=0.2", check=False).returncode == 2
    services.systemctl("start", "celery-worker")
    assert all_answer(services)


def test_flower(services: Machine) -> None:
    """Flower answers on its port to who has the password, and to nobody else."""
    with services.forwarded(FLOWER_PORT) as port:
        address = f"http://127.0.0.1:{port}/workers?json=1"

        def refusal() -> int:
            try:
                urllib.request.urlopen(address, timeout=5).close()
            except urllib.error.HTTPError as error:
                error.close()
                return error.code
            except OSError:  # not yet
                return 0
            return 200

        assert wait_until(refusal, "Flower to listen") == 401
        login = base64.b64encode(FLOWER_LOGIN.encode()).decode()
        request = urllib.request.Request(address, headers={"Authorization": f"Basic {login}"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("unit", [*UNITS, "celery-worker.service"])
def test_verify_is_silent(services: Machine, unit: str) -> None:
    """`systemd-analyze verify` finds nothing to say about a unit as installed."""
    done = services.run("systemd-analyze", "verify", unit)
    assert done.stdout + done.stderr == ""


def test_exposure(services: Machine) -> None:
    """systemd rates the sandboxes as well as we want it, offline and running."""
    found = exposures()
    for queue, most in MOST_EXPOSED.items():
        unit = f"celery-worker@{queue}.service"
        assert float(found[unit][0]) <= most
        assert f": {found[unit][0]} " in services.output("systemd-analyze", "security", "--no-pager", unit)


def test_exposure_in_the_docs() -> None:
    """docs/operations.md has the table."""
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    assert f"<!-- exposure -->\n{table()}\n<!-- /exposure -->" in page
