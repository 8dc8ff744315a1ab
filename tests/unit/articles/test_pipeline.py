"""How a run moves from step to step, with runs in memory; real workers do it in tests/integration."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contentworker import config
from contentworker.articles import pipeline
from contentworker.articles import steps as steps_module
from contentworker.articles.outcome import outcome
from contentworker.config import Settings
from contentworker.editorial import policy
from contentworker.editorial.policy import Decision
from contentworker.errors import ContentError, ContentWorkerError
from contentworker.runtime.records.runs import Run
from contentworker.runtime.records.spending import OverBudgetError
from contentworker.runtime.worker.claims import InterruptedTaskError

ARTICLE = {"content": "text", "media_type": None, "questions": None, "url": None}


class Memory(dict[str, Run]):
    """The runs that Redis would have, with the same rules."""

    def create(self, run_id: str, subject: str, step: str, data: dict[str, Any]) -> bool:
        return run_id not in self and bool(self.setdefault(run_id, Run(run_id, subject, step, "", data=data)))

    def move(self, run_id: str, come_from: str, to: str, data: dict[str, Any] | None = None) -> bool:
        run = self.get(run_id)
        if run is None or run.step != come_from:
            return False
        self[run_id] = replace(run, step=to, came_from=come_from, data={**run.data, **(data or {})})
        return True

    def note(self, run_id: str, name: str, value: Any) -> None:
        if run_id in self:
            self[run_id].data.setdefault(name, json.loads(json.dumps(value)))

    def find(self, run_id: str) -> Run | None:
        return self.get(run_id)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Runs in memory."""
    memory = Memory()
    monkeypatch.setattr(pipeline, "_runs", lambda: memory)
    return memory


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps whose messages were sent."""
    steps: list[str] = []
    monkeypatch.setattr(steps_module, "send", lambda run: steps.append(run.step))
    return steps


@pytest.fixture
def decide(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the policy is asked, and its answer under `answer`."""
    asked: dict[str, Any] = {"answer": Decision(action="pass", reasons=("r",))}
    monkeypatch.setattr(
        pipeline, "_evaluation", lambda run, number: (f"detection {number}", f"score {number}")
    )

    def first(*arguments: Any) -> Decision:
        asked["first"] = arguments[:2]
        return asked["answer"]

    def after(before: Any, after: Any, *, number: int, refusals: int, settings: Any) -> Decision:
        asked["after"] = (before, after, number, refusals)
        return asked["answer"]

    monkeypatch.setattr(policy, "first", first)
    monkeypatch.setattr(policy, "after_rewrite", after)
    return asked


def test_the_same_text_under_the_same_thresholds_is_one_run(
    runs: Memory, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent again, its step is sent again; another article, text or threshold is another run."""
    first = pipeline.begin("a-1", ARTICLE)
    assert pipeline.begin("a-1", ARTICLE).id == first.id
    assert (sent, first.step, first.subject) == (["evaluate:0", "evaluate:0"], "evaluate:0", "a-1")
    ids = {first.id, pipeline.begin("a-2", ARTICLE).id, pipeline.begin("a-1", {**ARTICLE, "content": "x"}).id}
    monkeypatch.setattr(policy, "version", lambda settings: "another")
    ids.add(pipeline.begin("a-1", ARTICLE).id)
    assert len(ids) == 4
    ids |= {pipeline.begin("a-1", {**ARTICLE, "scope": scope}).id for scope in ("fragment", "whole_page")}
    assert len(ids) == 6


def test_the_id_of_a_run_stays_the_same(
    runs: Memory, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every version: with other ids, each article that is sent again would be worked on again."""
    monkeypatch.setattr(policy, "version", lambda settings: "1")
    assert pipeline.begin("a-1", ARTICLE).id == "6a88e676-7427-56e5-87d8-856eb03174c5"
    assert (
        pipeline.begin("a-1", {**ARTICLE, "scope": "fragment"}).id == "c60eb65a-de23-515a-9c9a-88253ab42843"
    )
    half = pipeline.begin("a-1", {**ARTICLE, "content": "half a pair: \ud800"})
    assert half.id == "c03fc618-2f9b-578f-82d7-8591285b6f26"
    days = {(datetime.now(UTC) - timedelta(minutes=minutes)).date().isoformat() for minutes in (0, 10)}
    assert half.data["article"]["today"] in days, "for both halves and every later step"


def test_an_article_has_a_size(runs: Memory, sent: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes of UTF-8: the bound itself is allowed, and a byte more is not."""
    settings = Settings.model_validate(
        {"content": {"max_bytes": 1000}, "queues": {"celery": {"description": "d"}}}
    )
    monkeypatch.setattr(config, "load", lambda: settings)
    assert pipeline.begin("a-1", {**ARTICLE, "content": "é" * 500})
    with pytest.raises(ContentError, match="at most 1000 bytes of UTF-8, not 1001"):
        pipeline.begin("a-1", {**ARTICLE, "content": "é" * 500 + "x"})
    assert len(runs) == len(sent) == 1


def test_a_run_that_is_removed_while_it_begins(
    runs: Memory, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent for it."""
    monkeypatch.setattr(runs, "find", lambda run_id: None)
    with pytest.raises(ContentWorkerError, match="was removed while it began"):
        pipeline.begin("a-1", ARTICLE)
    assert sent == []


def test_one_half_decides_nothing(runs: Memory, sent: list[str], decide: dict[str, Any]) -> None:
    """The second one does, whichever it is; a repeat of the first changes nothing."""
    runs.create("r", "a", "evaluate:0", {})
    for _ in range(2):
        pipeline.take_evaluation({"score": 1}, run_id="r", number=0, part="score")
    assert (runs["r"].step, sent, "first" in decide) == ("evaluate:0", [], False)
    pipeline.take_evaluation({"verdict": "no_sign"}, run_id="r", number=0, part="detection")
    assert decide["first"] == ("detection 0", "score 0")
    assert (runs["r"].step, runs["r"].data["reasons"]) == ("passed", ["r"])
    pipeline.take_evaluation({}, run_id="forgotten", number=0, part="score")
    assert list(runs) == ["r"]


def test_a_run_whose_decision_was_lost(runs: Memory, sent: list[str], decide: dict[str, Any]) -> None:
    """Both halves were kept, and then nothing: the same article, sent again, gets its decision."""
    run = pipeline.begin("a-1", ARTICLE)
    runs[run.id].data.update({"evaluate:0/score": {}, "evaluate:0/detection": {}})
    decide["answer"] = Decision(action="rewrite", reasons=("why",))
    sent.clear()
    assert pipeline.begin("a-1", ARTICLE).step == "rewrite:1"
    assert sent == ["rewrite:1"]


@pytest.mark.parametrize(
    ("number", "action", "step"),
    [
        (1, "accept", "accepted"),
        (1, "rewrite", "rewrite:2"),
        (2, "rewrite", "rewrite:3"),
        (2, "escalate", "escalate"),
        (2, "pass", "passed"),
    ],
)
def test_where_a_decision_leads(
    runs: Memory, sent: list[str], decide: dict[str, Any], number: int, action: Any, step: str
) -> None:
    """Each rewrite is compared with the article as it was sent; the next one has the next number."""
    decide["answer"] = Decision(action=action, reasons=("why",))
    runs.create("r", "a", f"evaluate:{number}", {f"evaluate:{number}/score": {}})
    pipeline.take_evaluation({}, run_id="r", number=number, part="detection")
    after = (f"detection {number}", f"score {number}")
    assert decide["after"] == (("detection 0", "score 0"), after, number, 0)
    assert (runs["r"].step, sent) == (step, [step])


def test_a_changed_rewrite_is_evaluated(runs: Memory, sent: list[str], decide: dict[str, Any]) -> None:
    """No decision before that."""
    runs.create("r", "a", "rewrite:1", {})
    pipeline.take_rewrite({"changed": True, "changes": []}, run_id="r", number=1)
    assert (runs["r"].step, sent, "after" in decide) == ("evaluate:1", ["evaluate:1"], False)
    assert runs["r"].data["rewrite:1/result"]["changed"]


def test_a_refused_rewrite_is_decided_at_once(runs: Memory, sent: list[str], decide: dict[str, Any]) -> None:
    """By the number of its refusals, and without a second evaluation."""
    decide["answer"] = Decision(action="escalate", reasons=("rewrite_refused",))
    runs.create("r", "a", "rewrite:1", {})
    changes = [{"refusals": [1, 2]}, {"refusals": []}, {"refusals": [3, 4]}]
    pipeline.take_rewrite({"changed": False, "changes": changes}, run_id="r", number=1)
    assert decide["after"] == (("detection 0", "score 0"), None, 1, 4)
    assert (runs["r"].step, sent) == ("escalate", ["escalate"])
    del decide["after"]
    pipeline.take_rewrite({"changed": False, "changes": changes}, run_id="forgotten", number=1)
    assert (list(runs), "after" in decide) == (["r"], False)


def test_a_message_that_comes_again_is_followed_by_what_may_be_lost(
    runs: Memory, sent: list[str], decide: dict[str, Any]
) -> None:
    """The next step is sent again; once the run is further, nothing is."""
    runs.create("r", "a", "rewrite:1", {})
    for _ in range(2):
        pipeline.take_rewrite({"changed": True, "changes": []}, run_id="r", number=1)
    assert sent == ["evaluate:1", "evaluate:1"]
    runs.move("r", "evaluate:1", "accepted")
    pipeline.take_rewrite({"changed": True, "changes": []}, run_id="r", number=1)
    assert (runs["r"].step, sent) == ("accepted", ["evaluate:1", "evaluate:1"])


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    [
        pytest.param(InterruptedTaskError("its worker died"), "interrupted", "its worker died", id="cut off"),
        pytest.param(OverBudgetError("no money"), "over_budget", "no money", id="budget"),
        pytest.param(ContentWorkerError("x" * 501), "failed", "x" * 500, id="our own, cut"),
        pytest.param(ValueError("quotes the article"), "failed", "", id="another's"),
    ],
)
def test_a_failed_step_goes_to_a_person(
    runs: Memory,
    sent: list[str],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    reason: str,
    message: str,
) -> None:
    """The error says the reason; a text that may quote the article is left out."""
    monkeypatch.setattr(pipeline, "current_app", _backend_with(error))
    runs.create("r", "a", "rewrite:1", {})
    pipeline.fail("task", run_id="r", step="rewrite:1")
    run = runs["r"]
    assert (run.step, run.data["reasons"], sent) == ("escalate", [reason], ["escalate"])
    assert run.data["failure"] == {"step": "rewrite:1", "error": type(error).__name__, "message": message}


def test_a_failed_escalation_ends_the_run_until_it_is_replayed(
    runs: Memory, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`failed`, and no second escalation; `escalated` once its dead letter has run."""
    monkeypatch.setattr(pipeline, "current_app", _backend_with(None))
    runs.create("r", "a", "escalate", {})
    pipeline.fail("task", run_id="r", step="escalate")
    assert (runs["r"].step, sent) == ("failed", [])
    assert runs["r"].data["failure"]["error"] == "Unknown"
    assert outcome(runs["r"])["outcome"] == "failed"
    pipeline.close({"id": "e-1"}, run_id="r")
    assert (runs["r"].step, runs["r"].data["escalation_id"]) == ("escalated", "e-1")
    runs.create("s", "a", "cancelled", {})
    pipeline.close({"id": "e-1"}, run_id="s")
    assert runs["s"].step == "cancelled"


def test_an_outcome() -> None:
    """Scores and costs by step; the text only of an accepted article."""
    data = {
        "evaluate:0/score": {"score": 1.5},
        "evaluate:1/score": {"score": 2.5},
        "evaluate:0/detection": {"verdict": "human", "abstained": None},  # as it was before 0.3
        "evaluate:1/detection": {"verdict": "ai"},
        "rewrite:1/result": {"text": "first", "cost": 0.25},
        "rewrite:2/result": {"text": "second", "cost": 0.5},
        "reasons": ["better"],
    }
    run = Run("r", "a", "accepted", "", times={"accepted": 2, "evaluate:0": 1}, data=data)
    assert outcome(run) == {
        "run_id": "r",
        "article_id": "a",
        "outcome": "accepted",
        "step": "accepted",
        "cost": 0.75,
        "progress": ["evaluate:0", "accepted"],
        "reasons": ["better"],
        "scores": {"0": 1.5, "1": 2.5},
        "verdicts": {"0": "no_sign", "1": "ai"},
        "failure": None,
        "escalation_id": None,
        "text": "second",
    }
    running = outcome(replace(run, step="rewrite:2"))
    assert (running["outcome"], running["text"]) == ("running", None)


def _backend_with(result: object) -> Any:
    class Backend:
        backend: Any

        @staticmethod
        def get_result(task_id: str) -> object:
            return result

    Backend.backend = Backend
    return Backend
