"""What a person chose for each change of a rewrite, and the text that comes of it."""

from contentworker.editorial.document import detect_media_type
from contentworker.editorial.escalations.result import Choice, Escalation, Finding
from contentworker.editorial.rewriting import Rewrite
from contentworker.editorial.rewriting.splicing import splice

__all__ = ["as_chosen", "choices_in_force", "latest_rewrite"]


def latest_rewrite(record: Escalation, findings: list[Finding]) -> Finding | None:
    """The rewrite that a person decides on: the latest one of the article's latest text; None without one."""
    originals = [each.sha256 for each in record.texts if each.kind == "original"]
    rewrites = [each for each in findings if each.kind == "rewrite" and each.text_sha256 in originals[-1:]]
    return rewrites[-1] if rewrites else None


def choices_in_force(record: Escalation, finding: Finding) -> dict[int, Choice]:
    """The latest choice for each change of a rewrite that has one, by the change's number."""
    return {each.change: each for each in record.choices if each.finding_id == finding.id}


def as_chosen(record: Escalation, finding: Finding) -> str:
    """The article with each change as a person chose it, and as the guard left it where nobody chose.

    `finding` is that of `latest_rewrite`.
    """
    source = next(each.text for each in record.texts if each.sha256 == finding.text_sha256)
    rewrite, chosen = Rewrite.model_validate(finding.content), choices_in_force(record, finding)
    replacements = []
    for number, change in enumerate(rewrite.changes, 1):
        guards = "rewrite" if change.outcome == "rewritten" else "original"
        kind, own = (each.choice, each.text) if (each := chosen.get(number)) else (guards, "")
        if kind != "original":
            replacements.append((change.start, change.end, own if kind == "own" else change.rewritten))
    return splice(source, replacements, record.media_type or detect_media_type(source))
