"""Criteria 9 and 10: what the article tells machines and readers about itself."""

from contentworker.editorial.aeo.analysis import Advice, Analysis, Finding
from contentworker.editorial.aeo.rubric import ramp

__all__ = ["freshness", "structured_data"]

_FRESH_DAYS, _OLD_DAYS = 365, 1461


def freshness(analysis: Analysis) -> Finding:
    """.6 x date + .4 x author named.

    The date part is 1 up to a year before the day of judgement and falls to a half at four years; a date
    after that day counts as none.
    """
    metadata = analysis.document.metadata
    past = [each for each in metadata.dates if each.value <= analysis.today]
    latest = max(past, key=lambda each: each.value, default=None)
    evidence = []
    dated = 0.0
    if latest:
        age = (analysis.today - latest.value).days
        dated = 1 - 0.5 * ramp(age, _FRESH_DAYS, _OLD_DAYS)
        note = f"date ({latest.name}), {age} days old"
        evidence.append(analysis.evidence(latest.value.isoformat(), latest, note))
    evidence += [
        analysis.evidence(each.value.isoformat(), each, "lies in the future: not counted")
        for each in metadata.dates
        if each.value > analysis.today
    ]
    if metadata.author:
        evidence.append(analysis.evidence(metadata.author.text, metadata.author, "author"))
    score = 0.6 * dated + 0.4 * (metadata.author is not None)
    if dated < 1 and 0.6 * (1 - dated) >= 0.4 * (metadata.author is None):
        review = "Review the article and show the real date of that review."
        return Finding(score, evidence, Advice(review if latest else "Show a real updated date.", latest))
    return Finding(score, evidence, None if score == 1 else Advice("Name the author."))


def structured_data(analysis: Analysis) -> Finding:
    """A quarter each: a JSON-LD type, JSON-LD without errors, a description, a canonical URL.

    Markdown carries no JSON-LD, so its front matter is judged on the last two; text and Markdown without
    front matter are not judged.
    """
    document = analysis.document
    metadata = document.metadata
    if not metadata.present:
        return Finding(None)
    described, canonical = metadata.description is not None, metadata.canonical is not None
    evidence = [analysis.evidence(error.text, error, "JSON-LD error") for error in metadata.json_ld_errors]
    if metadata.json_ld_types:
        evidence.append(analysis.evidence(", ".join(metadata.json_ld_types), None, "JSON-LD types"))
    evidence += [
        analysis.evidence(span.text, span, note)
        for note, span in (("description", metadata.description), ("canonical", metadata.canonical))
        if span
    ]
    if document.media_type == "markdown":
        score = 0.5 * described + 0.5 * canonical
    else:
        typed = bool(metadata.json_ld_types)
        score = 0.25 * (typed + (typed and not metadata.json_ld_errors) + described + canonical)
    return Finding(score, evidence, _advice(analysis, described=described) if score < 1 else None)


def _advice(analysis: Analysis, *, described: bool) -> Advice:
    metadata = analysis.document.metadata
    if metadata.json_ld_errors:
        error = metadata.json_ld_errors[0]
        return Advice(f"Fix JSON-LD: {error.text}.", error)
    if analysis.document.media_type == "html" and not metadata.json_ld_types:
        types = "Add JSON-LD that types the page, for example as Article, with its real author and date."
        return Advice(types)
    return Advice("Add a canonical URL." if described else "Add a description of one or two sentences.")
