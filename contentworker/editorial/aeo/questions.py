"""Target questions: checked, or inferred from the article, and the three criteria that depend on them."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

from contentworker.editorial.aeo.analysis import Advice, Analysis, Finding, quote
from contentworker.editorial.aeo.rubric import (
    JOINT_SHARE,
    NEARNESS_SHARE,
    OPENING_SHARE,
    PASSAGE_SHARE,
    SENTENCE_SHARE,
    ramp,
)
from contentworker.editorial.aeo.terms import QuestionTerms, question_tokens
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
    nearness: float | None = None  # of the nearest sentence with its headings; None without word vectors
    nearest: Sentence | None = None
    heading: Heading | None = None
    heading_share: float = 0.0
    heading_is_slug: bool = False
    answer: Sentence | None = None
    answer_passage: Passage | None = None
    answer_coverage: float = 0.0
    answer_rank: tuple[float, int] = (-1.0, 0)

    def offer_nearness(self, sentence: Sentence, near: float) -> bool:
        """Keep a sentence if it is the nearest so far, and say whether it is."""
        if self.nearness is None or near <= self.nearness:
            return False
        self.nearness, self.nearest = near, sentence
        return True


def match(analysis: Analysis, question: str) -> Match:
    """Look for one question in the whole article, once; ties go to the earliest place."""
    terms = QuestionTerms(question, analysis.vocabulary)
    best = Match(terms)
    vectors = analysis.vectors
    near_all = (
        vectors.nearness(question_tokens(terms.tokens, analysis.vocabulary.language)) if vectors else None
    )
    if near_all is not None:
        best.nearness = 0.0
    nearness = iter(near_all or repeat(0.0))
    in_heading = {heading.start: terms.found_in(heading.tokens) for heading in analysis.document.headings}
    window = _Window(())
    for passage in analysis.document.passages:
        if passage.path is not window.path:
            window = _Window(passage.path)
        above = frozenset[str]().union(*(in_heading[heading.start] for heading in passage.path))
        for sentence in passage.sentences:
            near = next(nearness)
            inside = terms.found_in(sentence.tokens)
            window.add(sentence, inside)
            # A question is not an answer, and neither is the asked question without its mark.
            answers = not sentence.text.endswith("?") and sentence.tokens != terms.tokens
            if answers and best.opening_coverage < 0:
                best.opening_coverage = terms.coverage(inside)
            is_nearest = answers and best.offer_nearness(sentence, near)
            # Without terms of its own a sentence adds only its headings, which the first one has added.
            if inside or len(window.sentences) == 1:
                _match_window(best, window, above)
            elif not is_nearest:
                continue
            if answers:
                _match_sentence(best, passage, sentence, (inside, above), near)
    _match_heading(best, analysis)
    return best


class _Window:
    """The last sentences of one section that make at most 120 words.

    Any such run is a passage an engine could quote. With the passages that the article was cut into, one more
    word in one of them would move the cuts, and with them the score.
    """

    def __init__(self, path: tuple[Heading, ...]) -> None:
        self.path = path
        self.sentences: deque[tuple[Sentence, frozenset[str]]] = deque()
        self.words = 0

    def add(self, sentence: Sentence, inside: frozenset[str]) -> None:
        self.sentences.append((sentence, inside))
        self.words += sentence.words
        while self.words > MAX_PASSAGE_WORDS:
            self.words -= self.sentences.popleft()[0].words

    def terms(self) -> frozenset[str]:
        return frozenset[str]().union(*(inside for _, inside in self.sentences))

    def passage(self) -> Passage:
        """The sentences from the first to the last that hold a term, or all if none does."""
        holding = [index for index, (_, inside) in enumerate(self.sentences) if inside] or [0]
        sentences = tuple(sentence for sentence, _ in self.sentences)[holding[0] : holding[-1] + 1]
        words = sum(sentence.words for sentence in sentences)
        return Passage(self.path, sentences[0].start, sentences[-1].end, sentences, words)


def _match_window(best: Match, window: _Window, above: frozenset[str]) -> None:
    terms = above | window.terms()
    covered = best.terms.coverage(terms)
    if covered > best.passage_coverage:
        best.passage, best.passage_terms, best.passage_coverage = window.passage(), terms, covered


def _match_sentence(
    best: Match,
    passage: Passage,
    sentence: Sentence,
    terms: tuple[frozenset[str], frozenset[str]],
    near: float,
) -> None:
    inside, above = terms
    alone = best.terms.coverage(inside)
    if alone > best.sentence_coverage:
        best.sentence, best.sentence_terms, best.sentence_coverage = sentence, inside, alone
    # Under a heading that asks the whole question every sentence covers it; its own terms then decide.
    together = best.terms.coverage(inside | above)
    best.joint_coverage = max(best.joint_coverage, together)
    # Another word for the same makes up for half of what the words lack.
    covered = together + 0.5 * max(0.0, near - together)
    rank = alone + covered
    if rank < best.answer_rank[0]:
        return
    # "A year is a leap year if ..." rather than a sentence that mentions leap years in passing.
    mentions = min(best.terms.count_in(sentence.tokens), len(best.terms.words) + 1)
    if (rank, mentions) > best.answer_rank:
        best.answer, best.answer_passage = sentence, passage
        best.answer_coverage = covered
        best.answer_rank = (rank, mentions)


def _match_heading(best: Match, analysis: Analysis) -> None:
    """Find the heading, the title (no heading) or the address with the largest share of the terms."""
    document, terms = analysis.document, best.terms
    count = max(1, len(terms.words))
    title = tokenize(document.title.text) if document.title else ()
    best.heading_share = len(terms.found_in(title)) / count
    for heading in document.headings:
        here = len(terms.found_in(heading.tokens)) / count
        if here > best.heading_share or (best.heading is None and here == best.heading_share > 0):
            best.heading, best.heading_share = heading, here
    in_slug = len(terms.found_in(tokenize(analysis.slug))) / count
    if in_slug > best.heading_share:
        best.heading, best.heading_share, best.heading_is_slug = None, in_slug, True


def question_relevance(analysis: Analysis, best: Match) -> Finding:
    """How well the article covers the question's terms, which weigh by their IDF, and how near it comes.

    .75 x [.5 x coverage by a passage + .4 by a sentence, both with headings + .05 by a sentence + .05 by
    the opening sentence] + .25 x nearness of a sentence with its headings, by word vectors. Of all but the
    opening the best in the article. Without word vectors the first part is the whole.
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
        evidence.insert(0, analysis.evidence(best.nearest.text, best.nearest, note))
    if best.nearness is not None:
        score = (1 - NEARNESS_SHARE) * by_words + NEARNESS_SHARE * best.nearness
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
