"""The texts to train on, to calibrate on and to measure on: cleaned, kept apart, without what they share."""

import gzip
import hashlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

from contentworker.editorial.detector.cleaning import clean

__all__ = ["Text", "formal_parts", "read", "training_texts", "without_overlap"]

HOLDOUTS = ("fastdetect", "glimpse", "indomain", "biscope-para", "outfox-attack", "liang")
UNLICENSED = ("lastde", "detectrl", "detectrl-attack", "mixset", "argugpt")
_GRAM_WORDS = 10
_SHARED_GRAMS = 2
# Base models from before 2023, which are out of use, and whose text is of another kind.
_LEFT_OUT_GENERATORS = ("flan", "text-davinci")


@dataclass(frozen=True, slots=True)
class Text:
    """A cleaned text and what is known of it. `machine` is True if a model wrote it."""

    text: str
    machine: bool
    source: str
    generator: str
    domain: str
    group: str


def read(path: Path) -> list[Text]:
    """The texts of a file of JSON lines, cleaned and in order; without those that cleaning empties."""
    found = []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            text = clean(row["text"])
            if text:
                fields = (row["source"], row["generator"], row["domain"], str(row["group"]))
                found.append(Text(text, bool(row["label"]), *fields))
    return found


def grams(text: str) -> list[int]:
    """Hashes of the runs of ten words of a text."""
    words = re.findall(r"[a-z0-9']+", text.lower())
    return [hash_of(" ".join(words[n : n + _GRAM_WORDS])) for n in range(len(words) - _GRAM_WORDS + 1)]


def hash_of(text: str) -> int:
    """A hash that is the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def without_overlap(texts: list[Text], seen: set[int]) -> list[Text]:
    """The texts that share fewer than two runs of ten words with what has been seen."""
    return [text for text in texts if len(seen.intersection(grams(text.text))) < _SHARED_GRAMS]


def holdout_files(data: Path) -> list[Path]:
    """Every file that is measured on and that is there: the unlicensed ones need not be."""
    wanted = [data / "holdout" / f"{name}.jsonl.gz" for name in HOLDOUTS]
    wanted += [data / "holdout-unlicensed" / f"{name}.jsonl.gz" for name in UNLICENSED]
    return [path for path in wanted if path.exists()]


def formal_parts(data: Path, seen: set[int]) -> dict[str, list[Text]]:
    """Formal human prose, split by document: `train` (half), `calibrate` (a fifth), `hold out` (the rest)."""
    parts: dict[str, list[Text]] = {"train": [], "calibrate": [], "hold out": []}
    for text in without_overlap(read(data / "human_formal.jsonl.gz"), seen):
        share = hash_of(f"{text.source} {text.group}") % 100
        parts["train" if share < 48 else "calibrate" if share < 66 else "hold out"].append(text)
    held = {gram for text in parts["hold out"] for gram in grams(text.text)}
    parts["train"] = without_overlap(parts["train"], held)
    parts["calibrate"] = without_overlap(parts["calibrate"], held)
    return parts


def training_texts(data: Path, formal: list[Text]) -> list[Text]:
    """All that is trained on, in a fixed order."""
    texts = read(data / "train.jsonl.gz") + read(data / "train_paraphrased.jsonl.gz")
    texts += read(data / "human_extra.jsonl.gz") + formal
    kept = [text for text in texts if not text.generator.startswith(_LEFT_OUT_GENERATORS)]
    return [replace(text, domain=_DOMAINS.get(text.domain, text.domain)) for text in kept]


_DOMAINS = {"school-essay": "essay"}
