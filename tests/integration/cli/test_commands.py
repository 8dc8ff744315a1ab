"""`python -m contentworker …`, as people type it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from celery import Celery

from contentworker import config
from contentworker.runtime.records import dead_letters
from contentworker.runtime.records.dead_letters import DeadLetter
from tests.support import PATIENCE, PROBE_APP, SOON, StartWorker, environment, run_cli, wait_until

TASK = "tasks.health_check"
WAIT = f"--wait={PATIENCE}"


@pytest.fixture(scope="module")
def serving(module_worker: StartWorker) -> None:
    """A worker of all queues but one.

    One process: of two, the other one may end a retried task before the first has stored that it is retried.
    """
    module_worker("--queues=celery,evaluation,escalation", "--concurrency=1", app=PROBE_APP, **SOON)


def plain(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert "Traceback (" not in done.stdout + done.stderr
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def test_config_show_has_every_setting() -> None:
    """A line for each: key, value, origin."""
    lines = plain(run_cli("config", "show"), 0).splitlines()
    expected = list(config.describe(environ={}))
    assert [line.split()[0] for line in lines] == [item.key for item in expected]
    assert [line.rsplit("(", 1)[1].rstrip(")") for line in lines] == [item.origin for item in expected]


def test_config_show_json() -> None:
    """The same as an object, with the variable that overrides."""
    shown = json.loads(plain(run_cli("config", "show", "--json", WORKER__FLOWER__PORT="7"), 0))
    assert shown["flower.port"] == {"value": 7, "origin": "WORKER__FLOWER__PORT"}
    assert list(shown) == [item.key for item in config.describe(environ={})]


@pytest.mark.parametrize("command", [["config", "show"], ["health"], ["submit", TASK], ["redis", "ping"]])
def test_wrong_configuration_is_one_line(command: list[str]) -> None:
    """Whatever the command."""
    done = run_cli(*command, redis_url="redis://127.0.0.1:1/0", WORKER__NO__SUCH="1")
    error = plain(done, 1)
    assert error.startswith("Error: WORKER__NO__SUCH: no: unknown key; allowed here: ")
    assert len(error.splitlines()) == 1


@pytest.mark.usefixtures("serving")
class TestSubmit:
    """Sending a task from the command line."""

    def test_prints_the_id(self, redis_url: str) -> None:
        """Without --wait it says the id and nothing else."""
        (line,) = plain(run_cli("submit", "tasks.health_check", redis_url=redis_url), 0).splitlines()
        assert len(line) == 36

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            pytest.param(["nothing"], 2, "is not NAME=VALUE, NAME:=JSON or NAME@FILE", id="no-mark"),
            pytest.param(["=x"], 2, "is not NAME=VALUE, NAME:=JSON or NAME@FILE", id="no-name"),
            pytest.param(["a b=x"], 2, "is not NAME=VALUE, NAME:=JSON or NAME@FILE", id="bad-name"),
            pytest.param(["content:={"], 2, "content: not JSON", id="bad-json"),
            pytest.param(
                ["content@no/such/file"], 1, "cannot be read: No such file or directory", id="no-file"
            ),
            pytest.param(["content@."], 1, "cannot be read: Is a directory", id="folder"),
        ],
    )
    def test_wrong_arguments(self, redis_url: str, arguments: list[str], code: int, message: str) -> None:
        """One plain line, and nothing is sent."""
        assert message in plain(run_cli("submit", TASK, *arguments, redis_url=redis_url), code)

    @pytest.mark.parametrize("content", [b"caf\xe9", b"\x89PNG\r\n\x1a\n\0"], ids=["latin-1", "binary"])
    def test_file_that_is_no_text(self, redis_url: str, tmp_path: Path, content: bytes) -> None:
        """The field and the place are named."""
        path = tmp_path / "file"
        path.write_bytes(content)
        error = plain(run_cli("submit", TASK, f"content@{path}", redis_url=redis_url), 1)
        assert error.startswith("Error: content: ")
        assert "must be UTF-8; byte" in error

    @pytest.mark.parametrize("task", ["tasks.health_chek", "health_check"])
    def test_unknown_task(self, redis_url: str, task: str) -> None:
        """It would go to the default queue and become a dead letter; a close name is told."""
        error = plain(run_cli("submit", task, redis_url=redis_url), 2)
        assert f"there is no task '{task}' in tasks/; did you mean tasks.health_check?" in error

    def test_task_that_no_worker_has(self, redis_url: str) -> None:
        """A pattern may mean a task of another module. The worker's answer is one line."""
        patterns = {"WORKER__QUEUES__CELERY__TASKS": '["probe.*"]'}
        error = plain(run_cli("submit", "probe.no", WAIT, redis_url=redis_url, **patterns), 1)
        assert "NotRegistered" in error
        assert len(error.splitlines()) == 1

    @pytest.mark.parametrize(
        ("task", "code", "said"),
        [
            pytest.param("probe.send_another", 0, '"sent"', id="a-task-that-sends-another"),
            pytest.param(
                "probe.lose_redis",
                1,
                "failed: ConnectionError: of the task's own\n\\u202eand foreign",
                id="an-error-like-one-of-ours",
            ),
        ],
    )
    def test_what_came_of_it(self, redis_url: str, task: str, code: int, said: str) -> None:
        """The exit code says how the task ended; nothing else is printed, at the end of Python either."""
        patterns = {"WORKER__QUEUES__CELERY__TASKS": '["probe.*"]'}
        done = run_cli("submit", task, WAIT, redis_url=redis_url, **patterns)
        assert said in plain(done, code)
        assert not (done.stderr and code == 0)

    def test_retries_and_where_the_traceback_is(
        self, redis_url: str, redis_client: redis.Redis, tmp_path: Path
    ) -> None:
        """A line for each attempt that failed, and what to type in the end; it works when it is typed."""
        keywords, patterns = f"folder={tmp_path}", {"WORKER__QUEUES__CELERY__TASKS": '["probe.*"]'}
        task = ("submit", "probe.base.fail_until", keywords, WAIT)
        done = run_cli(*task, "times:=2", redis_url=redis_url, **patterns)
        assert plain(done, 0) == "3\n"
        first, second = done.stderr.splitlines()
        assert first.endswith(": attempt 1 failed, another follows: RuntimeError: failure 1")
        assert second.endswith(": attempt 2 failed, another follows: RuntimeError: failure 2")
        done = run_cli(*task, "times:=99", redis_url=redis_url, **patterns)
        *retries, error, where = plain(done, 1).splitlines()
        assert len(retries) == 3
        assert error.endswith(" failed: RuntimeError: failure 7")
        said, command = where.split("python -m contentworker ")
        assert said == "See its traceback: "
        task_id = command.split()[-1]
        wait_until(lambda: dead_letters.ids_of_task(redis_client, task_id, 1), "the dead letter")
        shown = run_cli(*command.split(), redis_url=redis_url)
        assert shown.returncode == 0, shown.stderr
        assert 'raise RuntimeError(f"failure {count}")' in shown.stdout

    def test_no_result_in_time(self, redis_url: str, redis_client: redis.Redis) -> None:
        """Nobody serves the queue: it says so after the time given, and the task stays sent."""
        patterns = {"WORKER__QUEUES__REWRITE__TASKS": '["probe.*"]'}
        error = plain(run_cli("submit", "probe.x", "--wait=0.2", redis_url=redis_url, **patterns), 1)
        assert error.endswith(": no result within 0.2 s\n")
        assert redis_client.llen("rewrite") == 1

    # >>> editorial
    def test_run_that_goes_on(self, redis_url: str) -> None:
        """The pipeline's first task sends others; where the run has not ended in time that is exit code 1."""
        given = ("article_id=a-1", "content=A short text.", "--wait=2")

        def last_line() -> str:  # that there is no result, where a busy machine holds up the first task
            done = run_cli("submit", "tasks.pipeline.process_content", *given, redis_url=redis_url)
            return plain(done, 1).splitlines()[-1]

        wait_until(lambda: ": stands at " in last_line(), "the run to stand somewhere in time")

    # <<< editorial


def test_redis_ping(redis_url: str) -> None:
    """As redis-cli would answer."""
    assert plain(run_cli("redis", "ping", redis_url=redis_url), 0) == "PONG\n"
    assert plain(run_cli("redis", "SET", "a", "b", redis_url=redis_url), 0) == "OK\n"
    assert plain(run_cli("redis", "GET", "a", redis_url=redis_url), 0) == "b\n"


def test_redis_bytes(redis_url: str) -> None:
    """Bytes that are no text are sent as they were typed, and shown escaped."""
    assert plain(run_cli("redis", "SET", "bytes", "a\udcff", redis_url=redis_url), 0) == "OK\n"
    assert plain(run_cli("redis", "STRLEN", "bytes", redis_url=redis_url), 0) == "2\n"
    assert plain(run_cli("redis", "GET", "bytes", redis_url=redis_url), 0) == "a\\xff\n"


def test_wrong_redis_command(redis_url: str) -> None:
    """A command that Redis does not know is one line."""
    assert "unknown command" in plain(run_cli("redis", "NOPE", redis_url=redis_url), 1)


@pytest.mark.parametrize(
    ("code", "expected"), [("sys.exit(7)", 7), ("os.kill(os.getpid(), 9)", 137), ("0", 0)]
)
def test_with_redis_passes_on_the_exit_code(redis_url: str, code: str, expected: int) -> None:
    """The command's own, or 128 + signal."""
    done = run_cli("with-redis", sys.executable, "-c", f"import os, sys; {code}", redis_url=redis_url)
    assert done.returncode == expected


def test_with_redis_sets_redis_url(redis_url: str) -> None:
    """The command finds the server in REDIS_URL."""
    code = "import os; print(os.environ['REDIS_URL'])"
    assert (
        plain(run_cli("with-redis", sys.executable, "-c", code, redis_url=redis_url), 0) == f"{redis_url}\n"
    )


def test_with_redis_of_no_command(redis_url: str) -> None:
    """A command that is not there is exit code 127."""
    assert "no-such-command" in plain(run_cli("with-redis", "no-such-command", redis_url=redis_url), 127)


def test_no_dead_letters(redis_url: str, redis_client: redis.Redis) -> None:
    """An empty list says so, and as JSON it is empty."""
    redis_client.delete("contentworker:dead-letters")
    assert plain(run_cli("dead-letters", "list", redis_url=redis_url), 0) == "No dead letters.\n"
    assert plain(run_cli("dead-letters", "list", "--json", redis_url=redis_url), 0) == ""


def test_dead_letters_by_the_first_characters_of_their_ids(redis_url: str, redis_client: redis.Redis) -> None:
    """If several begin so, they are listed and none is touched; letters of the same millisecond, too."""
    redis_client.delete(dead_letters.STREAM)
    kept = DeadLetter(reason="failed", error="e", queue="celery", worker="w", message="{}").model_dump_json()
    ids = ["1795528068961-0", "1795528068961-1", "1795999999999-0"]
    for letter_id in ids:
        redis_client.xadd(dead_letters.STREAM, {"letter": kept}, id=letter_id)
    for typed, listed in (("1795", ids), ("1795528068961", ids[:2]), ("1795528068961-", ids[:2])):
        error = plain(run_cli("dead-letters", "discard", typed, redis_url=redis_url), 1)
        assert error == f"Error: {typed}: several ids begin with this: {', '.join(listed)}\n"
    assert redis_client.xlen(dead_letters.STREAM) == 3
    assert ids[2] in plain(run_cli("dead-letters", "show", "17959", redis_url=redis_url), 0)
    assert plain(run_cli("dead-letters", "discard", ids[0], "17959", redis_url=redis_url), 0)
    assert redis_client.xlen(dead_letters.STREAM) == 1
    redis_client.delete(dead_letters.STREAM)


def test_environment_of_the_tests_is_clean() -> None:
    """No override and no Redis of the person's own reaches a child process."""
    assert not [name for name in environment() if name.startswith("WORKER__") or name == "REDIS_URL"]


def test_hand_back_moves_delayed_messages_into_their_queues(
    client: Celery, redis_client: redis.Redis, redis_url: str
) -> None:
    """For plain workers, which know no others; what waits already stays where it is."""
    redis_client.delete("rewrite")
    sent = client.send_task("tasks.rewrite.later", countdown=3600, queue="rewrite")
    assert redis_client.llen("rewrite") == 0
    assert "queues: 1" in plain(run_cli("hand-back", redis_url=redis_url), 0)
    [raw] = redis_client.lrange("rewrite", 0, -1)
    message = json.loads(raw)
    assert (message["headers"]["id"], message["headers"]["eta"] is None) == (sent.id, False)
    assert "queues: 0" in plain(run_cli("hand-back", redis_url=redis_url), 0)
    redis_client.delete("rewrite")
