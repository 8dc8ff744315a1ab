"""Declarations of unique tasks: what is refused when the project is loaded, and which calls are the same."""

import uuid
from typing import Any

import pytest

from contentworker import config
from contentworker.errors import ConfigError
from contentworker.runtime.worker import application
from contentworker.runtime.worker.unique import Unique, claim_in, header, values_of
from tasks.base import BaseTask, CriticalTask


def declare(unique: Any, base: type = BaseTask, *, acks_late: bool = True, **environ: str) -> Any:
    """A task with this declaration, in an application of its own."""
    app = application.build(config.load(environ=environ), "redis://127.0.0.1:1/0")

    @app.task(base=base, name="probe.unique", unique=unique, shared=False, acks_late=acks_late)
    def task(article_id: str, part: int = 1) -> None:
        pass

    app.finalize()
    return app.tasks["probe.unique"]


@pytest.mark.parametrize(
    ("unique", "said"),
    [
        ({"key": ["article"]}, "no argument 'article'; allowed: article_id, part"),
        ({"key": "article_id"}, "unique.key: must be a list of names of arguments"),
        ({}, "unique.key: field required"),
        ({"key": [], "until": "running"}, "unique.until: extra inputs are not permitted"),
        ({"key": [], "while": "ever"}, "unique.while: "),
        ({"key": [], "while": "ttl"}, 'unique.seconds: must be given where while is "ttl"'),
        ({"key": [], "seconds": -1}, "unique.seconds: "),
        ({"key": [], "while": "ttl", "seconds": 1, "replace": True}, "unique.replace: works where"),
    ],
)
def test_a_wrong_declaration_is_named(unique: Any, said: str) -> None:
    """Task, field and what is allowed, before anything runs."""
    with pytest.raises(ConfigError, match=r"task probe\.unique: unique") as error:
        declare(unique)
    assert said in str(error.value)


def test_what_cannot_be_unique() -> None:
    """A critical task, any with the plain transport, and while it runs one that is acknowledged early."""
    with pytest.raises(ConfigError, match="not for a CriticalTask"):
        declare({"key": []}, CriticalTask)
    with pytest.raises(ConfigError, match="needs acks_late"):
        declare({"key": [], "while": "running"}, acks_late=False)
    with pytest.raises(ConfigError, match=r"needs broker\.transport"):
        declare({"key": []}, WORKER__BROKER__TRANSPORT="plain")


def test_which_calls_are_the_same() -> None:
    """By position, by name or by default; of other values, types or tasks they are not."""
    task = declare({"key": ["article_id", "part"]})

    def lock(*args: Any, _name: str = "probe.unique", **kwargs: Any) -> str:
        claim = task.unique.claim(_name, values_of(task, args, kwargs), "id")
        assert claim_in(header(claim) | {"turn": uuid.uuid4().hex}, "id").lock == claim.lock
        return str(claim.lock)

    same = lock("a")
    assert same == lock("a", 1) == lock("a", part=1) == lock(article_id="a", part=1)
    others = {lock("b"), lock("a", 2), lock("a", "1"), lock("a", part=None), lock("a", _name="other")}
    assert len(others | {same}) == 6
    with pytest.raises(ValueError, match="no argument 'article_id'"):
        lock(part=1)


@pytest.mark.parametrize(
    "change",
    [
        *({"lock": "leases"}, {"turn": ""}, {"while": "ever"}),
        *({"milliseconds": 0}, {"milliseconds": 10**18}, {"milliseconds": True}),
    ],
)
def test_a_forged_header_is_refused(change: dict[str, Any]) -> None:
    """It can name no key but that of a lock, and none for ever."""
    claim = Unique.of({"key": []}).claim("probe.unique", {}, "id")
    with pytest.raises(ValueError, match="header unique"):
        claim_in(header(claim) | {"turn": uuid.uuid4().hex} | change, "id")
