"""The texts to train on, to set the threshold by, and to measure on: cleaned, and kept apart.

Three kinds of texts never meet: what is trained on; what is only *watched* while the threshold is set
(people's texts whose licence does not allow training); and what is kept *aside* for one report.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contentworker.editorial.detector.cleaning import clean
from contentworker.editorial.detector.scoring import FEWEST_WORDS

__all__ = [
    "NewTextsError",
    "Text",
    "aside",
    "grams",
    "read",
    "training_texts",
    "watched_texts",
    "without_overlap",
]

HERE = Path(__file__).resolve().parent
OWN = HERE / "data" / "articles_2026_12.jsonl.gz"
"""Articles written for this repository, and committed in it; all other texts are in the folder `--data`."""
OLD = ("train", "train_paraphrased", "calib")
NEW = (
    *("human_extra", "human_formal", "train2026/articles_2026", "train2026/eq_longform_fiction"),
    *("train2026/gfreedman_essays", "train2026/human_blogs_train", "train2026/maia_essays", "gathered/18f"),
)
WATCHED = ("gathered/micusp", "gathered/iclr")
HOLDOUTS = (
    *("holdout/fastdetect", "holdout/glimpse", "holdout/indomain", "holdout/biscope-para"),
    *("holdout/outfox-attack", "holdout/liang", "holdout-unlicensed/lastde", "holdout-unlicensed/detectrl"),
    *("holdout-unlicensed/detectrl-attack", "holdout-unlicensed/mixset", "holdout-unlicensed/argugpt"),
    *("gathered/swp", "gathered/brown", "gathered/rust", "gathered/debate", "gathered/persuasion"),
)
DEMO = "2014-07-28-should-your-agency-be-offering-chat-service"
"""The person's article that the demo shows: it must be as new to the detector as yours are."""
ASIDE_WRITER = "writer-6"
"""Of our own articles, all that one writer wrote are kept aside."""
MONTHS = {
    "outfox": "2023-12",
    "biscope": "2024-05",
    "biscope-para": "2024-05",
    "l2r": "2024-12",
    "eq-longform": "2025-06",
    "gfreedman": "2026-02",
    "maia": "2026-08",
    "articles-2026": "2026-11",
    "articles-2026-12": "2026-12",
}
"""The month by which each source's texts were made, as far as its repository tells: no generator is newer."""
OLD_SHARE, FICTION_SHARE = 0.23, 0.5
"""Of these, which are many and weigh little, only a share is trained on: training ends within minutes."""
_OLD_SOURCES = {"biscope", "biscope-para", "l2r", "outfox"}
_GRAM_WORDS = 10
_SHARED_GRAMS = 2
_REPEATED_SHARE = 0.2
"""Articles by one prompt share some of their runs of ten words; one that repeats another shares more."""
# Base models from before 2023, which are out of use, and whose text is of another kind.
_LEFT_OUT_GENERATORS = ("flan", "text-davinci")
_NAME = re.compile(r"(?P<generator>[\w.-]+)_(?P<month>20\d\d-(?:0[1-9]|1[0-2]))")


class NewTextsError(ValueError):
    """A folder of new texts that cannot be trained on, with every fault in it."""


@dataclass(frozen=True, slots=True)
class Text:
    """A cleaned text and what is known of it. `machine` is True if a model wrote it."""

    text: str
    machine: bool
    source: str
    generator: str
    domain: str
    group: str

    @property
    def words(self) -> int:
        return len(self.text.split())

    @property
    def kind(self) -> str:
        """What training weighs as one: `people`, `old`, `fiction`, `essays` or a set of articles."""
        if not self.machine:
            return "people"
        kinds = {"eq-longform": "fiction", "gfreedman": "essays", "maia": "essays"}
        return kinds.get(self.source, "old" if self.source in _OLD_SOURCES else self.source)

    @property
    def unit(self) -> str:
        """What is left out together: people by source and domain, models' texts by source and generator.

        Articles are left out one by one: their threshold is for unseen articles of known generators.
        """
        if self.kind.startswith(("articles", "new:")):
            return f"{self.source}: {hash_of(self.group) % 24}"
        return f"{self.source}: {self.domain if not self.machine or self.kind == 'old' else self.generator}"

    @property
    def people(self) -> str:
        """The group of people whose share of false `ai` is looked at on its own."""
        joined = {"micusp": "student papers", "state_union": "speeches", "inaugural": "speeches"}
        return joined.get(self.source, f"{self.source}: {self.domain}")


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


def is_aside(text: Text) -> bool:
    """Whether a text of a training set is kept for the report instead: which ones was fixed beforehand."""
    if DEMO in text.group:
        return True
    if text.source == "articles-2026-12":
        return text.group.startswith(ASIDE_WRITER)
    if text.source == "articles-2026":
        return hash_of(text.group) % 5 == 0
    if text.source == "eq-longform":
        return hash_of(text.generator) % 6 == 0
    if text.source == "maia":
        return hash_of(text.group) % 7 == 0
    return text.source in {"masc", "inaugural", "state_union", "nq-wikipedia"} and _share(text) >= 66


def is_watched(text: Text) -> bool:
    """Half of the sets that are never trained on: student papers by discipline, abstracts one by one."""
    return hash_of(text.domain if text.source == "micusp" else text.group) % 2 == 0


def _share(text: Text) -> int:
    return hash_of(f"{text.source} {text.group}") % 100


def _files(folder: Path, names: Iterable[str]) -> list[Path]:
    """Those that are there: sets without a licence, and what is gathered from elsewhere, need not be."""
    paths = [folder / f"{name}.jsonl.gz" for name in names]
    return [path for path in paths if path.exists()]


def missing(folder: Path) -> list[str]:
    """The sets that training wants and the folder does not have."""
    return [name for name in (*OLD, *NEW, *WATCHED) if not (folder / f"{name}.jsonl.gz").exists()]


def training_texts(folder: Path, new: list[Text] | None = None) -> list[Text]:
    """All that is trained on, in a fixed order; `new` comes from `new_texts`."""
    texts = [text for path in [*_files(folder, OLD), *_files(folder, NEW), OWN] for text in read(path)]
    shares: dict[str, float] = {"old": OLD_SHARE, "fiction": FICTION_SHARE}
    kept = [
        text
        for text in texts
        if not is_aside(text)
        and text.words >= FEWEST_WORDS
        and not text.generator.startswith(_LEFT_OUT_GENERATORS)
        and hash_of(text.text) % 1_000 < 1_000 * shares.get(text.kind, 1)
    ]
    held = [
        text for sets in (aside(folder).values(), [watched_texts(folder)]) for each in sets for text in each
    ]
    return without_overlap(kept, {gram for text in held for gram in grams(text.text)}) + (new or [])


def watched_texts(folder: Path) -> list[Text]:
    """People's texts by which the threshold is set, and that are never trained on."""
    return [text for path in _files(folder, WATCHED) for text in read(path) if is_watched(text)]


def aside(folder: Path) -> dict[str, list[Text]]:
    """What is measured once: whole sets, and the parts of the training sets that were kept aside."""
    sets = {path.name.partition(".")[0]: read(path) for path in _files(folder, HOLDOUTS)}
    for path in [*_files(folder, WATCHED), *_files(folder, NEW), OWN]:
        keep: Callable[[Text], bool] = (
            is_aside if path.parent.name != "gathered" else lambda text: not is_watched(text)
        )
        if path.name != "18f.jsonl.gz" and (texts := [text for text in read(path) if keep(text)]):
            sets[path.name.partition(".")[0]] = texts
    return sets


def new_texts(folder: Path, known: Iterable[Text]) -> tuple[list[Text], dict[str, str]]:
    """A folder of texts by generators that the model should know, and the month of each.

    It has one folder a generator, named `GENERATOR_YYYY-MM` by the month in which the texts were made, with
    one text a file (`.txt` or `.md`, UTF-8).

    Raises:
        NewTextsError: every fault of the folder, one a line: files that are empty, too short or no text, that
            repeat another for a fifth, or a known text (`known`), a person's for example.
    """
    texts: list[Text] = []
    months: dict[str, str] = {}
    faults = []
    owners: dict[int, str] = {
        gram: f"a {'machine' if text.machine else 'person'}'s text of {text.source}"
        for text in known
        for gram in grams(text.text)
    }
    for place in sorted(folder.iterdir()) if folder.is_dir() else []:
        name = _NAME.fullmatch(place.name)
        if not name or not place.is_dir():
            faults.append(
                f"{place.name}: expected a folder named GENERATOR_YYYY-MM, for example gpt-7_2027-03"
            )
            continue
        source = f"new:{name['generator']}"
        months[source] = name["month"]
        for path in sorted(place.iterdir()):
            where = f"{place.name}/{path.name}"
            text, fault = _new_text(path)
            found = grams(text)
            shared = [owners[gram] for gram in found if gram in owners]
            if not fault and len(shared) > _REPEATED_SHARE * len(found):
                fault = f"repeats {shared[0]}"
            if fault:
                faults.append(f"{where}: {fault}")
                continue
            owners |= dict.fromkeys(found, where)
            texts.append(
                Text(
                    text,
                    machine=True,
                    source=source,
                    generator=name["generator"],
                    domain="article",
                    group=where,
                )
            )
    if not texts and not faults:
        faults.append(f"{folder}: expected folders named GENERATOR_YYYY-MM with one text a file, found none")
    if faults:
        raise NewTextsError("\n".join(faults))
    return texts, months


def _new_text(path: Path) -> tuple[str, str]:
    """A file's cleaned text, and what is wrong with it."""
    if path.suffix not in {".txt", ".md"}:
        return "", "expected a file that ends in .txt or .md"
    try:
        text = clean(path.read_text("utf-8"))
    except UnicodeDecodeError:
        return "", "expected UTF-8 text"
    words = len(text.split())
    return text, "" if words >= FEWEST_WORDS else f"expected at least {FEWEST_WORDS} words, found {words}"


def known_months(texts: Iterable[Text], new: dict[str, str]) -> dict[str, str]:
    """The month of each generator among these texts: of its newest set."""
    months: dict[str, Any] = {}
    for text in texts:
        if text.machine:
            month = {**MONTHS, **new}[text.source]
            months[text.generator] = max(month, months.get(text.generator, ""))
    return dict(sorted(months.items(), key=lambda item: (item[1], item[0])))
