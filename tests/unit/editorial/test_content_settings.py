"""The `[content]` section of worker.toml."""

import datetime
from pathlib import Path
from typing import Literal, get_origin

import pytest
from pydantic import ValidationError

from contentworker import config
from contentworker.editorial.aeo.scoring import score
from contentworker.editorial.document import parse
from contentworker.editorial.settings import ContentSettings
from contentworker.errors import ConfigError, ContentError


def test_every_setting_is_documented_with_default_and_bounds() -> None:
    """docs/configuration.md is generated from these: each field has a description, a default and bounds."""
    for name, field in ContentSettings.model_fields.items():
        assert field.description, name
        assert not field.is_required(), name
        assert field.metadata or field.annotation is bool or get_origin(field.annotation) is Literal, name


@pytest.mark.parametrize("values", [{"max_bytes": 10}, {"max_recommendations": -1}, {"unknown": 1}])
def test_wrong_settings_are_refused(values: dict[str, int]) -> None:
    """Values out of bounds and unknown keys are errors."""
    with pytest.raises(ValidationError):
        ContentSettings.model_validate(values)


def test_limits_are_obeyed() -> None:
    """The settings decide what is refused, capped, flagged and written out."""
    settings = ContentSettings(
        max_bytes=1_000,
        stub_words=0,
        low_confidence_words=10,
        max_questions=1,
        max_recommendations=2,
        max_evidence_per_criterion=1,
        max_excerpt_characters=40,
    )
    today = datetime.date(2026, 6, 1)
    with pytest.raises(ContentError, match="at most 1 000 bytes, got 1 001"):
        parse("x" * 1_001, settings=settings)
    document = parse(
        "# A\n\n" + "It weighs 5 kg, as one of my old friends told me then. " * 3, settings=settings
    )
    result = score(document, questions=["Why is it heavy?"], today=today, settings=settings)
    assert result.caps == ()
    assert result.confidence == "normal"
    assert len(result.recommendations) == 2
    assert all(len(row.evidence) <= 1 for row in result.criteria)
    assert all(len(found.text) <= 40 for row in result.criteria for found in row.evidence)
    with pytest.raises(ContentError, match="expected at most 1, got 2"):
        score(document, questions=["Why?", "How?"], today=today, settings=settings)


@pytest.mark.parametrize("value", ['"hush"', "57", '["hush"]'], ids=["no-address", "number", "array"])
def test_a_wrong_address_is_not_shown(tmp_path: Path, value: str) -> None:
    """It may contain a password."""
    path = tmp_path / "worker.toml"
    path.write_text(
        f"{(config.ROOT / 'worker.toml').read_text('utf-8')}\n[llm]\nbase_url = {value}\n", "utf-8"
    )
    with pytest.raises(ConfigError, match=r"^worker\.toml:\d+: llm\.base_url: must ") as caught:
        config.load(path, {})
    assert not any(part in str(caught.value) for part in ("hush", "57"))
