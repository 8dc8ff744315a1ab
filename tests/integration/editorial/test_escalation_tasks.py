"""Escalations through real workers: who is told, what is settled, and what goes wrong on the way."""

import json
import quopri
import re
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from contentworker.editorial import notifications, webhook
from contentworker.editorial.escalations import links
from contentworker.editorial.escalations.schema import open_engine
from contentworker.editorial.escalations.store import Store
from contentworker.errors import ConfigError
from contentworker.runtime.records import single_host
from tests.receivers import PATIENT, Mailbox, receiver, silent, smtp
from tests.support import PATIENCE, ROOT, StartWorker, environment, free_port, run_cli, wait_until

pytestmark = pytest.mark.filterwarnings("ignore:.imghdr.:DeprecationWarning")  # in Apprise

FAST = {"WORKER__RETRIES__INITIAL_DELAY_SECONDS": "0.1", "WORKER__RETRIES__JITTER_SECONDS": "0"}


def test_from_escalation_to_the_platform(
    worker: StartWorker, client: Celery, redis_url: str, tmp_path: Path
) -> None:
    """A mail that is refused once is sent once; settled on the command line, a signed event arrives."""
    mailbox, file = Mailbox(refusals=1), str(tmp_path / "records.sqlite3")
    with smtp(mailbox) as address, receiver(500, 204) as (url, got):
        options = {
            "NOTIFY_URLS": f"{address}&token=hush-hush",
            "WORKER__ESCALATIONS__SQLITE_PATH": file,
            "WORKER__ESCALATIONS__SETTLED_WEBHOOK_URL": url,
            "SETTLED_WEBHOOK_SECRET": "hook-secret",
            **FAST,
        }
        running = worker("--queues=escalation", **options)
        arguments = {"article_id": "a/1", "reason": "ai_suspected", "evidence": {"score": 0.93}}
        sent = [
            client.send_task(
                "tasks.escalation.escalate_to_human", kwargs={**arguments, "content": "Secret text"}
            )
            for _ in range(3)
        ]
        answers = [each.get(timeout=PATIENCE) for each in sent]
        assert [each["created"] for each in answers].count(True) == 1
        (escalation_id,) = {each["id"] for each in answers}
        wait_until(lambda: mailbox.mails, "the mail")
        cli = {"redis_url": redis_url, **options}
        wait_until(
            lambda: " sent " in run_cli("escalations", "show", escalation_id[:8], **cli).stdout,
            "it to be noted",
        )
        assert "a/1" in run_cli("escalations", "list", **cli).stdout
        command = ("escalations", "settle", escalation_id, "--decision", "accept", "--by", "ana", "--json")
        settled = json.loads(run_cli(*command, **cli).stdout)
        wait_until(lambda: len(got) == 2, "the event, after it was refused once")
        again = run_cli("escalations", "settle", escalation_id, "--decision=reject", "--by=bob", **cli)
        assert (again.returncode, "settled as 'accept'" in again.stderr) == (1, True)
    assert len(mailbox.mails) == 1
    assert "Secret text" not in mailbox.mails[0]
    headers, body = got[-1]
    example: dict[str, Any] = {}
    page = (ROOT / "docs" / "escalations.md").read_text("utf-8")
    exec(page.split("```python")[1].split("```")[0], example)
    assert example["is_ours"](headers, body, "hook-secret")
    assert not example["is_ours"](headers, body + b" ", "hook-secret")
    assert headers["webhook-id"] == settled["event_id"] == json.loads(body)["event_id"]
    for secret in ("hush-hush", "hook-secret", "Secret text"):
        assert secret not in running.log()


def test_the_link_in_a_mail(worker: StartWorker, client: Celery, tmp_path: Path) -> None:
    """It is good for the record and its round; no log has it."""
    mailbox, file, secret = Mailbox(), tmp_path / "records.sqlite3", "s" * 32
    with smtp(mailbox) as address:
        options = {
            "NOTIFY_URLS": address,
            "DESK_SECRET": secret,
            "WORKER__DESK__MAIL_LINK": "open",
            "WORKER__DESK__PUBLIC_URL": "https://desk.site.test",
            "WORKER__ESCALATIONS__SQLITE_PATH": str(file),
            **FAST,
        }
        running = worker("--queues=escalation", **options)
        arguments = {"article_id": "a/1", "reason": "failed", "content": "Text."}
        made = client.send_task("tasks.escalation.escalate_to_human", kwargs=arguments).get(timeout=PATIENCE)
        wait_until(lambda: mailbox.mails, "the mail")
    (mail,) = mailbox.mails
    text = quopri.decodestring(mail.encode()).decode()
    (token,) = re.findall(r"https://desk\.site\.test/l/(\S+)", text)
    link = links.read(secret, token, datetime.now(UTC))
    assert link is not None
    assert (link.record_id, link.round) == (made["id"], 1)
    assert timedelta(hours=71) < link.expires_at - datetime.now(UTC) <= links.VALID
    assert token[-43:] not in running.log()


def test_a_worker_without_the_secret_of_links(worker: StartWorker) -> None:
    """It does not start: each mail would fail."""
    settings = {"WORKER__DESK__MAIL_LINK": "open", "WORKER__DESK__PUBLIC_URL": "https://desk.site.test"}
    running = worker("--queues=escalation", **settings, ready=False)
    assert running.wait() != 0
    assert "DESK_SECRET: must have at least 32 characters" in running.log()


def test_a_decision_is_taken_back_before_the_platform_is_told(
    worker: StartWorker, client: Celery, redis_url: str, tmp_path: Path
) -> None:
    """On the command line; the decision after it is announced by itself when its time is over."""
    with receiver(204) as (url, got):
        options = {
            "WORKER__ESCALATIONS__SQLITE_PATH": str(tmp_path / "records.sqlite3"),
            "WORKER__ESCALATIONS__SETTLED_WEBHOOK_URL": url,
            "SETTLED_WEBHOOK_SECRET": "hook-secret",
            **FAST,
        }
        worker("--queues=escalation", **options)
        arguments = {"article_id": "undone", "reason": "failed", "content": "# About tea\n\nIt is old."}
        made = client.send_task("tasks.escalation.escalate_to_human", kwargs=arguments).get(timeout=PATIENCE)

        def run(command: str, *more: str) -> subprocess.CompletedProcess[str]:
            return run_cli("escalations", command, made["id"], *more, redis_url=redis_url, **options)

        shown = json.loads(run("show", "--json").stdout)
        due = datetime.fromisoformat(shown["due_at"]) - datetime.fromisoformat(shown["created_at"])
        assert (shown["title"], due) == ("About tea", timedelta(hours=4))
        settle = ("settle", "--by=ana", "--if-version=1", "--undo-seconds=600", "--decision=reject")
        assert "can take it back until" in run(*settle).stderr
        client.send_task("tasks.escalation.announce").get(timeout=PATIENCE)
        assert run("withdraw", "--by=ana").stdout == f"{made['id']}: open again\n"
        stale = run(*settle)
        assert (stale.returncode, "it has version 3" in stale.stderr) == (1, True)
        assert run("settle", "--by=ana", "--decision=accept", "--undo-seconds=1").returncode == 0
        wait_until(lambda: got, "the event")
        late = run("withdraw", "--by=ana")
        assert (late.returncode, "too late" in late.stderr) == (1, True)
    assert [json.loads(body)["decision"] for _, body in got] == ["accept"]


def test_a_worker_killed_while_it_sends(worker: StartWorker, client: Celery, tmp_path: Path) -> None:
    """The mail may have arrived: it is `unknown`, and the next worker does not send it."""
    file = tmp_path / "records.sqlite3"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        address = f"mailto://127.0.0.1:{port}?from=a@site.test&to=b@site.test&mode=insecure&rto=60"
        options = {"NOTIFY_URLS": address, "WORKER__ESCALATIONS__SQLITE_PATH": str(file), **FAST}
        first = worker("--queues=escalation", **options)
        arguments = {"article_id": "killed", "reason": "failed"}
        sent = client.send_task("tasks.escalation.escalate_to_human", kwargs=arguments)
        escalation_id = sent.get(timeout=PATIENCE)["id"]
        store = Store(open_engine("", file))

        def states() -> list[str]:
            record = store.find(escalation_id)
            return [each.state for each in record.notifications] if record else []

        wait_until(lambda: states() == ["sending"], "the sending to begin")
        listening.settimeout(PATIENCE)
        with listening.accept()[0]:
            first.kill(signal.SIGKILL, group=True)
            first.wait()
        second = worker("--queues=escalation", **options)
        wait_until(lambda: states() == ["unknown"], "the next worker to see it")
        again = client.send_task("tasks.escalation.notify", kwargs={"escalation_id": escalation_id})
        again.get(timeout=PATIENCE)
        wait_until(lambda: len(re.findall(r"notify\[\S+ succeeded", second.log())) >= 2, "the end of both")
        assert states() == ["unknown"]
        store.close()
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_what_apprise_lets_us_tell_apart() -> None:
    """A server that says no, or is not there, refused; one that does not answer leaves it unknown."""
    options = "from=a@site.test&to=b@site.test&mode=insecure&rto=0.3"

    def outcome(port: int) -> str:
        (channel,) = notifications.channels(f"mailto://127.0.0.1:{port}?{options}")
        return notifications.send(channel, "title", "body").state

    assert outcome(free_port()) == "refused"
    with silent() as port:
        assert outcome(port) == "unknown"
    for status, state in ((500, "refused"), (200, "sent")):
        with receiver(status) as (url, _):
            (channel,) = notifications.channels(url.replace("http", "json") + PATIENT)
            assert notifications.send(channel, "title", "body").state == state


def test_labels_and_bad_addresses_show_no_secret() -> None:
    """The label is scheme and host at most; a bad address is named by its number."""
    found = notifications.channels(
        "mailtos://user:pw@mail.site.test?to=x@site.test, json://token@localhost/path"
    )
    assert [each.label for each in found] == ["mailtos://mail.site.test", "json://localhost"]
    assert "pw" not in repr(found)
    with pytest.raises(ConfigError, match=r"^NOTIFY_URLS: address 2 ") as caught:
        notifications.channels("json://localhost nosuch://hush")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_does_not_take_it(status: int) -> None:
    """Any answer but 2xx is an error, and a redirect is not followed."""
    with receiver(status) as (url, got):
        with pytest.raises(webhook.WebhookError, match=str(status)):
            webhook.post(url, "secret", "id", {}, PATIENCE)
        assert len(got) == 1


def test_a_webhook_that_hangs() -> None:
    """The time-out is an error that may be tried again."""
    with silent() as port, pytest.raises(webhook.WebhookError, match="cannot be reached"):
        webhook.post(f"http://127.0.0.1:{port}/hook", "secret", "id", {}, 0.2)


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"NOTIFY_URLS": "nosuch://hush"}, "NOTIFY_URLS: address 1"),
        ({"DATABASE_URL": "mysql://hush@host/x"}, "DATABASE_URL: must begin with postgresql://"),
        (
            {"WORKER__ESCALATIONS__SETTLED_WEBHOOK_URL": "http://127.0.0.1/"},
            "SETTLED_WEBHOOK_SECRET: is required",
        ),
        (
            {"WORKER__ESCALATIONS__SETTLED_TASK": "platform.settled"},
            "escalations.settled_task: there is no task 'platform.settled'",
        ),
    ],
    ids=["notify", "database", "webhook", "task"],
)
def test_a_worker_does_not_start_with_what_would_fail_later(
    worker: StartWorker, env: dict[str, str], says: str
) -> None:
    """One plain line, which does not show it."""
    started = worker("--queues=escalation", ready=False, **env)
    assert started.wait() != 0
    assert says in started.log()
    assert "hush" not in started.log()


def test_a_second_host_is_refused_with_sqlite(
    worker: StartWorker, redis_client: redis.Redis, redis_url: str
) -> None:
    """While another host is alive a worker does not start; with its lease over, it does."""
    redis_client.delete("contentworker:only-host:escalation")
    single_host.register(redis_client, "escalation", "elsewhere 1", 60)
    started = worker("--queues=escalation", ready=False)
    assert started.wait() != 0
    assert "set DATABASE_URL" in started.log()
    redis_client.hset("contentworker:only-host:escalation", "elsewhere 1", 1)
    single_host.register(redis_client, "escalation", "here 2", 60)
    assert redis_client.hkeys("contentworker:only-host:escalation") == [b"here 2"]
    redis_client.delete("contentworker:only-host:escalation")


def test_who_only_sends_tasks_loads_no_database() -> None:
    """Nor Apprise."""
    code = "import sys, celery_worker; print({'sqlalchemy', 'apprise', 'requests'} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
