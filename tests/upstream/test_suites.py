"""Celery's and kombu's own suites pass on our transport, but for what is listed with its reason."""

import re
from collections.abc import Iterator

import pytest

from tests.support import ROOT, Process, service_is_missing
from tests.upstream import suites
from tests.upstream.suites import SUITES, Difference, Outcome, Suite

TESTED = [suite for suite in SUITES if suite.name != "celery-transport"]
"""Celery's suite with the whole configuration is enough here; `nox -s upstream` also runs it without."""


@pytest.fixture(scope="module")
def started(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, list[Process]]]:
    """All suites that are asked for, side by side: they wait more than they compute."""
    parameters = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    try:
        for suite in TESTED:
            suites.sources(suite.package)
    except RuntimeError as error:
        service_is_missing(error)
    chosen = [suite for suite in TESTED if {"suite": suite} in parameters]
    # The other tests come first: a suite mostly waits, and what comes too late is tried again as fast as any.
    with suites.running(chosen, tmp_path_factory.mktemp("upstream"), niceness=5) as processes:
        yield processes


@pytest.mark.upstream
@pytest.mark.parametrize("suite", TESTED, ids=lambda suite: suite.name)
def test_suite(suite: Suite, started: dict[str, list[Process]]) -> None:
    """No test fails that is not listed, and none is listed that passes."""
    listed = suites.differences()
    outcome = suites.outcome(suite, started[suite.name], listed)
    assert not outcome.broken, "\n".join(outcome.broken)
    unexpected = outcome.unexpected(listed)
    shown = "\n".join(f"--- {test}\n{outcome.texts.get(test, '')}" for test in unexpected)
    assert not unexpected, f"{suite.name}: {len(unexpected)} tests fail that are not listed\n{shown}"
    stale = outcome.stale(listed)
    assert not stale, f"{suite.name}: listed in differences.toml, but passing or no more there: {stale}"
    assert outcome.count("passed") > 100  # the suites have 407 and 129 tests


ONE = Suite("celery", "transport", (), parts=1)
LISTED = [
    Difference(("test_a.py::test_listed", "test_a.py::test_gone"), (ONE.name,), "policy", ""),
    Difference(("test_a.py::test_other",), ("kombu-transport",), "policy", ""),
    Difference(("test_a.py::test_in_turn",), (ONE.name,), "flaky", ""),
]


def outcome(**tests: str) -> Outcome:
    """Of a suite with these tests."""
    result = Outcome(ONE)
    for name, became in tests.items():
        for when in ("passed", became, "passed"):  # set up, call, tear down
            result.add({"test": f"t/integration/test_a.py::{name}", "outcome": when, "seconds": 1})
    return result


def test_failures_are_compared_with_the_list() -> None:
    """A listed one is expected, with its parameters, on its suite alone."""
    assert not outcome(test_listed="failed").unexpected(LISTED)
    result = outcome(**{"test_listed[1]": "failed", "test_listed_too": "failed", "test_other": "failed"})
    assert result.unexpected(LISTED) == [
        "t/integration/test_a.py::test_listed_too",
        "t/integration/test_a.py::test_other",
    ]


def test_a_listed_test_that_passes_is_stale() -> None:
    """As is one that is no more; not one that passes and fails in turn."""
    assert outcome(test_listed="passed", test_in_turn="passed").stale(LISTED) == [
        "test_a.py::test_listed",
        "test_a.py::test_gone",
    ]
    assert outcome(test_listed="failed", test_in_turn="failed").stale(LISTED) == ["test_a.py::test_gone"]


def test_an_error_after_a_test_is_a_failure() -> None:
    """Though its other steps passed."""
    result = Outcome(ONE)
    for became in ("passed", "passed", "failed"):
        result.add({"test": "test_a.py::test_b", "outcome": became, "seconds": 1})
    assert result.tests == {"test_a.py::test_b": "failed"}


def test_the_page_says_what_the_list_says() -> None:
    """`nox -s upstream -- --document` writes it."""
    assert suites.DOCUMENT.read_text("utf-8") == suites.document()
    assert all(each.kind in suites.KINDS for each in suites.differences())


def test_the_page_names_the_versions_of_the_locks() -> None:
    """With another version in a lock, this says that it must be examined."""
    page = suites.DOCUMENT.read_text("utf-8")
    named = dict(re.findall(r"^\| ([a-z-]+) \| ([\d.]+) \|", page, re.MULTILINE))
    lock = (ROOT / "locks" / "local.txt").read_text("utf-8")
    locked = dict(re.findall(r"^([a-z-]+)==(\S+)", lock, re.MULTILINE))
    assert named.keys() == {"celery", "kombu", "redis", "billiard", "flower"}
    assert named == {name: locked[name] for name in named}
