"""The steps of a run: the ids of their tasks, and what is sent for each."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from kombu import Queue

from contentworker import config
from contentworker.articles import steps
from contentworker.editorial.escalations.result import MAX_EVIDENCE_BYTES
from contentworker.editorial.rewriting.guard import refusals
from contentworker.runtime.records.runs import Run

RUN_ID = str(uuid.uuid4())
ARTICLE = {"content": "text", "media_type": "html", "questions": ["Why?"], "url": None, "today": "2026-11-30"}
SCORE = {"score": 23.0, "confidence": 0.5, "recommendations": [{"criterion": "x"}], "text": "secret"}
DETECTION = {
    "verdict": "no_sign",
    "meaning": "m",
    "probability": 0.1,
    "abstained": None,
    "warnings": [],
    "text": "secret",
}


@pytest.fixture
def app() -> Iterator[Celery]:
    """An application whose messages stay in the memory of this process."""
    with Celery(broker="memory://") as app:
        app.conf.task_ignore_result = True
        app.set_current()
        yield app


def sent(app: Celery) -> list[dict[str, Any]]:
    """Headers and keyword arguments of each message, by the name of its task."""
    found = []
    with app.connection_for_read() as connection:
        queue = Queue("celery", channel=connection.default_channel)
        while message := queue.get(no_ack=True):
            _, kwargs, embedded = message.payload
            found.append({**message.headers, "kwargs": kwargs, "embedded": embedded})
    return sorted(found, key=lambda each: each["task"])


def run(step: str, **data: Any) -> Run:
    return Run(RUN_ID, "a-1", step, "", data={"article": ARTICLE, **data})


def test_every_id_that_a_step_can_have_is_known(app: Celery) -> None:
    """`forget` deletes the results of exactly these, under any settings."""
    every = [(steps.evaluation(number), half) for number in range(11) for half in ("detection", "score")]
    every += [(steps.rewriting(number), "") for number in range(1, 11)]
    signatures = [
        steps._task(run(step), "x", {}, "then", **({"part": half} if half else {}))
        for step, half in [*every, (steps.ESCALATE, "")]
    ]
    ids = [each.options["task_id"] for each in signatures]
    ids += [each.options["link"][0].options["task_id"] for each in signatures]
    assert sorted(ids) == sorted(steps.task_ids(RUN_ID))
    assert len(set(ids)) == 2 * (22 + 10 + 1)


def test_an_evaluation_is_two_tasks(app: Celery) -> None:
    """Detection and score of the article, each with its successor and with what a failure calls."""
    steps.send(run("evaluate:0"))
    detection, score = sent(app)
    assert detection["kwargs"] == {"content": "text", "media_type": "html"}
    assert score["kwargs"] == {
        **detection["kwargs"],
        "questions": ["Why?"],
        "url": None,
        "today": "2026-11-30",
    }
    assert (detection["task"], score["task"]) == ("tasks.evaluation.detect_ai", "tasks.evaluation.score_aeo")
    for message, part in ((detection, "detection"), (score, "score")):
        assert (message["run_id"], message["article_id"]) == (RUN_ID, "a-1")
        (then,), (failed,) = message["embedded"]["callbacks"], message["embedded"]["errbacks"]
        for each in (then, failed):
            assert each["options"]["headers"] == {"run_id": RUN_ID, "article_id": "a-1"}
        assert then["task"] == "tasks.pipeline.take_evaluation"
        assert then["kwargs"] == {"run_id": RUN_ID, "number": 0, "part": part}
        assert (failed["task"], failed["kwargs"]) == (
            "tasks.pipeline.fail",
            {"run_id": RUN_ID, "step": "evaluate:0"},
        )
        (failed_later,) = then["options"]["link_error"]
        assert (failed_later["task"], failed_later["kwargs"]) == (failed["task"], failed["kwargs"])


@pytest.mark.parametrize("step", ["evaluate:0", "rewrite:1"])
def test_a_scope_is_sent_only_if_one_was_given(app: Celery, step: str) -> None:
    """To every task that reads the article; a run of an earlier version has none."""
    for article, expected in ((ARTICLE, None), ({**ARTICLE, "scope": "fragment"}, "fragment")):
        steps.send(run(step, article=article, **{"evaluate:0/score": SCORE}))
        assert {message["kwargs"].get("scope") for message in sent(app)} == {expected}


def test_a_half_that_is_there_is_not_asked_for_again(app: Celery) -> None:
    """Of an evaluation that is sent again, only what is missing."""
    steps.send(run("evaluate:1", **{"rewrite:1/result": {"text": "new"}, "evaluate:1/score": SCORE}))
    (detection,) = sent(app)
    assert (detection["task"], detection["kwargs"]["content"]) == ("tasks.evaluation.detect_ai", "new")


def test_a_rewrite_gets_what_the_article_lacks(app: Celery) -> None:
    """The first score's recommendations, and the article as it was sent, also for the second rewrite."""
    steps.send(run("rewrite:2", **{"evaluate:0/score": SCORE, "rewrite:1/result": {"text": "new"}}))
    (rewrite,) = sent(app)
    assert rewrite["task"] == "tasks.rewrite.generate_rewrite"
    assert rewrite["kwargs"] == {
        **ARTICLE,
        "mode": config.load().pipeline.mode,
        "recommendations": [{"criterion": "x"}],
    }
    (then,) = rewrite["embedded"]["callbacks"]
    assert (then["task"], then["kwargs"]) == ("tasks.pipeline.take_rewrite", {"run_id": RUN_ID, "number": 2})


@pytest.mark.parametrize(("changed", "rewritten"), [(True, "new"), (False, None)])
def test_an_escalation_has_evidence_without_texts(app: Celery, changed: bool, rewritten: str | None) -> None:
    """The first reason names it; the rewrite is there if it changed anything; at most 50 refusals."""
    made = {"changed": changed, "model": "m", "provider": "p", "cost": 1, "mode": "standard"}
    refused = [{"rule": str(number), "detail": "d"} for number in range(60)]
    rewrite = {"text": "new", **made, "changes": [{"refusals": refused[:2]}, {"refusals": refused[2:]}]}
    first = {"text": "newer", "changed": not changed, "changes": []}
    data: dict[str, Any] = {"rewrite:1/result": first, "rewrite:2/result": rewrite}
    data |= {"evaluate:0/score": SCORE, "evaluate:0/detection": DETECTION, "failure": "it broke"}
    steps.send(run("escalate", reasons=["first", "second"], **data))
    (message,) = sent(app)
    assert message["task"] == "tasks.escalation.escalate_to_human"
    kwargs = message["kwargs"]
    evidence = kwargs.pop("evidence")
    (then,) = message["embedded"]["callbacks"]
    assert (then["task"], then["kwargs"]) == ("tasks.pipeline.close", {"run_id": RUN_ID})
    assert kwargs == {
        "article_id": "a-1",
        "reason": "first",
        "run_id": RUN_ID,
        "content": "text",
        "media_type": "html",
        "rewrite": rewritten,
    }
    assert evidence == {
        "reasons": ["first", "second"],
        "failure": "it broke",
        "evaluate:0/score": {"score": 23.0, "confidence": 0.5, "recommendations": [{"criterion": "x"}]},
        "evaluate:0/detection": {
            "verdict": "no_sign",
            "meaning": "m",
            "probability": 0.1,
            "abstained": None,
            "warnings": [],
        },
        "rewrites": [
            {"changed": not changed, "model": None, "provider": None, "cost": None, "mode": None}
            | {"refusals": []},
            {**made, "refusals": refused[:50]},
        ],
    }


def test_evidence_of_long_addresses_can_be_recorded(app: Celery) -> None:
    """The guard names the link that an answer left out; fifty long ones would be more than a record takes."""
    link = f"https://example.com/{'long' * 4_000}"
    (broken,) = [each for each in refusals(f"See {link} here.", "See here.", "en") if each.rule == "links"]
    changes = [{"refusals": [broken.model_dump(mode="json")]}] * 50
    rewrite = {"text": "new", "changed": False, "changes": changes}
    steps.send(run("escalate", reasons=["no_gain"], **{"rewrite:1/result": rewrite}))
    (message,) = sent(app)
    assert len(json.dumps(message["kwargs"]["evidence"])) < MAX_EVIDENCE_BYTES / 10
    (shown, *_) = message["kwargs"]["evidence"]["rewrites"][0]["refusals"]
    assert shown["detail"] == broken.detail[:200]
    assert shown["detail"].startswith("gone: https://example.com/longlong")


def test_evidence_of_many_rewrites_can_be_recorded(app: Celery) -> None:
    """JSON writes each Cyrillic letter in six bytes: of ten rewrites, the details would be too much."""
    changes = [{"refusals": [{"rule": "words", "detail": "слово " * 40}]}] * 50
    rewrites = {
        f"rewrite:{number}/result": {"text": "new", "changed": False, "changes": changes, "cost": 0.1}
        for number in range(1, 11)
    }
    steps.send(run("escalate", reasons=["rewrite_refused"], **{"evaluate:0/score": SCORE}, **rewrites))
    (message,) = sent(app)
    evidence = message["kwargs"]["evidence"]
    assert len(json.dumps(evidence)) <= MAX_EVIDENCE_BYTES
    assert evidence["evaluate:0/score"]["score"] == SCORE["score"]
    assert [each["cost"] for each in evidence["rewrites"]] == [0.1] * 10


def test_evidence_of_an_earlier_version_has_todays_words(app: Celery) -> None:
    """A verdict was `human` before 0.3: a run from then may be escalated now."""
    steps.send(
        run("escalate", reasons=["first"], **{"evaluate:0/detection": {**DETECTION, "verdict": "human"}})
    )
    (message,) = sent(app)
    assert message["kwargs"]["evidence"]["evaluate:0/detection"]["verdict"] == "no_sign"


def test_an_escalation_without_a_rewrite(app: Celery) -> None:
    """An article that is escalated at once has only its verdict and its score."""
    steps.send(run("escalate", reasons=["first"]))
    (message,) = sent(app)
    assert message["kwargs"]["rewrite"] is None
    assert message["kwargs"]["evidence"] == {"reasons": ["first"], "failure": None, "rewrites": []}


@pytest.mark.parametrize("step", ["passed", "accepted", "escalated", "cancelled", "failed"])
def test_a_run_that_has_ended_sends_nothing(app: Celery, step: str) -> None:
    """Whatever asks for it again."""
    steps.send(run(step))
    assert sent(app) == []
