"""Every command of every page is run by a test, and every page is in the index."""

import os
import re
import shlex
import subprocess

import redis

from contentworker.runtime.records import dead_letters
from contentworker.runtime.records.dead_letters import DeadLetter
from contentworker.runtime.settings import DeadLetterSettings
from tests.acceptance.pages import commands_of
from tests.support import ROOT, run_cli

READ_BY = {
    "adding-tasks.md": "test_adoption.py",
    "adopting.md": "test_adoption.py",
    "commands.md": "test_content_worker_command.py",
    "containers.md": "test_image.py",
    "dead-letters.md": "test_all_commands.py",
    "desk-api.md": "editorial/test_desk_api_page.py",
    "desk.md": "editorial/test_desk_page.py",
    "environments.md": "test_pages.py",
    "escalations.md": "editorial/test_pages_with_articles.py",
    "kubernetes.md": "../unit/generate/test_kubernetes.py",
    "metrics.md": "test_monitoring.py",
    "operations.md": "systemd/test_operations.py",
    "pipeline.md": "editorial/test_pages_with_articles.py",
    "producers.md": "../integration/editorial/test_producers.py",
    "redis.md": "test_all_commands.py",
    "revoking.md": "test_documented_commands.py",
    "running.md": "test_documented_commands.py",
    "schedules.md": "test_documented_commands.py",
    "tasks.md": "editorial/test_tasks_page.py",
    "testing.md": "test_testing_page.py",
    "up.md": "test_up.py",
    "watching.md": "../integration/cli/test_top.py",
}
"""Of each page with commands in it: the test that reads them off the page and runs them."""

NEWCOMER = "test_newcomer.py"
TYPED_BY = {
    "python3 noxfile.py -s demo": NEWCOMER,
    "python3 noxfile.py -s worker": NEWCOMER,
    "nox -s worker": NEWCOMER,
    "nox -s worker -- --queue rewrite": NEWCOMER,
    "nox -s beat": NEWCOMER,
    "nox -s up": NEWCOMER,
    "nox -s flower": NEWCOMER,
    "nox -s shell -- content-worker health": NEWCOMER,
    "content-worker submit tasks.evaluation.score_aeo content@README.md --wait 30": NEWCOMER,
    "nox -s shell": NEWCOMER,  # with a command, as a shell itself would wait for one
    "nox -s embedded-model": NEWCOMER,
    "nox -s embedding-model": NEWCOMER,
    "nox -s sbom": "test_supply_chain.py",
    "nox -s doctor": "test_doctor.py",
    "python3 noxfile.py -s doctor": "test_doctor.py",
    "celery -A celery_worker.celery_app inspect active_queues": "test_documented_commands.py",
    "celery -A celery_worker.celery_app inspect registered": "test_documented_commands.py",
}
"""Of the other pages: the test that types the same words after `-s`, or after the application's name."""

IN_A_POD = "test_image.py reads it off the README, and runs it"
NOT_TYPED = {
    "podman build -t content-worker .": IN_A_POD,
    "podman run --detach --pod new:content-worker content-worker redis-server": IN_A_POD,
    "podman run --detach --pod content-worker content-worker worker": IN_A_POD,
    "python3 noxfile.py -s tests": "this is it; `.ci/run` ends with it, which test_pages.py looks at",
    "python3 noxfile.py -s lint": "test_adoption.py runs it, as docs/adding-tasks.md says",
    "nox -s lint": "the same",
    "nox -s format": "unit/test_noxfile.py sees what it runs; on this checkout it would change files",
    "nox -s tests -- tests/unit": "a part of this",
    "nox -s tests -- tests/unit/runtime/worker": "a part of this",
    "nox -s tests -- tests/unit/runtime/worker/test_retry.py -k delay": "a part of this",
    "nox -s tests -- -k retry": "a part of this",
    "nox -s lint -- --hook": "the devcontainer runs it when it is made; test_devcontainer.py finds the hook",
    "nox -s install": "systemd/installation.py types it with `-- --yes`, as there is nobody to ask",
    "python3 noxfile.py -s install": "the same",
    "python3 noxfile.py -s upgrade": "the same",
    "python3 noxfile.py -s uninstall": "the same",
    "nox -s upstream": "upstream/test_suites.py runs the same suites; the session adds an environment",
    "nox -s upstream -- --stock": "runs for half an hour, and nothing of ours",
    "nox -s upstream -- celery==5.8.0 kombu==5.8.0": "versions to come",
}
"""What no test types in these words, and why."""


def test_every_page_with_commands_is_read_by_a_test() -> None:
    """Its file names the page, so what is written there is what is run."""
    pages = {page.name for page in (ROOT / "docs").glob("*.md") if commands_of(page.name)}
    sessions_only = {"aeo.md", "development.md", "rewriting.md", "troubleshooting.md", "upstream.md"}
    assert pages - sessions_only <= READ_BY.keys()
    for page in pages & READ_BY.keys():
        test = READ_BY[page]
        assert f'"{page}"' in (ROOT / "tests/acceptance" / test).read_text("utf-8"), page


def test_every_other_command_is_typed_by_a_test() -> None:
    """Those of README, CONTRIBUTING, and of the pages whose commands are but a session."""
    pages = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")]
    pages += [ROOT / "docs" / name for name in ("development.md", "troubleshooting.md", "upstream.md")]
    # Gone where somebody took the editorial part out.
    pages += [page for name in ("aeo", "rewriting") for page in (ROOT / "docs").glob(f"{name}.md")]
    lines = [line for page in pages for line in commands_of(os.path.relpath(page, ROOT / "docs"))]
    written = {line.partition("  #")[0].strip() for line in lines}
    assert not written - TYPED_BY.keys() - NOT_TYPED.keys()
    for command, test in TYPED_BY.items():
        text = re.sub(r"\s+", " ", (ROOT / "tests/acceptance" / test).read_text("utf-8"))
        own = command.startswith("content-worker ")
        words = shlex.split(command if own else command.partition(" -s ")[2])
        typed = ", ".join(f'"{word}"' for word in words) or command.partition("celery_app ")[2]
        assert typed in text, command


def test_every_page_is_in_the_index() -> None:
    """docs/README.md has a line for each page, and none twice."""
    index = re.findall(r"\]\(([\w-]+\.md)\)", (ROOT / "docs" / "README.md").read_text("utf-8"))
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages - set(index) == set()
    assert len(index) == len(set(index))


def test_a_password_is_encoded() -> None:
    """docs/redis.md: the command asks for a password, and prints it as an address takes it."""
    (command,) = commands_of("redis.md")
    done = subprocess.run(
        shlex.split(command),
        input="a#/?@;b\n",
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    )
    assert done.stdout.splitlines()[-1].endswith("a%23%2F%3F%40%3Bb")


def test_commands_of_dead_letters(redis_url: str, redis_client: redis.Redis) -> None:
    """docs/dead-letters.md: each command does what the page says, on letters of the kinds that it names."""

    def add(reason: str) -> str:
        letter = DeadLetter(
            reason=reason,
            error="on purpose",
            queue="evaluation",
            task="tasks.evaluation.score_aeo",
            worker="w",
            message='{"body": "W1tdLCB7fSwge31d", "headers": {}, "properties": {"body_encoding": "base64"}}',
        )
        return dead_letters.add(redis_client, letter, DeadLetterSettings())

    chosen, *_ = add("time limit"), add("lost process"), add("failed")
    listed, filtered, shown, one, some, discard = (
        command.replace("1795528068961-0", chosen) for command in commands_of("dead-letters.md")
    )

    def run(command: str) -> str:
        done = run_cli(*shlex.split(command.removeprefix("content-worker ")), redis_url=redis_url)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run(listed).count("tasks.evaluation.score_aeo") == 3
    assert run(filtered).count("tasks.evaluation.score_aeo") == 1
    assert "on purpose" in run(shown)
    run(one)
    assert redis_client.llen("evaluation") == 1
    run(some)
    assert redis_client.llen("evaluation") == 2
    run(discard)  # none is older than that
    assert redis_client.xlen(dead_letters.STREAM) == 1
