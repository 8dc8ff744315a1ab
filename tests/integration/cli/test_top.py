"""`python -m contentworker top` with real workers, whatever they tell, and with a Redis that goes away."""

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from celery import Celery

from contentworker import config
from contentworker.runtime.transport.keys import LEASES
from contentworker.runtime.watching.observer import Observer
from contentworker.runtime.watching.overview import Overview
from tests.acceptance.conftest import Terminal
from tests.acceptance.pages import commands_of
from tests.support import (
    PROBE_APP,
    ROOT,
    RedisProcess,
    StartWorker,
    client_of,
    environment,
    run_cli,
    wait_until,
)

SETTINGS = config.load(environ={})
Arrived = Callable[[Callable[[Overview], object], str], Overview]


@contextmanager
def observed(app: Celery, redis_url: str) -> Iterator[Arrived]:
    """Look until something is to be seen."""
    limits = {"socket_timeout": 2.0, "socket_connect_timeout": 2.0}
    with Observer(
        app, lambda: redis.Redis.from_url(redis_url, **limits), SETTINGS, interval_seconds=0.05
    ) as observer:

        def arrived(condition: Callable[[Overview], object], what: str) -> Overview:
            def look() -> Overview | None:
                found = observer.look()
                return found if condition(found) else None

            return wait_until(look, what)

        yield arrived


def queue_of(overview: Overview, name: str) -> tuple[int, int]:
    """Its messages: ready, held."""
    assert overview.state
    (found,) = [queue for queue in overview.state.queues if queue.queue == name]
    return found.ready, found.held


def test_what_is_seen(
    worker: StartWorker, client: Celery, redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Workers, what runs and waits, what failed, how fast; of a worker without metrics less, and no harm."""
    soon = {"WORKER__RETRIES__BASE_MAX_RETRIES": "0", "WORKER__DEAD_LETTERS__MAX_NUMBER": "10"}
    worker("--queues=celery", "--hostname=one@test", "--concurrency=1", app=PROBE_APP, **soon)
    worker("--queues=rewrite", "--hostname=off@test", "--pool=solo", WORKER__METRICS__ENABLED="false")
    secret = "an article nobody is to see"
    with observed(client, redis_url) as arrived:
        found = arrived(
            lambda it: len(it.workers) == 2 and all(each.running == 0 for each in it.workers), "both workers"
        )
        assert {each.name: each.queues for each in found.workers} == {
            "one@test": ("celery",),
            "off@test": None,
        }
        assert found.state
        leases = redis_client.hlen(LEASES)
        client.send_task("probe.base.fail", [secret], queue="celery")
        found = arrived(lambda it: it.failures and it.rates and it.rates.failed > 0, "the failure, counted")
        assert found.state
        (failure,) = found.failures
        assert (failure.task, failure.queue, failure.reason) == (
            "probe.base.fail",
            "celery",
            "retries exhausted",
        )
        held = client.send_task("probe.base.hold", [str(tmp_path)], queue="celery")
        client.send_task("probe.base.hold", [str(tmp_path)], queue="celery")
        client.send_task("probe.base.hold", [str(tmp_path)], queue="celery")
        found = arrived(lambda it: it.running and queue_of(it, "celery") == (2, 1), "a task that runs")
        assert found.running
        (running,) = found.running
        assert (running.task, running.task_id, running.queue, running.worker) == (
            "probe.base.hold",
            held.id,
            "celery",
            "one@test",
        )
        assert secret not in repr(found)
        assert str(tmp_path) not in repr(found)
        (tmp_path / "release").touch()
        arrived(lambda it: it.running == () and queue_of(it, "celery") == (0, 0), "the end of all")
        arrived(lambda it: it.rates and it.rates.done > 0, "its count")
        assert redis_client.hlen(LEASES) == leases  # it holds nothing itself
    # Nor are there queues left in which it waited for answers.
    assert not redis_client.smembers("_kombu.binding.reply.celery.pidbox")
    assert not redis_client.keys("*.reply.celery.pidbox")


def test_nobody_tells_anything(client: Celery, redis_url: str) -> None:
    """No worker at all: the queues are there all the same."""
    with observed(client, redis_url) as arrived:
        found = arrived(lambda it: it.state and it.running is not None, "an answer of nobody")
        assert found.running == ()
        assert [queue.queue for queue in found.state.queues] == [*SETTINGS.queues]


def test_the_documented_commands() -> None:
    """docs/watching.md holds these; test_documented_commands.py starts the last of them."""
    commands = ["content-worker top", "content-worker top --once"]
    assert commands_of("watching.md") == [*commands, "celery -A celery_worker.celery_app flower"]


def printed(redis_url: str, *options: str) -> str:
    """One page; nothing if Redis did not answer in time."""
    done = run_cli("top", "--once", *options, redis_url=redis_url)
    assert done.returncode in (0, 3), done.stderr
    return "" if done.returncode else done.stdout


def test_one_page_for_a_pipe(redis_url: str, worker: StartWorker) -> None:
    """Plain text, of as many columns as it takes; 3 where there is no Redis."""
    worker("--queues=celery", "--hostname=one@test", "--pool=solo")

    # It waits two seconds for Redis and five for the worker: a busy machine may hold them up for longer.
    shown = wait_until(lambda: it if "one@test" in (it := printed(redis_url)) else None, "the worker on it")
    assert "\x1b" not in shown
    lines = shown.splitlines()
    assert [line.split()[0] for line in lines if line.split()[:1] and line.split()[0] in SETTINGS.queues] == [
        *SETTINGS.queues
    ]
    assert any(line.startswith("one@test") for line in lines)
    seen = wait_until(
        lambda: (it := json.loads(printed(redis_url, "--json") or "{}")).get("running") == [] and it,
        "its answer",
    )
    assert [queue["queue"] for queue in seen["state"]["queues"]] == [*SETTINGS.queues]
    assert [worker["name"] for worker in seen["workers"]] == ["one@test"]
    assert seen["away"] is None
    finished = run_cli("top", "--once", redis_url="redis://127.0.0.1:1/0")
    assert finished.returncode == 3
    assert "Redis cannot be read since" in finished.stdout
    assert "Traceback" not in finished.stderr


def test_a_picture(redis_url: str, tmp_path: Path) -> None:
    """`--svg` writes the page to a file, or says why it cannot."""
    wait_until(lambda: printed(redis_url, "--svg", str(tmp_path / "top.svg")), "a page")
    text = (tmp_path / "top.svg").read_text("utf-8")
    assert "evaluation" in text
    assert "url(http" not in text.replace('"', "").replace("'", "")
    finished = run_cli("top", "--once", "--svg", str(tmp_path / "none" / "top.svg"), redis_url=redis_url)
    assert finished.returncode == 1
    assert finished.stderr == f"Error: {tmp_path / 'none' / 'top.svg'}: No such file or directory\n"


@pytest.fixture
def page(tmp_path: Path) -> Iterator[tuple[RedisProcess, Terminal]]:
    """The page in a terminal of 80 by 24, between two looks at how the terminal is set."""
    server = RedisProcess(tmp_path / "redis").ready()
    top = f"{shlex.quote(sys.executable)} -m contentworker top --interval 0.2"
    script = f"trap : INT; stty cols 80 rows 24; stty -g; {top}; echo ended with $?; stty -g; echo over"
    terminal = Terminal(
        ["sh", "-c", script], ROOT, environment(REDIS_URL=server.url, TERM="xterm", NO_COLOR="1")
    )
    yield server, terminal
    terminal.close()
    server.stop()


LEAVES = "\x1b[?1049l"
"""A terminal's main screen comes back, with what was on it before."""


@pytest.mark.parametrize("key", ["q", "\x03"], ids=["q", "ctrl-c"])
def test_the_page_in_a_terminal(page: tuple[RedisProcess, Terminal], key: str) -> None:
    """Redis is killed and comes back: the page says so, and goes on. A key ends it; all is as it was."""
    server, terminal = page
    before = terminal.wait_for("\x1b[?1049h")
    terminal.wait_for("evaluation")
    terminal.wait_for("q quit")
    if key == "q":
        terminal.type(" ")
        terminal.wait_for("the page is stopped")
        terminal.type(" ")
        server.crash()
        terminal.wait_for("Redis cannot be read since")
        terminal.wait_for("evaluation")  # what was known
        server.start()
        terminal.wait_for("dead letters")
        wait_until(lambda: _is_back(terminal), "a page without the complaint")
    terminal.type(key)
    terminal.wait_for(LEAVES)
    after = terminal.wait_for("over")
    assert terminal.wait() == 0
    assert "ended with 0" in after
    assert "Traceback" not in after
    assert not re.search(r"\x1b\[[0-9;]*\b(3[0-7]|9[0-7])m", terminal.screen)  # NO_COLOR
    settings = before.split()[0]
    assert settings.count(":") > 10
    assert settings in after


def _is_back(terminal: Terminal) -> bool:
    """Whether the newest whole page does not complain."""
    terminal.has_ended  # noqa: B018  reads what has come
    pages = terminal.screen.split("Content Worker")
    return len(pages) > 2 and "cannot be read" not in pages[-2] and "evaluation" in pages[-2]


def test_a_redis_that_hangs(tmp_path: Path) -> None:
    """Counts as away while it does; a look is at once all the same."""
    import signal

    server = RedisProcess(tmp_path / "redis").ready()
    try:
        with client_of(server.url) as app, observed(app, server.url) as arrived:
            arrived(lambda it: it.state, "a first look")
            server.kill(signal.SIGSTOP)
            found = arrived(lambda it: it.away, "that it is away")
            assert found.state
            server.kill(signal.SIGCONT)
            arrived(lambda it: not it.away, "that it is back")
    finally:
        server.kill(signal.SIGCONT)
        server.stop()
