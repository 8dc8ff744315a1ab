"""Target questions: checked, or inferred from the article, and the three criteria that depend on them."""

from collections.abc import Sequence

from contentworker.editorial.aeo.analysis import Advice, Analysis, Finding, quote
from contentworker.editorial.aeo.matching import Match
from contentworker.editorial.aeo.rubric import (
    ENCODER_SHARE,
    JOINT_SHARE,
    NEARNESS_SHARE,
    OPENING_SHARE,
    PASSAGE_SHARE,
    SENTENCE_SHARE,
    ramp,
)
from contentworker.editorial.aeo.wordlists import FILLERS, QUESTION_WORDS, phrase_at
from contentworker.editorial.document import Document, Passage
from contentworker.editorial.parsing.language import STOP_WORDS, UNKNOWN, detect_language
from contentworker.editorial.parsing.sentences import tokenize
from contentworker.editorial.settings import ContentSettings
from contentworker.errors import ContentError

__all__ = [
    "answer_directness",
    "check_questions",
    "heading_match",
    "infer_question",
    "is_other_language",
    "question_relevance",
]

_LONGEST_QUESTION_CHARACTERS = 500
_ANSWER_WORDS = (8, 45)
_SHORTEST_QUESTION_WORDS = 3
_EARLY_WORDS = (100, 1200)
_EARLY_WORDS_OF_PASSAGE = (20, 90)
"""Words before an answer: up to the first number it is early, from the second one on late."""


def check_questions(questions: Sequence[str], settings: ContentSettings) -> list[str]:
    """The questions, each once, with single spaces.

    Raises:
        ContentError: a question is not text, is too long, or there are too many.
    """
    if isinstance(questions, str):
        raise ContentError("questions", "expected a list of questions, got a single string")
    for index, question in enumerate(questions):
        wrong = _wrong_with(question)
        if wrong:
            raise ContentError("questions", f"expected {wrong} at position {index}")
    checked = list(dict.fromkeys(" ".join(question.split()) for question in questions))
    if len(checked) > settings.max_questions:
        raise ContentError("questions", f"expected at most {settings.max_questions}, got {len(checked)}")
    return checked


def _wrong_with(question: object) -> str | None:
    if not isinstance(question, str) or not question.strip():
        return f"text, got {question!r:.40}"
    if len(question) > _LONGEST_QUESTION_CHARACTERS:
        return f"at most {_LONGEST_QUESTION_CHARACTERS} characters, got {len(question)}"
    try:
        question.encode()
    except UnicodeEncodeError:
        return "Unicode text, got half a surrogate pair"
    return None


def infer_question(document: Document) -> str | None:
    """The question that the article seems to answer: a title or heading that asks, else the title or None."""
    title = [document.title.text] if document.title else []
    candidates = title + [heading.text for heading in document.headings]
    asking = [text for text in candidates if is_question(text, document.language)]
    question = next(iter(asking or candidates), None)
    return question[:_LONGEST_QUESTION_CHARACTERS] if question else None


def is_question(text: str, language: str) -> bool:
    """Whether a title or heading asks something."""
    if text.rstrip().endswith(("?", "\uff1f", "\u061f")):
        return True
    first = next(iter(tokenize(text[:80])), "")
    # "Who" asks; "The who" does not.
    return (
        first in QUESTION_WORDS.get(language, frozenset()) and len(text.split()) >= _SHORTEST_QUESTION_WORDS
    )


def is_other_language(question: str, language: str) -> bool:
    """Whether a question is certainly not in the article's language."""
    tokens = tokenize(question)
    asked = detect_language(question, tokens)
    if UNKNOWN in (asked, language) or asked == language:
        return False
    known = STOP_WORDS.get(asked)
    # One function word proves little: "Die Hard" is not German.
    return known is None or not question.isascii() or sum(token in known for token in tokens) > 1


def question_relevance(analysis: Analysis, best: Match) -> Finding:
    """How well the article covers the question's terms, which weigh by their IDF, and how near it comes.

    .75 x [.5 x coverage by a passage + .4 by a sentence, both with headings + .05 by a sentence + .05 by
    the opening sentence] + .25 x nearness of a sentence with its headings, by word vectors. With the encoder
    .3 x the same + .7 x nearness of a passage. Of all but the opening the best in the article. If only words
    compare, their part is the whole.
    """
    terms = best.terms
    by_passage, by_sentence = max(0.0, best.passage_coverage), max(0.0, best.sentence_coverage)
    by_joint, by_opening = max(0.0, best.joint_coverage), max(0.0, best.opening_coverage)
    missing = ", ".join(terms.missing(best.passage_terms))
    evidence, advice = [], None
    if best.passage:
        note = f"passage holds {by_passage:.0%} of the question" + (f", lacks: {missing}" if missing else "")
        text = " ".join(sentence.text for sentence in best.passage.sentences)
        evidence.append(analysis.evidence(text, best.passage, note))
    if best.sentence and best.sentence_terms:
        note = f"sentence holds {by_sentence:.0%}"
        evidence.append(analysis.evidence(best.sentence.text, best.sentence, note))
    with_headings = PASSAGE_SHARE * by_passage + JOINT_SHARE * by_joint
    score = by_words = with_headings + SENTENCE_SHARE * by_sentence + OPENING_SHARE * by_opening
    if best.nearest and (best.nearness or 0.0) > by_words:
        note = f"nearest in meaning: {best.nearness:.0%}"
        near = best.nearest.sentences if isinstance(best.nearest, Passage) else (best.nearest,)
        text = " ".join(sentence.text for sentence in near)
        evidence.insert(0, analysis.evidence(text, best.nearest, note))
    if best.nearness is not None:
        share = ENCODER_SHARE if best.is_encoded else NEARNESS_SHARE
        score = (1 - share) * by_words + share * best.nearness
    if missing:
        advice = Advice(f"State what the question asks about ({missing}) in this passage.", best.passage)
    elif by_words < 1 and best.sentence:  # what words say fully needs no advice
        absent = ", ".join(terms.missing(best.sentence_terms))
        says = f"Answer in one sentence that also says: {absent}." if absent else "Open with this sentence."
        advice = Advice(says, best.sentence)
    return Finding(score, evidence, advice)


def heading_match(analysis: Analysis, best: Match) -> Finding:
    """The largest share of the question's terms in the title, in one heading, or in the article's address."""
    document = analysis.document
    question = quote(best.terms.question, 100)
    if best.heading_is_slug:
        note = f"address holds {best.heading_share:.0%} of the terms"
        says = f"Put a heading that asks {question} above the answer."
        advice = Advice(says, best.answer) if best.heading_share < 1 else None
        return Finding(best.heading_share, [analysis.evidence(analysis.slug, None, note)], advice)
    closest = best.heading or (document.title if best.heading_share else None)
    if not closest:
        advice = Advice(f"Put a heading that asks {question} above the answer.", best.answer)
        return Finding(best.heading_share, [], advice)
    note = f"closest holds {best.heading_share:.0%} of the terms"
    evidence = [analysis.evidence(closest.text, closest, note)]
    if best.heading_share >= 1:
        return Finding(1.0, evidence)
    advice = Advice(f"Rename {quote(closest.text)} to ask {question}.", closest)
    return Finding(best.heading_share, evidence, advice)


def answer_directness(analysis: Analysis, best: Match) -> Finding:
    """How early and how plainly the answer comes, times how much of the question it holds.

    [.45 (1 - ramp(words before it, 100, 1200)) + .3 (1 - ramp(words before it in its passage, 20, 90))
    + .15 (8 to 45 words) + .1 (no filler)] x coverage of the question by its heading path and itself.
    Nearness by word vectors makes up for half of what that coverage lacks.
    Without a list of fillers for the language the other parts share that tenth.
    """
    answer, passage = best.answer, best.answer_passage
    if answer is None or passage is None:
        return Finding(0.0, [], Advice("Answer the question in a sentence of 30-50 words near the top."))
    inside = answer.words_before - passage.sentences[0].words_before
    right_length = _ANSWER_WORDS[0] <= answer.words <= _ANSWER_WORDS[1]
    early = 0.45 * (1 - ramp(answer.words_before, *_EARLY_WORDS))
    parts = early + 0.3 * (1 - ramp(inside, *_EARLY_WORDS_OF_PASSAGE)) + 0.15 * right_length
    fillers = FILLERS.get(analysis.document.language)
    filler = phrase_at(answer.tokens, 0, fillers) if fillers and answer.tokens else None
    quality = parts / 0.9 if fillers is None else parts + 0.1 * (filler is None)
    note = f"after {answer.words_before} words ({inside} in its passage), {answer.words} long"
    evidence = [analysis.evidence(answer.text, answer, note)]
    score = quality * best.answer_coverage
    text = quote(answer.text)
    if score >= 1:
        return Finding(score, evidence)
    if best.answer_coverage < quality:
        text = f"No sentence answers {quote(best.terms.question)} outright: say it in 30-50 words here."
    elif answer.words_before > _EARLY_WORDS[0] or inside > _EARLY_WORDS_OF_PASSAGE[0]:
        text = f"Move {text} up, before other matter; answer in 30-50 words."
    elif filler:
        text = f"Cut the opening of {text} and begin with the answer."
    else:
        text = f"Answer in 30-50 words instead of {answer.words}: {text}"
    return Finding(score, evidence, Advice(text, answer))
