"""What becomes of an article, at the bounds of `[pipeline]` and on both sides of them."""

from typing import Any, Literal

import pytest

from contentworker.editorial.aeo import AeoScore
from contentworker.editorial.detector import Detection
from contentworker.editorial.policy import after_rewrite, first, version
from contentworker.editorial.settings import PipelineSettings

SETTINGS = PipelineSettings()
BOUND = SETTINGS.min_aeo_score
Verdict = Literal["no_sign", "abstained", "ai"]


def judged(
    points: float, verdict: Verdict = "no_sign", probability: float | None = 0.2
) -> tuple[Detection, AeoScore]:
    """A verdict and a score with the three values that the policy reads."""
    judged: dict[str, Any] = {"verdict": verdict, "probability": probability}
    scored: dict[str, Any] = {"score": points}
    return Detection.model_construct(**judged), AeoScore.model_construct(**scored)


@pytest.mark.parametrize(
    ("points", "verdict", "settings", "expected"),
    [
        pytest.param(BOUND, "no_sign", {}, ("pass", "reached_threshold"), id="at-the-bound"),
        pytest.param(BOUND - 0.1, "no_sign", {}, ("rewrite", "below_threshold"), id="below-it"),
        pytest.param(
            BOUND - 0.1, "no_sign", {"max_rewrites": 0}, ("escalate", "below_threshold"), id="no-rewrites"
        ),
        pytest.param(BOUND, "abstained", {}, ("pass", "reached_threshold"), id="abstained"),
        pytest.param(100, "ai", {}, ("escalate", "ai_suspected"), id="ai"),
        pytest.param(100, "ai", {"escalated_verdicts": ()}, ("pass", "reached_threshold"), id="ai-is-fine"),
    ],
)
def test_an_article_as_it_was_sent(
    points: float, verdict: Verdict, settings: dict[str, Any], expected: tuple[str, str]
) -> None:
    """The detector's verdict comes first, then the score."""
    found = first(*judged(points, verdict), PipelineSettings(**settings))
    assert (found.action, *found.reasons) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(judged(50), judged(51), ("accept", "better"), id="gain-at-the-bound"),
        pytest.param(judged(50), judged(50.9), ("escalate", "rewrite_not_better"), id="gain-below-it"),
        pytest.param(
            judged(50), judged(60, "no_sign", 0.25), ("accept", "better"), id="probability-at-the-bound"
        ),
        pytest.param(
            judged(50), judged(60, "no_sign", 0.26), ("escalate", "rewrite_reads_like_ai"), id="above-it"
        ),
        pytest.param(
            judged(50),
            judged(60, "abstained", 0.2),
            ("escalate", "rewrite_reads_like_ai"),
            id="verdict-worse",
        ),
        pytest.param(
            judged(50, "ai", 0.9), judged(60, "abstained", 0.9), ("accept", "better"), id="verdict-better"
        ),
        pytest.param(
            judged(50, "abstained", None),
            judged(60, "abstained", 0.99),
            ("accept", "better"),
            id="no-probability-before",
        ),
        pytest.param(
            judged(50, "no_sign", 0.0),
            judged(60, "no_sign", 0.5),
            ("escalate", "rewrite_reads_like_ai"),
            id="probability-of-nothing-before",
        ),
        pytest.param(
            judged(50, "abstained", 0.2),
            judged(60, "abstained", None),
            ("accept", "better"),
            id="no-probability-after",
        ),
        pytest.param(
            judged(50),
            judged(50, "ai", 0.9),
            ("escalate", "rewrite_not_better", "rewrite_reads_like_ai"),
            id="both",
        ),
    ],
)
def test_an_article_after_a_rewrite(before: Any, after: Any, expected: tuple[str, ...]) -> None:
    """It must win `min_gain` points, and the detector must judge it no worse."""
    found = after_rewrite(before, after, number=1, refusals=0, settings=SETTINGS)
    assert (found.action, *found.reasons) == expected


def test_a_gain_at_a_bound_that_binary_numbers_miss() -> None:
    """1.1 + 0.1 is more than 1.2."""
    found = after_rewrite(
        judged(1.1), judged(1.2), number=1, refusals=0, settings=PipelineSettings(min_gain=0.1)
    )
    assert found.action == "accept"


@pytest.mark.parametrize(
    ("number", "refusals", "expected"),
    [
        pytest.param(1, 1, ("rewrite", "rewrite_refused"), id="another-try"),
        pytest.param(2, 1, ("escalate", "rewrite_refused"), id="the-last-try"),
        pytest.param(1, 0, ("escalate", "below_threshold", "nothing_to_rewrite"), id="nothing-to-try"),
    ],
)
def test_a_rewrite_of_which_nothing_passed(number: int, refusals: int, expected: tuple[str, ...]) -> None:
    """It is tried again while there are tries, unless there was nothing to rewrite."""
    settings = PipelineSettings(max_rewrites=2)
    found = after_rewrite(judged(50), None, number=number, refusals=refusals, settings=settings)
    assert (found.action, *found.reasons) == expected


def test_each_threshold_is_part_of_the_version() -> None:
    """Under other thresholds the same article is another run."""
    others: list[dict[str, Any]] = [
        {"min_aeo_score": 61}, {"min_gain": 2}, {"max_detector_rise": 0.1}, {"max_rewrites": 2},
        {"mode": "restructure"}, {"escalated_verdicts": ()}, {"over_cap": "escalate"},
    ]  # fmt: skip
    assert {name for other in others for name in other} == PipelineSettings.model_fields.keys()
    versions = {version(PipelineSettings.model_validate(other)) for other in others}
    assert len(versions | {version(SETTINGS)}) == len(others) + 1
    assert version(PipelineSettings()) == version(SETTINGS)


def test_the_old_names_of_verdicts_are_still_read() -> None:
    """A `worker.toml` of before 0.3 escalates what it did; an unknown word gets an error that names all."""
    old = PipelineSettings.model_validate({"escalated_verdicts": ["uncertain", "human", "ai"]})
    assert old.escalated_verdicts == ("abstained", "no_sign", "ai")
    with pytest.raises(ValueError, match="'ai', 'no_sign' or 'abstained'"):
        PipelineSettings.model_validate({"escalated_verdicts": ["unsure"]})
