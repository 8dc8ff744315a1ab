"""Target questions: checked, or inferred from the article, and the three criteria that depend on them."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from contentworker.editorial.aeo.analysis import Advice, Analysis, Finding, quote
from contentworker.editorial.aeo.rubric import JOINT_SHARE, OPENING_SHARE, PASSAGE_SHARE, SENTENCE_SHARE, ramp
from contentworker.editorial.aeo.terms import QuestionTerms
from contentworker.editorial.aeo.wordlists import FILLERS, QUESTION_WORDS, phrase_at
from contentworker.editorial.document import Document, Heading, Passage, Sentence
from contentworker.editorial.parsing.language import STOP_WORDS, UNKNOWN, detect_language
from contentworker.editorial.parsing.sentences import MAX_PASSAGE_WORDS, tokenize
from contentworker.editorial.settings import ContentSettings
from contentworker.errors import ContentError

__all__ = [
    "Match",
    "answer_directness",
    "check_questions",
    "heading_match",
    "infer_question",
    "is_other_language",
    "match",
    "question_relevance",
]

_LONGEST_QUESTION_CHARACTERS = 500
_ANSWER_WORDS = (8, 45)


def check_questions(questions: Sequence[str], settings: ContentSettings) -> list[str]:
    """The questions with whitespace normalised and repeats left out; ContentError if one is none."""
    if isinstance(questions, str):
        raise ContentError("questions", "expected a list of questions, got a single string")
    checked: list[str] = []
    for index, question in enumerate(questions):
        if not isinstance(question, str) or not question.strip():
            raise ContentError("questions", f"expected text, got {question!r:.40} at position {index}")
        if len(question) > _LONGEST_QUESTION_CHARACTERS:
            limit = f"expected at most {_LONGEST_QUESTION_CHARACTERS} characters"
            raise ContentError("questions", f"{limit}, got {len(question)} at position {index}")
        try:
            question.encode()
        except UnicodeEncodeError:
            raise ContentError(
                "questions", f"expected Unicode text, got half a surrogate pair at position {index}"
            ) from None
        normal = " ".join(question.split())
        if normal not in checked:
            checked.append(normal)
    if len(checked) > settings.max_questions:
        raise ContentError("questions", f"expected at most {settings.max_questions}, got {len(checked)}")
    return checked


def infer_question(document: Document) -> str | None:
    """What the article seems to answer: a title or heading that asks, else the title; None without both."""
    title = [document.title.text] if document.title else []
    candidates = title + [heading.text for heading in document.headings]
    asking = [text for text in candidates if is_question(text, document.language)]
    found = next(iter(asking or candidates), None)
    return found[:_LONGEST_QUESTION_CHARACTERS] if found else None


def is_question(text: str, language: str) -> bool:
    """Whether a title or heading asks something."""
    if text.rstrip().endswith(("?", "\uff1f", "\u061f")):
        return True
    first = next(iter(tokenize(text[:80])), "")
    # "Who" asks; "The who" does not. Verbs such as "is" ask only with a question mark.
    return first in QUESTION_WORDS.get(language, frozenset()) and len(text.split()) > 2


def is_other_language(question: str, language: str) -> bool:
    """Whether a question is surely not in the article's language; a doubt counts as no."""
    tokens = tokenize(question)
    asked = detect_language(question, tokens)
    if UNKNOWN in (asked, language) or asked == language:
        return False
    known = STOP_WORDS.get(asked)
    # One function word proves little: "Die Hard" is no German.
    return known is None or not question.isascii() or sum(token in known for token in tokens) > 1


@dataclass(slots=True)
class Match:
    """Where an article meets one question best; each coverage is 0 to 1. Any part may be missing."""

    terms: QuestionTerms
    passage: Passage | None = None
    passage_terms: frozenset[str] = frozenset()
    passage_coverage: float = -1.0
    sentence: Sentence | None = None
    sentence_terms: frozenset[str] = frozenset()
    sentence_coverage: float = -1.0
    joint_coverage: float = -1.0  # by one sentence and the headings above it
    opening_coverage: float = -1.0  # by the first sentence of the article that does not ask
    heading: Heading | None = None
    heading_share: float = 0.0
    answer: Sentence | None = None
    answer_passage: Passage | None = None
    answer_coverage: float = 0.0
    answer_rank: tuple[float, int] = (-1.0, 0)


def match(analysis: Analysis, question: str) -> Match:
    """Look for one question in the whole article, once; ties go to the earliest place."""
    terms = QuestionTerms(question, analysis.vocabulary)
    best = Match(terms)
    in_heading = {heading.start: terms.found_in(heading.tokens) for heading in analysis.document.headings}
    window = _Window(terms, ())
    for passage in analysis.document.passages:
        if passage.path is not window.path:
            window = _Window(terms, passage.path)
        above = frozenset[str]().union(*(in_heading[heading.start] for heading in passage.path))
        for sentence in passage.sentences:
            inside = terms.found_in(sentence.tokens)
            window.add(sentence, inside)
            # What asks is no answer, and neither is the question without its mark.
            answers = not sentence.text.endswith("?") and sentence.tokens != terms.tokens
            if answers and best.opening_coverage < 0:
                best.opening_coverage = terms.coverage(inside)
            # Without terms of its own a sentence can only bring in its headings, as the first one does.
            if not inside and len(window.sentences) > 1:
                continue
            _match_window(best, window, above)
            if answers:
                _match_sentence(best, passage, sentence, inside, above)
    best.heading, best.heading_share = _closest_heading(analysis.document, terms)
    return best


class _Window:
    """The last sentences of one section that make at most 120 words.

    Any such run is a passage an engine could quote. Only looking at the passages the article was cut into
    would let a word more in one of them move the cuts, and with them the score.
    """

    def __init__(self, terms: QuestionTerms, path: tuple[Heading, ...]) -> None:
        self.terms = terms
        self.path = path
        self.sentences: deque[tuple[Sentence, frozenset[str]]] = deque()
        self.words = 0

    def add(self, sentence: Sentence, inside: frozenset[str]) -> None:
        self.sentences.append((sentence, inside))
        self.words += sentence.words
        while self.words > MAX_PASSAGE_WORDS:
            self.words -= self.sentences.popleft()[0].words

    def found(self) -> frozenset[str]:
        return frozenset[str]().union(*(inside for _, inside in self.sentences))

    def passage(self) -> Passage:
        """The sentences from the first to the last that hold a term, or all if none does."""
        holding = [index for index, (_, inside) in enumerate(self.sentences) if inside] or [0]
        sentences = tuple(sentence for sentence, _ in self.sentences)[holding[0] : holding[-1] + 1]
        words = sum(sentence.words for sentence in sentences)
        return Passage(self.path, sentences[0].start, sentences[-1].end, sentences, words)


def _match_window(best: Match, window: _Window, above: frozenset[str]) -> None:
    found = above | window.found()
    covered = best.terms.coverage(found)
    if covered > best.passage_coverage:
        best.passage, best.passage_terms, best.passage_coverage = window.passage(), found, covered


def _match_sentence(
    best: Match, passage: Passage, sentence: Sentence, inside: frozenset[str], above: frozenset[str]
) -> None:
    alone = best.terms.coverage(inside)
    if alone > best.sentence_coverage:
        best.sentence, best.sentence_terms, best.sentence_coverage = sentence, inside, alone
    # Under a heading that asks the whole question every sentence covers it; its own terms then decide.
    together = best.terms.coverage(inside | above)
    best.joint_coverage = max(best.joint_coverage, together)
    if alone + together < best.answer_rank[0]:
        return
    # "A year is a leap year if ..." rather than a sentence that mentions leap years in passing.
    mentions = min(best.terms.count_in(sentence.tokens), len(best.terms.words) + 1)
    if (alone + together, mentions) > best.answer_rank:
        best.answer, best.answer_passage = sentence, passage
        best.answer_coverage, best.answer_rank = together, (alone + together, mentions)


def _closest_heading(document: Document, terms: QuestionTerms) -> tuple[Heading | None, float]:
    """The heading (None: the title) with the largest share of the question's terms."""
    share = (
        len(terms.found_in(tokenize(document.title.text))) / len(terms.words)
        if document.title and terms.words
        else 0.0
    )
    closest: Heading | None = None
    for heading in document.headings:
        found = len(terms.found_in(heading.tokens)) / max(1, len(terms.words))
        if found > share or (closest is None and found == share > 0):
            closest, share = heading, found
    return closest, share


def question_relevance(analysis: Analysis, found: Match) -> Finding:
    """.5 x coverage of the question by a passage + .4 by a sentence, both with headings + .05 by a sentence
    + .05 by the opening sentence.

    Of the first three the best in the article; terms weigh by their IDF.
    """
    terms = found.terms
    by_passage, by_sentence = max(0.0, found.passage_coverage), max(0.0, found.sentence_coverage)
    by_joint, by_opening = max(0.0, found.joint_coverage), max(0.0, found.opening_coverage)
    missing = ", ".join(terms.missing(found.passage_terms))
    evidence, advice = [], None
    if found.passage:
        note = f"passage holds {by_passage:.0%} of the question" + (f", lacks: {missing}" if missing else "")
        text = " ".join(sentence.text for sentence in found.passage.sentences)
        evidence.append(analysis.evidence(text, found.passage, note))
    if found.sentence and found.sentence_terms:
        evidence.append(
            analysis.evidence(found.sentence.text, found.sentence, f"sentence holds {by_sentence:.0%}")
        )
    score = (
        PASSAGE_SHARE * by_passage
        + JOINT_SHARE * by_joint
        + SENTENCE_SHARE * by_sentence
        + OPENING_SHARE * by_opening
    )
    if missing:
        advice = Advice(f"State what the question asks about ({missing}) in this passage.", found.passage)
    elif score < 1 and found.sentence:
        absent = ", ".join(terms.missing(found.sentence_terms))
        advice = Advice(f"Answer in one sentence that also says: {absent}.", found.sentence)
    return Finding(score, evidence, advice)


def heading_match(analysis: Analysis, found: Match) -> Finding:
    """The largest share of the question's terms in the title or in one heading."""
    document = analysis.document
    closest = found.heading or (document.title if found.heading_share else None)
    evidence = (
        [analysis.evidence(closest.text, closest, f"closest holds {found.heading_share:.0%} of the terms")]
        if closest
        else []
    )
    if found.heading_share >= 1:
        return Finding(1.0, evidence)
    question = quote(found.terms.question, 100)
    if closest:
        advice = Advice(f"Rename {quote(closest.text)} to ask {question}.", closest)
    else:
        advice = Advice(f"Put a heading that asks {question} above the answer.", found.answer)
    return Finding(found.heading_share, evidence, advice)


def answer_directness(analysis: Analysis, found: Match) -> Finding:
    """How early and how plainly the answer comes, times how much of the question it holds.

    [.45 (1 - ramp(words before it, 100, 1200)) + .3 (1 - ramp(words before it in its passage, 20, 90))
    + .15 (8 to 45 words) + .1 (no filler)] x coverage of the question by its heading path and itself.
    Without a list of fillers for the language the other parts share that tenth.
    """
    answer, passage = found.answer, found.answer_passage
    if answer is None or passage is None:
        return Finding(0.0, [], Advice("Answer the question in a sentence of 30-50 words near the top."))
    inside = answer.words_before - passage.sentences[0].words_before
    right_length = _ANSWER_WORDS[0] <= answer.words <= _ANSWER_WORDS[1]
    parts = (
        0.45 * (1 - ramp(answer.words_before, 100, 1200))
        + 0.3 * (1 - ramp(inside, 20, 90))
        + 0.15 * right_length
    )
    fillers = FILLERS.get(analysis.document.language)
    filler = phrase_at(answer.tokens, 0, fillers) if fillers and answer.tokens else None
    quality = parts / 0.9 if fillers is None else parts + 0.1 * (filler is None)
    note = f"after {answer.words_before} words ({inside} in its passage), {answer.words} long"
    evidence = [analysis.evidence(answer.text, answer, note)]
    score = quality * found.answer_coverage
    return Finding(
        score, evidence, _directness_advice(found, inside, filler is not None, quality) if score < 1 else None
    )


def _directness_advice(found: Match, inside: int, has_filler: bool, quality: float) -> Advice:
    answer = found.answer
    assert answer is not None
    text = quote(answer.text)
    if found.answer_coverage < quality:
        return Advice(
            f"No sentence answers {quote(found.terms.question)} outright: say it in 30-50 words here.", answer
        )
    if answer.words_before > 100 or inside > 20:
        return Advice(f"Move {text} up, before other matter; answer in 30-50 words.", answer)
    if has_filler:
        return Advice(f"Cut the opening of {text} and begin with the answer.", answer)
    return Advice(f"Answer in 30-50 words instead of {answer.words}: {text}.", answer)
