"""Escalations in a PostgreSQL that restarts, cuts connections, refuses a password, or is out of them."""

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from sqlalchemy import text

from contentworker.editorial.escalations.schema import open_engine
from contentworker.editorial.escalations.store import DatabaseError, Store
from tests.postgres import Postgres, postgres
from tests.receivers import receiver
from tests.support import PATIENCE, SOON, StartWorker, run_cli, wait_until

PASSWORD = "hush-hush-4711"
RETRIES = {**SOON, "WORKER__RETRIES__INITIAL_DELAY_SECONDS": "1", "WORKER__RETRIES__MAX_DELAY_SECONDS": "20"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """One where the role `few` has a password, and one connection."""
    with postgres(tmp_path_factory.mktemp("postgres") / "server") as found:
        access = found.data / "pg_hba.conf"
        access.write_text(f"host all few 127.0.0.1/32 scram-sha-256\n{access.read_text()}")
        run(found, f"CREATE ROLE few LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 1")
        run(found, "GRANT ALL ON SCHEMA public TO few")
        run(found, "GRANT pg_read_all_data, pg_write_all_data TO few")
        run(found, "SELECT pg_reload_conf()")
        yield found


def run(server: Postgres, statement: str) -> None:
    engine = open_engine(server.url, Path())
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_restarted_and_cut_off_in_flow(server: Postgres, worker: StartWorker, client: Celery) -> None:
    """Each article has one record, is settled, and its platform is told, whatever becomes of the server."""
    with receiver(204) as (address, got):
        env = {
            "DATABASE_URL": server.url,
            "WORKER__ESCALATIONS__SETTLED_WEBHOOK_URL": address,
            "SETTLED_WEBHOOK_SECRET": "hook-secret",
            **RETRIES,
        }
        serving = worker("--queues=escalation", **env)
        sent: list[Any] = []
        stopping = threading.Event()

        def send() -> None:
            while not stopping.wait(0.1):
                asked = {"article_id": f"article-{len(sent)}", "reason": "failed", "content": "words"}
                sent.append(client.send_task("tasks.escalation.escalate_to_human", kwargs=asked))

        sending = threading.Thread(target=send)
        sending.start()
        try:
            wait_until(lambda: any(each.ready() for each in list(sent)), "records in flow")
            run(
                server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            )
            server.kill(signal.SIGINT)
            server.wait()
            wait_until(lambda: "the database of the escalations cannot be used" in serving.log(), "an error")
            server.start()
            server.ready()
            count = len(sent)
            wait_until(lambda: len(sent) > count + 5, "more of them")
        finally:
            stopping.set()
            sending.join()
        ids = [each.get(timeout=PATIENCE)["id"] for each in sent]
        assert len(set(ids)) == len(sent)
        decision = {"decision": "accept", "by": "ana"}
        settle = "tasks.escalation.settle"
        settled = [client.send_task(settle, kwargs={"escalation_id": each, **decision}) for each in ids]
        events = {each.get(timeout=PATIENCE)["event_id"] for each in settled}
        wait_until(lambda: {json.loads(body)["event_id"] for _, body in got} >= events, "every event")
        assert serving.is_alive


def url_of_few(server: Postgres, password: str) -> str:
    return f"postgresql://few:{password}@127.0.0.1:{server.port}/postgres"


def test_a_wrong_password(server: Postgres) -> None:
    """A command says so in a line, without any password; a task, which tries again, in the same words."""
    url = url_of_few(server, "wrong-word")
    done = run_cli("escalations", "list", DATABASE_URL=url)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert "the database of the escalations cannot be used" in line
    assert 'password authentication failed for user "few"' in line
    assert "wrong-word" not in line


def test_no_connection_is_free(server: Postgres) -> None:
    """A passing error that names the reason; the same store works once another has gone."""
    one, two = (Store(open_engine(url_of_few(server, PASSWORD), Path())) for _ in range(2))
    one.read()
    with pytest.raises(DatabaseError, match='too many connections for role "few"') as caught:
        two.read()
    assert PASSWORD not in str(caught.value)
    one.close()
    wait_until(lambda: works(two), "a connection to be free")
    two.close()


def works(store: Store) -> bool:
    try:
        store.open_count()
    except DatabaseError:
        return False
    return True
