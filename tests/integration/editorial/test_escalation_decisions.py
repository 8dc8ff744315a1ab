"""Several people at one record: versions, decisions that are withdrawn, holds, comments, the list."""

import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contentworker.editorial.document import parse
from contentworker.editorial.escalations.choosing import as_chosen, latest_rewrite, text_now
from contentworker.editorial.escalations.reading import Filter, Order
from contentworker.editorial.escalations.result import ChoiceKind, Escalation, EscalationLine, NewFinding
from contentworker.editorial.escalations.schema import open_engine
from contentworker.editorial.escalations.store import Store
from contentworker.editorial.rewriting.result import Change, Rewrite
from contentworker.editorial.settings import ContentSettings
from contentworker.errors import ConflictError, ContentError
from tests.support import PATIENCE

BEGIN = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)


class Clock:
    """A time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> datetime:
        return self.now

    def after(self, seconds: float) -> None:
        self.now = BEGIN + timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(url: str, file: Path, clock: Clock) -> Iterator[Store]:
    made = Store(open_engine(url, file, busy_seconds=PATIENCE), clock)
    yield made
    made.close()


def found(store: Store, escalation_id: str) -> Escalation:
    record = store.find(escalation_id)
    assert record is not None
    return record


def pending(store: Store) -> list[str]:
    return [each.id for each in store.pending_events()]


def test_a_decision_on_what_has_changed_is_refused(store: Store) -> None:
    """A new text changes the version, a comment and a hold do not; without a version any will do."""
    ref = store.escalate("a", "failed", evidence={}, content="1")
    seen = found(store, ref.id).version
    store.comment(ref.id, "bob", "Look at the second paragraph.")
    store.hold(ref.id, "bob", 60)
    assert found(store, ref.id).version == seen
    store.escalate("a", "failed", evidence={}, content="2")
    with pytest.raises(ConflictError, match=f"^version: the record has changed: it has version {seen + 1}$"):
        store.settle(ref.id, "accept", "ana", text="mine", version=seen)
    record = found(store, ref.id)
    assert (record.state, len(record.texts)) == ("open", 2)
    assert store.settle(ref.id, "accept", "ana", version=record.version).changed


def test_of_two_at_once_one_is_told(url: str, file: Path) -> None:
    """Two people send the same decision with their own texts: one is recorded, and the other one knows."""
    stores = [Store(open_engine(url, file, busy_seconds=PATIENCE)) for _ in range(2)]
    ref = stores[0].escalate("a", "failed", evidence={})
    barrier = threading.Barrier(2)

    def settle(number: int) -> str | None:
        barrier.wait()
        try:
            stores[number].settle(ref.id, "accept", f"person {number}", text=f"text {number}", version=1)
        except ConflictError:
            return None
        return f"text {number}"

    with ThreadPoolExecutor(2) as pool:
        kept = [text for text in pool.map(settle, range(2)) if text]
    assert [each.text for each in found(stores[0], ref.id).texts] == kept
    assert len(kept) == len(pending(stores[0])) == 1
    for each in stores:
        each.close()


def test_a_decision_is_withdrawn_until_the_platform_is_told(store: Store, clock: Clock) -> None:
    """Held events are not delivered; once their time has come, nobody can withdraw them."""
    ref = store.escalate("a", "failed", evidence={})
    settled = store.settle(ref.id, "reject", "ana", "too long", "words", undo_seconds=30)
    assert settled.withdrawable_until == BEGIN + timedelta(seconds=30)
    again = store.settle(ref.id, "reject", "ana", "too long", "words", undo_seconds=30)
    assert (again.changed, again.withdrawable_until) == (False, settled.withdrawable_until)
    clock.after(29)
    assert pending(store) == []
    store.withdraw(ref.id, "bob")
    record = found(store, ref.id)
    assert (record.state, record.decision, record.settled_at) == ("open", "", None)
    assert [(each.what, each.by) for each in record.history[1:]] == [("settled", "ana"), ("reopened", "bob")]
    with pytest.raises(ConflictError, match="nothing to take back"):
        store.withdraw(ref.id, "ana")

    second = store.settle(ref.id, "accept", "ana", undo_seconds=1)
    clock.after(30)
    assert pending(store) == [second.event_id]
    with pytest.raises(ConflictError, match="too late: the platform is told"):
        store.withdraw(ref.id, "ana")
    third = store.settle(store.escalate("b", "failed", evidence={}).id, "accept", "ana")
    assert third.withdrawable_until is None
    with pytest.raises(ConflictError, match="too late"):
        store.withdraw(third.id, "ana")


def test_a_decision_that_no_worker_sends_can_be_reopened(store: Store, clock: Clock) -> None:
    """The time to undo is over, but Redis is away: the platform hears of neither."""
    ref = store.escalate("a", "failed", evidence={})
    store.settle(ref.id, "accept", "ana", undo_seconds=30)
    clock.after(29)
    with pytest.raises(ConflictError, match="can still be withdrawn"):
        store.reopen(ref.id, "bob")
    clock.after(30)
    assert not store.reopen(ref.id, "bob")
    assert (found(store, ref.id).state, pending(store)) == ("open", [])
    store.settle(ref.id, "reject", "bob")
    assert store.reopen(ref.id, "ana")
    assert len(pending(store)) == 2


def test_undo_against_the_announcement(url: str, file: Path) -> None:
    """Both at the same moment, twenty times: it is withdrawn and never sent, or sent and not withdrawn."""
    clock = Clock()
    one, other = (Store(open_engine(url, file, busy_seconds=PATIENCE), clock) for _ in range(2))
    refs = [one.escalate(f"a{number}", "failed", evidence={}) for number in range(20)]
    events = {one.settle(ref.id, "accept", "ana", undo_seconds=30).event_id: ref.id for ref in refs}
    clock.after(30)
    barrier = threading.Barrier(2)

    def withdraw() -> set[str]:
        gone = set()
        barrier.wait()
        for ref in refs:
            try:
                other.withdraw(ref.id, "ana")
            except ConflictError:
                continue
            gone.add(ref.id)
        return gone

    with ThreadPoolExecutor(1) as pool:
        withdrawing = pool.submit(withdraw)
        barrier.wait()
        sent = {events[each] for each in pending(one)}
        gone = withdrawing.result()
    assert sent | gone == {ref.id for ref in refs}
    assert sent & gone == set()
    assert {line.id for line in one.read(Filter(state="open")).lines} == gone
    one.close()
    other.close()


def test_a_clock_that_is_set_back_holds_nothing_for_long(store: Store, clock: Clock) -> None:
    """An event from the future is delivered, not held until then; a second's difference is no reason."""
    ref = store.escalate("a", "failed", evidence={})
    event = store.settle(ref.id, "accept", "ana", undo_seconds=30).event_id
    clock.after(-2)
    assert pending(store) == []
    clock.after(-3600)
    assert pending(store) == [event]


def test_a_held_event_survives_a_new_text_and_the_purge(store: Store, clock: Clock) -> None:
    """The decision was made: the platform is told of it, though the record is open again."""
    ref = store.escalate("a", "failed", evidence={}, content="1")
    event = store.settle(ref.id, "accept", "ana", undo_seconds=30).event_id
    assert store.purge(BEGIN + timedelta(days=1)).escalations == 0
    store.escalate("a", "failed", evidence={}, content="2")
    clock.after(30)
    assert pending(store) == [event]


@pytest.mark.parametrize("seconds", [-1, 601, float("nan")])
def test_undo_has_its_limits(store: Store, seconds: float) -> None:
    ref = store.escalate("a", "failed", evidence={})
    with pytest.raises(ContentError, match=r"^undo_seconds: 0 to 600, not "):
        store.settle(ref.id, "accept", "ana", undo_seconds=seconds)
    longest = store.settle(ref.id, "accept", "ana", undo_seconds=600)
    assert longest.withdrawable_until == BEGIN + timedelta(minutes=10)


def test_reopening_tells_the_platform_once_it_knows(store: Store, clock: Clock) -> None:
    """While a decision is held back you withdraw it instead; the decision of somebody else stays."""
    ref = store.escalate("a", "failed", evidence={})
    first = store.settle(ref.id, "accept", "ana", undo_seconds=30).event_id
    with pytest.raises(ConflictError, match="can still be withdrawn"):
        store.reopen(ref.id, "bob")
    store.withdraw(ref.id, "ana", event_id=first)
    with pytest.raises(ConflictError, match="not settled"):
        store.reopen(ref.id, "bob")
    second = store.settle(ref.id, "reject", "ben", undo_seconds=30).event_id
    for act in (store.withdraw, store.reopen):
        with pytest.raises(ConflictError, match=r"^escalation_id: it was settled again, by ben$"):
            act(ref.id, "ana", event_id=first)
    clock.after(60)
    assert pending(store) == [second]
    store.reopen(ref.id, "bob", event_id=second)
    *_, event = store.pending_events()
    assert event.payload == {
        "type": "escalation.reopened",
        "event_id": event.id,
        "settled_event_id": second,
        "id": ref.id,
        "article_id": "a",
        "reason": "failed",
        "by": "bob",
        "reopened_at": clock.now.isoformat(),
    }
    record = found(store, ref.id)
    assert (record.state, record.settled_at, record.updated_at) == ("open", None, clock.now)
    assert (record.history[-1].what, record.history[-1].by) == ("reopened", "bob")
    assert store.begin_sending(ref.id, "k1", "mail://one.test") == 2, "people are notified again"


@pytest.mark.parametrize(
    ("decision", "by", "argument"),
    [
        *(("x" * 51, "ana", "decision"), ("", "ana", "decision"), ("Accept", "ana", "decision")),
        *(("accept", "x" * 201, "by"), ("accept", "", "by"), ("accept", "a\nb", "by")),
    ],
)
def test_decisions_and_names_have_a_form(store: Store, decision: str, by: str, argument: str) -> None:
    """The longest ones are recorded whole."""
    ref = store.escalate("a", "failed", evidence={})
    with pytest.raises(ContentError, match=f"^{argument}: 1 to "):
        store.settle(ref.id, decision, by)
    store.settle(ref.id, "x" * 50, "y" * 200)
    record = found(store, ref.id)
    assert (record.decision, record.settled_by) == ("x" * 50, "y" * 200)


def test_a_record_is_put_back(store: Store, clock: Clock) -> None:
    """It is due in so many hours, and its holder lets it go; another person's hold stays."""
    ref = store.escalate("a", "failed", evidence={})
    store.hold(ref.id, "ana", 60)
    clock.after(10)
    store.put_back(ref.id, "bob", 4)
    record = found(store, ref.id)
    assert (record.held_by, record.due_at) == ("ana", clock.now + timedelta(hours=4))
    assert record.updated_at == clock.now
    store.put_back(ref.id, "ana", 0.5)
    record = found(store, ref.id)
    assert (record.held_by, record.held_until) == (None, None)
    assert record.due_at == clock.now + timedelta(minutes=30)
    store.settle(ref.id, "accept", "ana")
    with pytest.raises(ConflictError, match="it is settled by ana"):
        store.put_back(ref.id, "ana", 4)


def test_a_hold_is_renewed_taken_over_and_over(store: Store, clock: Clock) -> None:
    """One person has the record; it ends by time, by another one, or by a decision."""
    ref = store.escalate("a", "failed", evidence={})
    assert store.hold(ref.id, "ana", 60).by == "ana"
    changed = found(store, ref.id).updated_at
    clock.after(50)
    assert store.hold(ref.id, "ana", 60).until == BEGIN + timedelta(seconds=110)
    assert found(store, ref.id).updated_at == changed
    assert store.hold(ref.id, "bob", 60).by == "ana"
    assert [line.held_by for line in store.read(Filter(held_by="ana")).lines] == ["ana"]
    assert store.hold(ref.id, "bob", 60, take_over=True).by == "bob"
    assert found(store, ref.id).updated_at == clock.now
    for seconds, holder in ((109, "bob"), (110, None)):  # at its last moment it is over
        clock.after(seconds)
        assert found(store, ref.id).held_by == holder
        assert store.holders() == ([holder] if holder else [])
        assert [line.id for line in store.read(Filter(held_by=holder or "")).lines] == [ref.id]
        assert store.read(Filter(held_by="" if holder else "bob")).lines == []
    assert store.hold(ref.id, "ana", 60).by == "ana"
    store.settle(ref.id, "accept", "bob", undo_seconds=30)
    with pytest.raises(ConflictError, match="settled by bob"):
        store.hold(ref.id, "ana", 60)
    store.withdraw(ref.id, "bob")
    assert found(store, ref.id).held_by is None


def test_comments(store: Store, clock: Clock) -> None:
    """They are kept in their order, as text, and sent twice once; a blank or endless one is refused."""
    ref = store.escalate("a", "failed", evidence={})
    clock.after(10)
    for _ in range(2):
        store.comment(ref.id, "ana", "  <b>1</b>\n\0 ")
    assert found(store, ref.id).updated_at == clock.now
    store.comment(ref.id, "bob", "2")
    said = [(each.by, each.text) for each in found(store, ref.id).comments]
    assert said == [("ana", "<b>1</b>\n\ufffd"), ("bob", "2")]
    for text in (" \n", "x" * 10_001):
        with pytest.raises(ContentError, match=r"^text: 1 to 10,000 characters, not "):
            store.comment(ref.id, "ana", text)
    with pytest.raises(ContentError, match=r"^by: "):
        store.comment(ref.id, "a\nb", "text")
    store.comment(ref.id, "ana", "x" * 10_000)
    assert store.forget("a").comments == 3


SCORE = {"score": 48.2, "language": "de", "criteria": [{"name": "x"}]}
DETECTION = {"verdict": "no_sign", "language": "de", "sentences": [{"text": "\ud800\0"}]}


def test_findings_are_kept_whole_and_once(store: Store) -> None:
    """Each by the run, the kind and the number; the list has those of the article as it came."""
    text = "nul \0"
    given = [
        NewFinding("score", 0, text, SCORE),
        NewFinding("detection", 0, text, DETECTION),
        NewFinding("rewrite", 1, text, {"text": "better", "changes": []}),
        NewFinding("score", 1, "better", {**SCORE, "score": 70.5}),
    ]
    ref = store.escalate("a", "failed", evidence={}, content=text, run_id="r1", findings=given)
    store.escalate("a", "failed", evidence={}, content=text, run_id="r1", findings=given)
    kept = store.findings(ref.id)
    assert [(each.run_id, each.kind, each.number, each.content) for each in kept] == [
        ("r1", each.kind, each.number, each.content) for each in given
    ]
    original = found(store, ref.id).texts[0].sha256
    assert original == hashlib.sha256("nul \ufffd".encode()).hexdigest(), "of the text as it is stored"
    assert [each.text_sha256 == original for each in kept] == [True, True, True, False]
    (line,) = store.read().lines
    assert (line.language, line.score, line.verdict) == ("de", 48.2, "no_sign")
    again = [NewFinding("score", 0, "2", {**SCORE, "language": "en"})]
    store.escalate("a", "failed", evidence={}, content="2", run_id="r2", findings=again)
    (line,) = store.read().lines
    assert (line.language, line.verdict) == ("en", None)
    assert store.forget("a").findings == 5


ARTICLE = "<p>One & two. Three is here. Four</p>"


def rewritten(text: str = ARTICLE) -> NewFinding:
    """A rewrite of three sentences, the second of which the guard refused."""
    sentences = {"One & two.": "1 < 2.", "Three is here.": "Thirty is here.", "Four": "4"}
    changes = [
        Change(
            original=before,
            rewritten=after,
            outcome="refused" if before.startswith("Three") else "rewritten",
            refusals=(),
            start=text.index(before),
            end=text.index(before) + len(before),
        )
        for before, after in sentences.items()
    ]
    result = Rewrite(
        text="as the guard left it", changed=True, changes=tuple(changes), diff=(), left=(), mode="edit",
        model="m", provider="p", prompt_tokens=0, completion_tokens=0, cost=0, seconds=0,
    )  # fmt: skip
    return NewFinding("rewrite", 1, text, result.model_dump(mode="json"))


def test_sentences_are_chosen(store: Store) -> None:
    """The latest choice wins, own words never become tags, and each choice is a new version."""
    ref = store.escalate("a", "failed", evidence={}, content=ARTICLE, run_id="r", findings=[rewritten()])

    def text() -> str:
        record = found(store, ref.id)
        latest = latest_rewrite(record, store.findings(ref.id))
        assert latest is not None
        return as_chosen(record, latest)

    (finding,) = store.findings(ref.id)
    assert text() == "<p>1 &lt; 2. Three is here. 4</p>"
    assert store.choose(ref.id, "ana", finding.id, {1: ("original", ""), 2: ("rewrite", "")}, version=1) == 3
    assert text() == "<p>One & two. Thirty is here. 4</p>"
    store.choose(ref.id, "bob", finding.id, {3: ("own", " <script>5</script>\0 ")})
    assert text() == "<p>One & two. Thirty is here. &lt;script&gt;5&lt;/script&gt;\ufffd</p>"
    with pytest.raises(ConflictError, match="it has version 4"):
        store.choose(ref.id, "ana", finding.id, {1: ("rewrite", "")}, version=3)
    with pytest.raises(ConflictError, match="it has version 4"):
        store.settle(ref.id, "accept", "ana", version=3)
    record = found(store, ref.id)
    assert [(each.change, each.choice, each.by) for each in record.choices] == [
        *((1, "original", "ana"), (2, "rewrite", "ana"), (3, "own", "bob"))
    ]
    store.settle(ref.id, "accept", "ana", text=text(), version=4)
    with pytest.raises(ConflictError, match="it is settled by ana"):
        store.choose(ref.id, "bob", finding.id, {1: ("rewrite", "")})
    assert store.forget("a").choices == 3


def test_sentences_of_a_page_that_a_browser_saved(store: Store) -> None:
    """Offsets count the characters of the page in the archive, which is what was read and rewritten."""
    page = "<html><body><article><h1>Tea</h1><p>Tea is old. It is hot.</p></article></body></html>"
    archive = (
        "From: <Saved by Blink>\nMIME-Version: 1.0\nContent-Type: multipart/related;\n\tboundary=B\n\n--B\n"
        f"Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n{page}\n--B--\n"
    )
    document = parse(archive, settings=ContentSettings())
    sentence = document.sentences[0]
    change = Change(
        original=sentence.text, rewritten="Tea & time.", outcome="rewritten", refusals=(),
        start=sentence.start, end=sentence.end,
    )  # fmt: skip
    result = Rewrite(
        text="", changed=True, changes=(change,), diff=(), left=(), mode="edit", model="m", provider="p",
        prompt_tokens=0, completion_tokens=0, cost=0, seconds=0,
    )  # fmt: skip
    rewrite = NewFinding("rewrite", 1, archive, result.model_dump(mode="json"))
    ref = store.escalate("a", "failed", evidence={}, content=archive, findings=[rewrite])
    text = text_now(found(store, ref.id), store.findings(ref.id))
    assert text == document.source.replace("Tea is old.", "Tea &amp; time.")


def test_a_rewrite_of_an_earlier_text_is_none(store: Store) -> None:
    """Once the article has changed, the sentences of its earlier rewrite stand nowhere."""
    ref = store.escalate("a", "failed", evidence={}, content=ARTICLE, run_id="r", findings=[rewritten()])
    store.escalate("a", "failed", evidence={}, content="another text")
    assert latest_rewrite(found(store, ref.id), store.findings(ref.id)) is None


@pytest.mark.parametrize(
    ("change", "kind", "words", "says"),
    [
        (0, "original", "", "changes 1 to 3, not 0"),
        (4, "original", "", "changes 1 to 3, not 4"),
        (1, "own", " \n", "10,000 characters of your own words for change 1, not 0"),
        (1, "own", "x" * 10_001, "for change 1, not 10,001"),
    ],
)
def test_a_choice_that_is_none(store: Store, change: int, kind: ChoiceKind, words: str, says: str) -> None:
    """Nothing of the call is recorded, also what was right in it."""
    ref = store.escalate("a", "failed", evidence={}, content=ARTICLE, run_id="r", findings=[rewritten()])
    (finding,) = store.findings(ref.id)
    with pytest.raises(ContentError, match=f"^chosen: .*{says}$"):
        store.choose(ref.id, "ana", finding.id, {2: ("original", ""), change: (kind, words)})
    assert found(store, ref.id).choices == ()
    store.choose(ref.id, "ana", finding.id, {1: ("own", "x" * 10_000), 3: ("original", "")})
    assert [len(each.text) for each in found(store, ref.id).choices] == [10_000, 0]


def test_a_rewrite_of_another_record(store: Store) -> None:
    """Its id is refused, as a score's is."""
    score = NewFinding("score", 0, ARTICLE, SCORE)
    given: dict[str, Any] = {"evidence": {}, "content": ARTICLE, "run_id": "r"}
    one, other = (
        store.escalate(name, "failed", findings=[rewritten(), score], **given) for name in ("a", "b")
    )
    foreign, own_score = store.findings(one.id)[0].id, store.findings(other.id)[1].id
    for finding_id in (foreign, own_score, 0):
        with pytest.raises(ContentError, match=r"^finding_id: there is no such rewrite"):
            store.choose(other.id, "ana", finding_id, {1: ("original", "")})


@pytest.mark.parametrize("order", ["oldest", "newest", "changed"])
def test_the_list_by_pages(store: Store, clock: Clock, order: Order) -> None:
    """Every record once, in order, also where several have the same time; a record has no evidence."""
    for number in range(10):
        clock.after(number // 2 / 1_000_000)  # a cursor is exact to the microsecond
        store.escalate(f"a{number}", "failed", evidence={"text": "x" * 1000})
    clock.after(20)
    first = store.read().lines[0]
    store.comment(first.id, "ana", "changed last")
    whole = store.read(order=order).lines
    pages: list[list[EscalationLine]] = []
    after = None
    while not pages or after:
        page = store.read(order=order, after=after, limit=3)
        pages.append(page.lines)
        after = page.after
    assert [len(page) for page in pages] == [3, 3, 3, 1]
    assert [line for page in pages for line in page] == whole
    times = [line.updated_at if order == "changed" else line.created_at for line in whole]
    assert times == sorted(times, reverse=order != "oldest")
    assert (whole[0].id == first.id) == (order != "newest")
    assert store.read(order=order, limit=10).after is None
    assert not hasattr(whole[0], "evidence")


@pytest.mark.parametrize("cursor", ["x", "1-2", "9" * 30 + "-" + "0" * 32, "1-" + "0" * 31 + "'"])
def test_a_cursor_that_is_none(store: Store, cursor: str) -> None:
    with pytest.raises(ContentError, match=r"^after: must be the cursor of an earlier page$"):
        store.read(after=cursor)


def test_the_list_filtered(store: Store) -> None:
    """By each field, and by all of them together; the text is a text, not a pattern."""
    german = [NewFinding("score", 0, "", SCORE), NewFinding("detection", 0, "", DETECTION)]
    store.escalate("blog/A_1", "failed", evidence={}, findings=german)
    store.escalate("blog/ab1", "ai_suspected", evidence={})
    settled = store.escalate("news/3", "failed", evidence={}, findings=german)
    store.settle(settled.id, "accept", "ana")

    def matching(**wanted: Any) -> list[str]:
        return sorted(line.article_id for line in store.read(Filter(**wanted)).lines)

    assert matching(state="open") == ["blog/A_1", "blog/ab1"]
    assert matching(reason="failed") == matching(language="de") == ["blog/A_1", "news/3"]
    assert matching(verdict="no_sign", state="settled") == ["news/3"]
    assert matching(text="a_1") == ["blog/A_1"]
    assert matching(text="BLOG/") == ["blog/A_1", "blog/ab1"]
    assert matching(held_by="ana") == matching(text="%") == []


def test_a_reader_holds_up_no_writer(file: Path) -> None:
    """In SQLite: while a reader is in its transaction, a worker that waits for nothing writes."""
    reader, writer = (Store(open_engine("", file, busy_seconds=0)) for _ in range(2))
    ref = reader.escalate("a", "failed", evidence={})
    with reader.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM escalations").scalar() == 1
        writer.escalate("b", "failed", evidence={})
        writer.settle(ref.id, "accept", "ana")
        assert connection.exec_driver_sql("SELECT count(*) FROM escalations").scalar() == 1
    assert reader.open_count() == 1
    reader.close()
    writer.close()


def test_a_writer_holds_up_no_reader(file: Path) -> None:
    """In SQLite: every read works at once while another process writes, the first one of a store, too."""
    store = Store(open_engine("", file))
    ref = store.escalate("a", "failed", evidence={})
    store.close()
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store = Store(open_engine("", file, busy_seconds=0))
    assert found(store, ref.id).article_id == "a"
    assert store.findings(ref.id) == []
    assert store.ids(ref.id[:4], 2) == [ref.id]
    assert (len(store.read().lines), store.open_count(), pending(store)) == (1, 1, [])
    other.execute("ROLLBACK")
    other.close()
    store.close()
