"""What a person chose for each change of a rewrite, and the text that comes of it."""

from typing import NamedTuple

from contentworker.editorial.escalations.result import Choice, ChoiceKind, Escalation, Finding
from contentworker.editorial.parsing.sources import detect_media_type, text_read
from contentworker.editorial.rewriting import Rewrite
from contentworker.editorial.rewriting.result import Change
from contentworker.editorial.rewriting.splicing import splice

__all__ = ["Decided", "as_chosen", "decided", "latest_rewrite", "text_now"]


class Decided(NamedTuple):
    """A change of a rewrite, numbered from 1, and what stands in its place."""

    number: int
    change: Change
    kind: ChoiceKind
    choice: Choice | None
    """The person's, if there is one."""

    @property
    def own(self) -> str:
        """A person's own words; empty if they chose none."""
        return self.choice.text if self.choice and self.kind == "own" else ""

    @property
    def text(self) -> str | None:
        """What replaces the original; None where that stays."""
        return {"original": None, "rewrite": self.change.rewritten, "own": self.own}[self.kind]


def latest_rewrite(record: Escalation, findings: list[Finding]) -> Finding | None:
    """The rewrite that a person decides on: the latest one of the article's latest text; None without one."""
    originals = [each.sha256 for each in record.texts if each.kind == "original"]
    rewrites = [each for each in findings if each.kind == "rewrite" and each.text_sha256 in originals[-1:]]
    return rewrites[-1] if rewrites else None


def decided(record: Escalation, finding: Finding) -> list[Decided]:
    """Each change of a rewrite in its order, as a person chose it last, or as the guard left it."""
    chosen = {each.change: each for each in record.choices if each.finding_id == finding.id}
    found = []
    for number, change in enumerate(Rewrite.model_validate(finding.content).changes, 1):
        choice = chosen.get(number)
        guards: ChoiceKind = "rewrite" if change.outcome == "rewritten" else "original"
        found.append(Decided(number, change, choice.choice if choice else guards, choice))
    return found


def as_chosen(record: Escalation, finding: Finding) -> str:
    """The article with what `decided` says. `finding` is that of `latest_rewrite`."""
    source = text_read(next(each.text for each in record.texts if each.sha256 == finding.text_sha256))
    replacements = [
        (each.change.start, each.change.end, each.text)
        for each in decided(record, finding)
        if each.text is not None
    ]
    return splice(source, replacements, record.media_type or detect_media_type(source))


def text_now(record: Escalation, findings: list[Finding]) -> str | None:
    """The article as it is chosen now; None if the record has no text."""
    if rewrite := latest_rewrite(record, findings):
        return as_chosen(record, rewrite)
    return next((each.text for each in reversed(record.texts) if each.kind == "original"), None)
