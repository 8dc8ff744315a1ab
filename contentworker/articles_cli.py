"""`python -m contentworker runs | cancel | forget`: an article on its way, looked at, stopped, removed."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import click

from contentworker import config
from contentworker.articles import outcome

if TYPE_CHECKING:
    from contentworker.runtime.runs import Run, Runs

__all__ = ["cancel", "follow", "forget", "outcome", "runs"]

Connect = Callable[[], AbstractContextManager[Any]]
POLL_SECONDS = 0.1
FORGET_SECONDS = 30.0
"""How long `forget` waits for what runs, whose end would write of the article again."""


def _runs(client: Any) -> "Runs":
    from contentworker.runtime.runs import Runs

    return Runs(client, config.load().retention.runs_seconds)


@click.group()
def runs() -> None:
    """The ways of articles through the pipeline."""


@runs.command()
@click.argument("name", metavar="RUN_ID|ARTICLE_ID")
@click.pass_obj
def show(connect: Connect, /, name: str) -> None:
    """Print a run, or every run of an article, as a JSON object a line: where it stands or how it ended."""
    with connect() as client:
        found = [run for run_id in [name, *_runs(client).of(name)] if (run := _runs(client).find(run_id))]
    if not found:
        raise click.ClickException(f"{name}: no run of this id, or of this article, or not any more")
    for run in found:
        click.echo(json.dumps(outcome(run)))


def follow(client: Any, run_id: str, deadline: float) -> "Run | None":
    """Print each step as it is reached, until the end or the deadline (`time.monotonic`)."""
    shown = 0
    while True:
        run = _runs(client).find(run_id)
        steps = run.progress() if run else []
        for step in steps[shown:]:
            click.echo(f"{run_id}  {step}", err=True)
        shown = len(steps)
        if run is None or run.is_final or time.monotonic() > deadline:
            return run
        time.sleep(POLL_SECONDS)


@click.command()
@click.argument("run_id")
@click.option("--escalate", is_flag=True, help="Ask a person to decide instead.")
@click.pass_obj
def cancel(connect: Connect, /, run_id: str, escalate: bool) -> None:
    """Stop a run: what has not begun never does; a step that runs ends, and nothing follows."""
    with connect() as client:
        run = _runs(client).find(run_id)
        if run is None:
            raise click.ClickException(f"{run_id}: no such run, or not any more")
        while run and not run.is_final and not _runs(client).move(run_id, run.step, "cancelled"):
            run = _runs(client).find(run_id)
        run = _runs(client).find(run_id)
        if run is None or run.step != "cancelled":
            raise click.ClickException(f"{run_id}: it has ended: {run.step if run else 'forgotten'}")
        removed = _remove_waiting(client, lambda names: run_id in names)
        if escalate:
            _escalate(run)
    click.echo(f"{run_id}: cancelled; messages removed: {removed}")


def _escalate(run: "Run") -> None:
    from contentworker.__main__ import _client

    article = run.data["article"]
    arguments = {name: article[name] for name in ("content", "media_type")}
    named = {"article_id": run.subject, "reason": "cancelled", "run_id": run.id}
    _client().send_task("tasks.escalation.escalate_to_human", kwargs={**arguments, **named})


@click.command()
@click.argument("article_id")
@click.pass_obj
def forget(connect: Connect, /, article_id: str) -> None:
    """Remove an article everywhere: runs, results, messages, dead letters, escalations.

    What runs is waited for, at most 30 s. Exit code 1: something still ran; do it again.
    """
    from contentworker.editorial.escalations.opening import missing_file, open_store
    from contentworker.editorial.escalations.result import Forgotten
    from contentworker.runtime import state

    with connect() as client:
        known = _runs(client)
        run_ids = known.of(article_id)
        for run_id in run_ids:
            known.delete(run_id, article_id)  # first: what ends from now on moves nothing
        names = {article_id, *run_ids}

        def is_its(found: set[str]) -> bool:
            return bool(found & names)

        removed = _remove_waiting(client, is_its)
        deadline = time.monotonic() + FORGET_SECONDS
        while (held := list(_held(client, is_its))) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            removed += _remove_waiting(client, is_its)
        letters = _discard_letters(client, is_its)
        results = _delete_results(client, names)
    place = config.load().escalations, state.folder(config.ROOT)
    records = Forgotten() if missing_file(*place) else open_store(*place).forget(article_id)
    click.echo(
        f"{article_id}: runs {len(run_ids)}, messages {removed}, dead letters {letters}, results {results}; "
        f"escalations: {records}"
    )
    if held:
        click.echo(f"{len(held)} tasks of it still run: do this again when they have ended", err=True)
        sys.exit(1)


def _names(raw: bytes) -> set[str]:
    """What a message says it is about: its run and its article, in headers or among its arguments."""
    import base64

    try:
        whole = json.loads(raw)
        body = whole["body"]
        if whole["properties"].get("body_encoding") == "base64":
            body = base64.b64decode(body)
        args, kwargs, _ = json.loads(body)
        # By position only where the article comes first.
        by_position = args[:1] if whole["headers"]["task"] in FIRST_ARGUMENT else []
        found = [kwargs.get("article_id"), kwargs.get("run_id"), *by_position]
        found += [whole["headers"].get("run_id"), whole["headers"].get("article_id")]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return set()
    return {each for each in found if isinstance(each, str)}


FIRST_ARGUMENT = ("tasks.pipeline.process_content", "tasks.escalation.escalate_to_human")


def _remove_waiting(client: Any, is_its: Callable[[set[str]], bool]) -> int:
    from kombu.transport.redis import PRIORITY_STEPS, Channel

    from contentworker.runtime.transport.protocol import DELAYED

    removed = 0
    for queue in config.load().queues:
        for step in PRIORITY_STEPS:
            key = f"{queue}{Channel.sep}{step}" if step else queue
            for raw in client.lrange(key, 0, -1):
                if is_its(_names(raw)):
                    removed += client.lrem(key, 1, raw)
    for record in client.zrange(DELAYED, 0, -1):
        if is_its(_names(record.split(b"\n", 3)[-1])):
            removed += client.zrem(DELAYED, record)
    return removed


def _held(client: Any, is_its: Callable[[set[str]], bool]) -> Iterator[bytes]:
    """Messages that workers have in hand."""
    from contentworker.runtime.transport.protocol import held_key

    for key in client.scan_iter(match=held_key("*")):
        for tag, record in client.hgetall(key).items():
            if tag[:1].isdigit() and is_its(_names(record.split(b"\n", 3)[-1])):
                yield record


def _discard_letters(client: Any, is_its: Callable[[set[str]], bool]) -> int:
    from contentworker.runtime import dead_letters

    count = 0
    for letter_id, _, letter in list(dead_letters.read(client)):
        if isinstance(letter, dead_letters.DeadLetter) and is_its(_names(letter.message.encode())):
            count += dead_letters.discard(client, letter_id)
    return count


def _delete_results(client: Any, names: set[str]) -> int:
    """Those of the runs' steps, whose ids follow from the run's, and those that name one of them."""
    from contentworker.runtime.runs import step_id

    uuids = names - {name for name in names if len(name) != 36}
    steps = [f"evaluate:{number}/{part}" for number in range(11) for part in ("detection", "score")]
    steps += [f"rewrite:{number}/" for number in range(11)] + ["escalate/"]
    ids = {
        step_id(run_id, f"{step}{then}")
        for run_id in uuids
        if run_id.count("-") == 4
        for step in steps
        for then in ("", "/then")
    }
    keys = [f"celery-task-meta-{each}" for each in ids]
    words = [json.dumps(name).encode() for name in names]
    for key in client.scan_iter(match="celery-task-meta-*", count=1000):
        if client.type(key) == b"string" and any(word in (client.get(key) or b"") for word in words):
            keys.append(key)
    return sum(client.delete(key) for key in keys)
