"""docs/pipeline.md and docs/escalations.md: what a person types there, with a real worker."""

import json
import re
import shlex
from pathlib import Path

from contentworker.editorial.escalations.result import NewFinding
from contentworker.editorial.escalations.schema import open_engine
from contentworker.editorial.escalations.store import Store
from tests.acceptance.pages import commands_of
from tests.support import StartWorker, run_cli

TEXT = "# What is tea?\n\nTea is a drink. " + "It was made, and then it was drunk by people. " * 20


def with_rewrite(records: dict[str, str]) -> str:
    """The id of a record with a rewrite of one sentence."""
    text = "Tea is a drink. It is old."
    change = {"original": text[:15], "rewritten": "Tea is drunk.", "outcome": "rewritten", "refusals": []}
    result = {
        "text": "Tea is drunk. It is old.", "changed": True, "changes": [{**change, "start": 0, "end": 15}],
        "diff": [], "left": [], "mode": "edit", "model": "m", "provider": "p", "prompt_tokens": 0,
        "completion_tokens": 0, "cost": 0, "seconds": 0,
    }  # fmt: skip
    store = Store(open_engine("", Path(records["WORKER__ESCALATIONS__SQLITE_PATH"])))
    found = [NewFinding("rewrite", 1, text, result)]
    made = store.escalate("a2", "failed", evidence={}, content=text, run_id="r", findings=found)
    store.close()
    return made.id


def test_an_article_s_way_and_a_person_s_answer(worker: StartWorker, redis_url: str, tmp_path: Path) -> None:
    """An article is sent and looked at; it went to a person, who lists, looks and settles."""
    records = {"WORKER__ESCALATIONS__SQLITE_PATH": str(tmp_path / "records.sqlite3")}
    never = {"WORKER__PIPELINE__MIN_AEO_SCORE": "100", "WORKER__PIPELINE__MAX_REWRITES": "0"}
    worker(**records, **never)
    article = tmp_path / "article.md"
    article.write_text(TEXT, "utf-8")

    def run(command: str) -> str:
        program, *words = shlex.split(command.replace("@article.md", f"@{article}"))
        assert program == "content-worker"
        done = run_cli(*words, redis_url=redis_url, **records)
        assert done.returncode == 0, done.stderr
        return done.stdout

    submit, show = commands_of("pipeline.md")
    ended = json.loads(run(submit))
    assert ended["outcome"] == "escalated"
    assert json.loads(run(f"{show} --json")) == ended
    assert "escalated" in run(show)
    listed, shown, settle, *choosing, take, comment, with_undo, withdraw = commands_of("escalations.md")
    (escalation,) = re.findall(r"\b[0-9a-f]{32}\b", run(listed))
    assert "a1" in run(shown.replace("ID", escalation))
    for command in (take, comment, with_undo, withdraw):
        run(command.replace("ID", escalation))
    page = run(shown.replace("ID", escalation))
    assert re.findall(r"held_by|second figure|settled ana reject|reopened ana", page) == [
        *("settled ana reject", "reopened ana", "second figure")
    ]
    run(settle.replace("ID", escalation))
    changes, choose, text, settle_chosen = (each.replace("ID", with_rewrite(records)) for each in choosing)
    assert run(changes).splitlines() == ["1  rewritten", "  - Tea is a drink.", "  + Tea is drunk."]
    run(choose)
    assert "  ana chose original\n" in run(changes)
    assert run(text) == "Tea is a drink. It is old.\n"
    assert "accept by ana" in run(settle_chosen)
    assert "accept" in run(shown.replace("ID", escalation))
