"""The services as `install` leaves them: started, stopped, booted, looked at."""

import base64
import http.client  # editorial
import json
import re
import urllib.error
import urllib.parse  # editorial
import urllib.request

import pytest

from tests.acceptance.pages import commands_of  # editorial
from tests.acceptance.systemd import installation
from tests.acceptance.systemd.exposure import exposures
from tests.acceptance.systemd.installation import (
    BACKUP,
    BEAT,
    CHECKOUT,
    CREDENTIALS,
    DESK,  # editorial
    FLOWER,
    HEALTH,
    METRICS,
    OPERATOR,
    OTHER,
    PREFIX,
    QUEUES,
    REDIS,
    REPORT,
    SETTINGS,
    STATE,  # editorial
    TIMER,
    UMBRELLA,
    UNITS,
    WORKERS,
)
from tests.acceptance.systemd.machine import Machine
from tests.support import PATIENCE, client_of, wait_until

pytestmark = [pytest.mark.systemd, pytest.mark.usefixtures("can_boot")]

MOST_EXPOSED, WITH_NETWORK = 1.0, 1.2


ESCALATE = "tasks.escalation.escalate_to_human"  # editorial


def check_all_answer(machine: Machine) -> None:
    found = json.loads(machine.output("content-worker", "health", "--json", f"--timeout={PATIENCE}"))
    assert {item["queue"]: item["status"] for item in found} == dict.fromkeys(QUEUES, "ok")


def main_pids(machine: Machine) -> dict[str, int]:
    return {unit: machine.main_pid(unit) for unit in WORKERS}


def test_install_ends_with_every_queue_served(installed: Machine) -> None:
    """All services run and are enabled, none was started twice, and a task comes back from each queue."""
    check_all_answer(installed)
    assert {installed.show(unit, "ActiveState") for unit in UNITS} == {"active"}
    assert {installed.show(unit, "NRestarts") for unit in UNITS} == {"0"}
    assert {installed.show(unit, "UnitFileState") for unit in (UMBRELLA, BEAT, FLOWER, REDIS)} == {"enabled"}


# >>> editorial
def test_a_rewrite_by_the_installed_model(installed: Machine) -> None:
    """The embedded model comes with the installation, and works under the sandbox."""
    article = "content=# Tea\n\nDue to the fact that it was raining, they had to make use of an old umbrella."
    asked = ("submit", "tasks.rewrite.generate_rewrite", article, "--wait", str(PATIENCE))
    found = json.loads(installed.output("content-worker", *asked))
    assert found["provider"] == "embedded"
    assert found["completion_tokens"] > 0


def test_a_record_for_a_person(installed: Machine) -> None:
    """An escalation is written where its service may write, and read by the operator's command."""
    asked = ("submit", ESCALATE, "article_id=tea-1", "reason=below_threshold", "--wait", str(PATIENCE))
    assert json.loads(installed.output("content-worker", *asked))["created"]
    assert "tea-1" in installed.output("content-worker", "escalations", "list")


# <<< editorial
def test_nothing_of_root_s_in_the_checkout(installed: Machine) -> None:
    """The user who typed it can still change and remove all of it."""
    assert installed.output("find", CHECKOUT, "-not", "-user", OPERATOR) == ""


def test_install_again_changes_nothing(installed: Machine) -> None:
    """Not even a process."""
    before = main_pids(installed)
    done = installation.command(installed, "install")
    assert "nothing to do, nothing was changed" in done.stdout
    assert main_pids(installed) == before


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        (f"{PREFIX}/current/worker.toml", "root:root 644"),
        (f"{PREFIX}/current/environment", "root:root 755"),
        ("/etc/systemd/system/celery-worker@.service", "root:root 644"),
        ("/etc/content-worker/redis.conf", "root:root 644"),
        (CREDENTIALS, "root:root 700"),
        (f"{CREDENTIALS}/REDIS_URL", "root:root 600"),
        (f"{CREDENTIALS}/redis-password.conf", "root:root 600"),
        (f"{CREDENTIALS}/FLOWER_BASIC_AUTH", "root:root 600"),
        ("/var/lib/content-worker", "content-worker:content-worker 750"),
        ("/var/lib/content-worker/flower", "content-worker:content-worker 700"),
        ("/var/lib/content-worker-redis", "content-worker-redis:content-worker-redis 700"),
        ("/run/content-worker/celery", "content-worker:content-worker 755"),
        ("/usr/local/bin/content-worker", "root:root 755"),
    ],
    ids=lambda text: text.rpartition("/")[2] if "/" in text else "",
)
def test_owner_and_mode(installed: Machine, path: str, owner: str) -> None:
    """Only root can change code and read secrets; only a service can read its data."""
    assert installed.output("stat", "--dereference", "--format=%U:%G %a", path).strip() == owner


def test_enable_and_start(installed: Machine) -> None:
    """`systemctl enable celery-worker`, `systemctl start celery-worker`: done when all queues are served."""
    installed.systemctl("disable", "--now", "celery-worker")
    installed.systemctl("enable", "celery-worker")
    installed.systemctl("start", "celery-worker")
    check_all_answer(installed)
    for queue, unit in zip(QUEUES, WORKERS, strict=True):
        idle = rf"{queue}: 0 running, \d processed"
        wait_until(lambda: re.fullmatch(idle, installed.show(unit, "StatusText")), f"{unit} to say so")  # noqa: B023 (called here)


def test_boot(installed: Machine) -> None:
    """A boot brings up all that is enabled, Redis before the workers; a worker that is masked is left out."""
    left_out = f"celery-worker@{OTHER}.service"
    installed.systemctl("mask", left_out)
    installed.reboot()
    assert {unit for unit in UNITS if not installed.is_active(unit)} == {left_out}
    since = {unit: int(installed.show(unit, "ActiveEnterTimestampMonotonic")) for unit in UNITS}
    assert all(since[REDIS] < since[unit] for unit in WORKERS if unit != left_out)
    installed.systemctl("unmask", left_out)
    installed.systemctl("start", left_out)
    check_all_answer(installed)


def test_start_revives_a_worker_that_was_stopped(services: Machine) -> None:
    """`systemctl start celery-worker` starts what is missing, though all of it counts as started."""
    before = main_pids(services)
    services.systemctl("stop", f"celery-worker@{OTHER}")
    assert services.is_active(UMBRELLA)
    services.systemctl("start", "celery-worker")
    services.wait_active(f"celery-worker@{OTHER}.service")
    changed = {unit for unit, pid in main_pids(services).items() if before[unit] != pid}
    assert changed == {f"celery-worker@{OTHER}.service"}
    check_all_answer(services)


# >>> editorial
@pytest.mark.parametrize("article", ["how-leap-years-work.html", "wann-ist-ein-schaltjahr.md"])
def test_real_task_under_the_sandbox(services: Machine, article: str) -> None:
    """An article is scored, and who wrote it is judged, by compiled code."""
    content, wait = f"content@{installation.CHECKOUT}/examples/{article}", f"--wait={PATIENCE}"
    scored = services.output("content-worker", "submit", "tasks.evaluation.score_aeo", content, wait)
    assert 0 < json.loads(scored)["score"] <= 100
    judged = services.output("content-worker", "submit", "tasks.evaluation.detect_ai", content, wait)
    assert json.loads(judged)["abstained"] == ("language" if article.startswith("wann") else None)


def test_the_desk(services: Machine) -> None:
    """As docs/desk.md says: a person is let in, and sees a worker's record; also after the file has moved."""
    let_in, start, *move = [each for each in commands_of("desk.md") if each.startswith("sudo ")]
    assert (services.show(DESK, "ActiveState"), services.show(DESK, "UnitFileState")) == (
        "inactive",
        "disabled",
    )
    asked = ("submit", ESCALATE, "article_id=tea-2", "reason=below_threshold", "--wait", str(PATIENCE))
    assert json.loads(services.output("content-worker", *asked))["created"]
    services.run("sh", "-e", "-c", let_in, input="a long password\n" * 2)
    services.run("sh", "-e", "-c", start)
    try:
        with services.forwarded(SETTINGS.desk.port) as port:
            assert "tea-2" in wait_until(lambda: listed(port), "the desk")
            # As an older installation has it.
            services.run("sh", "-e", "-c", "cd /var/lib/content-worker; mv records/escalations.sqlite3* .")
            for command in move:
                services.run("sh", "-e", "-c", command)
            services.systemctl("restart", DESK)
            assert "tea-2" in wait_until(lambda: listed(port), "the desk again")
        written = services.output(
            "stat", "--format=%U %a", f"{STATE}/records", f"{STATE}/records/escalations.sqlite3"
        )
        assert written == "content-worker 700\ncontent-worker 600\n"
    finally:
        services.systemctl("disable", "--now", DESK)


def listed(port: int) -> str:
    """The list of articles, as ana sees it; empty if the desk does not listen yet."""
    place = f"127.0.0.1:{SETTINGS.desk.port}"
    headers = {"Host": place, "Origin": f"http://{place}"}
    form = urllib.parse.urlencode({"name": "ana", "password": "a long password"}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request("POST", "/login", form, headers)
        signed_in = connection.getresponse()
        signed_in.read()
        cookie = (signed_in.getheader("Set-Cookie") or "").partition(";")[0]
        connection.request("GET", "/review", headers={"Host": place, "Cookie": cookie})
        return connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


# <<< editorial
def test_the_journal_has_fields(services: Machine, redis_url: str) -> None:
    """What was said of a task is found by its id, or by one it carries; and no line of Celery's banner."""
    unit = f"--unit=celery-worker@{OTHER}"
    with client_of(redis_url) as client:
        headers, unknown = {"article_id": "tea-7"}, {"content": 1}
        sent = client.send_task("tasks.health_check", kwargs=unknown, queue=OTHER, headers=headers)
        sent.get(timeout=PATIENCE, propagate=False)
    asked = ("journalctl", "--output=json", unit, f"TASK_ID={sent.id}", "ARTICLE_ID=tea-7")
    (line,) = wait_until(lambda: services.output(*asked).splitlines(), "its dead letter in the journal")
    event = json.loads(line)
    assert event["MESSAGE"].startswith("Kept tasks.health_check")
    assert (event["QUEUE"], event["TASK"], event["ATTEMPT"], event["PRIORITY"]) == (
        OTHER,
        "tasks.health_check",
        "1",
        "4",
    )
    assert "[queues]" not in services.output("journalctl", "--boot", "--output=cat", unit)
    letter = event["MESSAGE"].partition(" as dead letter ")[2].split()[0]
    services.run("content-worker", "dead-letters", "discard", letter)


def test_flower(services: Machine) -> None:
    """Flower answers only with the password."""
    login = base64.b64encode(installation.secret(services, "FLOWER_BASIC_AUTH").encode()).decode()
    with services.forwarded(SETTINGS.flower.port) as port:

        def ask(**headers: str) -> int:
            """Return the status; 0 if it does not listen yet."""
            request = urllib.request.Request(f"http://127.0.0.1:{port}/broker", headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                error.close()
                return error.code
            except OSError:
                return 0

        assert wait_until(ask, "Flower to listen") == 401
        assert ask(Authorization=f"Basic {login}") == 200


def test_a_failure_is_reported(services: Machine) -> None:
    """`kill -9` of a service: it is back, and its last lines are in the journal at priority err."""
    pid = services.main_pid(BEAT)
    services.run("kill", "-KILL", str(pid))
    wait_until(lambda: services.main_pid(BEAT) not in (0, pid), "another beat")
    asked = ("journalctl", "--boot", "--output=cat", "--priority=err", "--identifier=celery-failed")
    first = f"{BEAT} failed. Its last lines:\n"
    wait_until(lambda: first in services.output(*asked), "the report")
    services.systemctl("stop", f"celery-failed@{BEAT}.service")


# >>> editorial
def test_commands_run_as_the_services_user(services: Machine) -> None:
    """What a service left in its folder is not opened as root: a link to a file of root's is refused."""
    state = installation.STATE
    services.run("mkdir", f"{state}/planted")
    services.run("ln", "-s", "/etc/planted.sqlite3", f"{state}/planted/escalations.sqlite3")
    services.run("touch", "/etc/planted.sqlite3")
    services.run("chmod", "600", "/etc/planted.sqlite3")
    settings = services.path("/etc/content-worker/environment")
    before = settings.read_text()
    settings.write_text(f"WORKER__ESCALATIONS__SQLITE_PATH={state}/planted/escalations.sqlite3\n")
    try:
        done = services.run("content-worker", "escalations", "list", check=False)
    finally:
        settings.write_text(before)
    assert done.returncode != 0
    assert services.path("/etc/planted.sqlite3").stat().st_size == 0


# <<< editorial
@pytest.mark.parametrize("unit", [*UNITS, HEALTH, METRICS, BACKUP, TIMER, REPORT])
def test_verify_is_silent(installed: Machine, unit: str) -> None:
    """`systemd-analyze verify` finds nothing to say about a unit."""
    done = installed.run("systemd-analyze", "verify", unit)
    assert done.stdout + done.stderr == ""


def test_exposure(installed: Machine) -> None:
    """systemd rates the sandboxes as we want it, the running ones as well as the files."""
    found = exposures()
    for queue in QUEUES:
        unit = f"celery-worker@{queue}.service"
        assert found[unit] <= (WITH_NETWORK if SETTINGS.queues[queue].allowed_addresses else MOST_EXPOSED)
        assert f": {found[unit]} " in installed.output("systemd-analyze", "security", "--no-pager", unit)
