"""Measure the shipped detector on what was kept aside. README.md says how to read the figures.

    nox -s evaluate-detector -- --data DIR [--output DIR] [--peers N]

It writes results.json, results.md, roc.svg and calibration.svg; card.py takes the tables of docs/detector.md
from the first. Texts of fewer words than the detector judges are left out.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent.parent
# The project is not a distribution: it runs from its folder, and so does this script.
sys.path.insert(0, str(ROOT))

from contentworker.editorial.detector import expiry  # noqa: E402 -- needs the path above
from contentworker.editorial.detector import model as model_file  # noqa: E402 -- needs the path above
from contentworker.editorial.detector.cleaning import clean  # noqa: E402 -- likewise
from contentworker.editorial.detector.passages import PASSAGE_WORDS, UNLIKE  # noqa: E402 -- likewise
from contentworker.editorial.detector.scoring import FEWEST_WORDS, probabilities  # noqa: E402 -- likewise
from research.detector import card, data, measures, peers, plots  # noqa: E402 -- needs the path above

OLD_FOUR = ("lastde", "detectrl", "fastdetect", "glimpse")
"""The four sets of 2023 and 2024 that earlier reports read together."""
BASE_MODELS = ("davinci",)
SMALLEST_GROUP, SMALLEST_SET = 50, 20
GROUPS = {
    "undergraduate essays and reports": (
        *("micusp", "swp", "liang: CollegeEssay_real_70", "liang: CS224N_real_145"),
    ),
    "blogs": ("rust-blog", "mixset: blog", "masc: blog"),
    "abstracts": (
        *("iclr-2021", "mixset: paper_abstract", "biscope: arxiv"),
        *("fast-detect-gpt: pubmed", "glimpse: pubmed"),
    ),
    "TOEFL essays": ("liang: TOEFL_real_91",),
    "school essays": ("liang: HewlettStudentEssay_real_88", "outfox"),
    "news": (
        *(
            "fast-detect-gpt: xsum",
            "glimpse: xsum",
            "detectrl: document",
            "brown: brown-news",
            "mixset: news",
        ),
        *("brown: brown-editorial", "masc: newspaper", "l2r: NewsArticle"),
    ),
    "reviews": ("biscope: yelp", "detectrl: content", "mixset: game_review", "brown: brown-reviews"),
    "fiction": (
        *("biscope: creative", "detectrl: story", "fast-detect-gpt: writing", "glimpse: writing"),
        *("lastde: writing", "masc: fiction", "masc: ficlets"),
        *(f"brown: brown-{kind}" for kind in ("fiction", "mystery", "adventure", "romance", "humor")),
        "brown: brown-science_fiction",
    ),
    "formal prose": ("inaugural", "state_union", "nq-wikipedia", "masc", "brown", "mixset: speech"),
}
"""Groups of people by source, or source and domain; a text belongs to the first that names it."""
POLISHED = ("TOEFL_gpt4polished_91", "HewlettStudentEssay_GPTsimplify_88")
"""Human essays that a model worked over: neither people's nor models', so they are reported apart."""


class Judged(NamedTuple):
    """Texts with what the detector made of them."""

    texts: list[data.Text]
    probability: NDArray[np.float64]

    def where(self, keep: Callable[[data.Text], bool]) -> "Judged":
        chosen = [place for place, text in enumerate(self.texts) if keep(text)]
        return Judged([self.texts[place] for place in chosen], self.probability[chosen])

    @property
    def machine(self) -> NDArray[np.bool_]:
        return np.array([text.machine for text in self.texts], dtype=bool)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the detector.")
    parser.add_argument("--data", type=Path, required=True, help="the folder with holdout/ in it")
    parser.add_argument("--output", type=Path, default=ROOT / "research" / "detector" / "results")
    parser.add_argument("--peers", type=int, default=300, help="texts to measure the peers on (default 300)")
    options = parser.parse_args()
    results, curves = evaluate(options.data, options.peers)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "results.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    (options.output / "results.md").write_text(card.every_table(results), "utf-8")
    (options.output / "roc.svg").write_text(plots.roc(curves), "utf-8")
    (options.output / "calibration.svg").write_text(plots.calibration(curves), "utf-8")
    print(card.every_table(results))


def evaluate(folder: Path, peer_texts: int) -> tuple[dict[str, Any], plots.Curves]:
    """All figures, and the curves to draw."""
    model = model_file.shipped()
    sets = {
        name: found
        for name, texts in data.aside(folder).items()
        if (found := judged([text for text in texts if text.words >= FEWEST_WORDS], model)).texts
    }
    every = pool(sets.values()).where(lambda text: text.domain not in POLISHED)
    people = every.where(lambda text: not text.machine)
    today = {name: sets[name] for name in TODAY if name in sets}
    known, unknown = (
        pool(today[name] for name in today if name in KNOWN),
        pool(today[n] for n in today if n not in KNOWN),
    )
    results: dict[str, Any] = {
        "model": {
            "version": model.version,
            "ai_from": model.ai_from,
            "knows_until": model.knows_until,
            "rates": model.rates,
            "generators": expiry.read_header()["generators"],
        },
        "people": {"all": share(people, model), **groups(people, model)},
        "people by set": by(people, lambda text: text.people, model, SMALLEST_SET),
        "articles of known generators, unseen": against(known, people, model, lambda text: text.source),
        "the same, by kind of prompt": by(known, lambda text: text.domain, model, SMALLEST_SET // 2),
        "unknown generators": against(
            unknown, people, model, lambda text: SETS_OF.get(text.source, text.source)
        ),
        "the same, by generator": by(
            unknown, lambda text: f"{text.source}: {text.generator}", model, SMALLEST_SET
        ),
        "rewrites of people's texts": by(rewrites(folder, model), lambda text: text.domain, model, 1),
        "people's essays polished by a model": by(
            pool(sets.values()).where(lambda text: text.domain in POLISHED),
            lambda text: text.domain,
            model,
            1,
        ),
        "articles with two passages": passages(people, known, model),
        "sets of 2023 and 2024": {
            name: figures(found, model) for name, found in sets.items() if name not in today
        },
    }
    four = pool(sets[name] for name in OLD_FOUR if name in sets).where(
        lambda text: text.generator not in BASE_MODELS
    )
    results["sets of 2023 and 2024"]["four sets pooled"] = figures(four, model)
    pooled = pool([people, known, unknown])
    results["today's articles, debates and fiction with all people"] = {"all": figures(pooled, model)}
    results["peers, on the four sets"] = beside_peers(four, peer_texts)
    drawn = {"known": pool([people, known]), "unknown": pool([people, unknown]), "four old sets": four}
    return results, {name: (found.machine, found.probability) for name, found in drawn.items()}


KNOWN = ("articles_2026", "articles_2026_12", "maia_essays")
TODAY = (*KNOWN, "debate", "persuasion", "eq_longform_fiction")
SETS_OF = {"debate": "debates", "persuasion": "persuasion", "eq-longform": "fiction of generators left out"}


def judged(texts: list[data.Text], model: model_file.Model) -> Judged:
    return Judged(texts, probabilities([text.text for text in texts], model))


def pool(sets: Iterable[Judged]) -> Judged:
    parts = [*sets]
    return Judged(
        [text for part in parts for text in part.texts], np.concatenate([p.probability for p in parts])
    )


def rewrites(folder: Path, model: model_file.Model) -> Judged:
    path = folder / "train2026" / "rewrites_2026.jsonl.gz"
    texts = [text for text in data.read(path) if text.words >= FEWEST_WORDS]
    return judged([text for text in texts if clean(text.text)], model)


def passages(people: Judged, known: Judged, model: model_file.Model) -> dict[str, Any]:
    """Articles of two passages: by a person and a model, and by one person alone."""
    long = [text for text in people.texts if text.words >= 2 * PASSAGE_WORDS]
    halves = [_judged_words(long, model, start) for start in (0, PASSAGE_WORDS)]
    models = [text for text in known.texts if text.words >= PASSAGE_WORDS]
    written = _judged_words(models, model, 0)
    person = halves[0][: len(models)]
    found = (written >= model.passage_from) & (person < UNLIKE)
    wrong = (person >= model.passage_from) & (written < UNLIKE)
    alone = (np.max(halves, axis=0) >= model.passage_from) & (np.min(halves, axis=0) < UNLIKE)
    return {
        "of a person and a model: the model's passage is named": _rate(found),
        "of a person and a model: the person's is named instead": _rate(wrong),
        "of one person alone: a passage is named": _rate(alone),
    }


def _judged_words(texts: list[data.Text], model: model_file.Model, start: int) -> NDArray[np.float64]:
    pieces = [" ".join(text.text.split()[start : start + PASSAGE_WORDS]) for text in texts]
    return probabilities(pieces, model)


def _rate(hits: NDArray[np.bool_]) -> dict[str, Any]:
    count, total = int(hits.sum()), hits.size
    return {"texts": total, "ai": [round(each, 4) for each in (count / total, *measures.rates(count, total))]}


def share(found: Judged, model: model_file.Model) -> dict[str, Any]:
    """How many texts, and the share that got `ai` with its interval."""
    return _rate(found.probability >= model.ai_from)


def by(
    found: Judged, name: Callable[[data.Text], str], model: model_file.Model, least: int
) -> dict[str, Any]:
    """The share of each part with at least so many texts, the highest first."""
    places = defaultdict(list)
    for place, text in enumerate(found.texts):
        places[name(text)].append(place)
    parts = {
        key: share(Judged([found.texts[place] for place in at], found.probability[at]), model)
        for key, at in places.items()
        if len(at) >= least
    }
    return dict(sorted(parts.items(), key=lambda item: (-item[1]["ai"][0], item[0])))


def groups(people: Judged, model: model_file.Model) -> dict[str, Any]:
    def group(text: data.Text) -> str:
        names = (text.source, f"{text.source}: {text.domain}")
        return next((name for name, members in GROUPS.items() if set(members) & set(names)), "other")

    return by(people, group, model, SMALLEST_GROUP)


def against(
    found: Judged, people: Judged, model: model_file.Model, name: Callable[[data.Text], str]
) -> dict[str, Any]:
    """Each part of models' texts against all people: ranks, and the share that got `ai`."""
    parts = by(found, name, model, SMALLEST_SET)
    for key, row in {"all": share(found, model), **parts}.items():
        part = found if key == "all" else found.where(lambda text: name(text) == key)  # noqa: B023 -- called here
        both = pool([people, part])
        for measure_name, measure in (("auroc", measures.area), ("tpr_at_1_fpr", measures.recall_at)):
            row[measure_name] = _with_interval(measure, both)
        parts[key] = row
    return parts


def figures(found: Judged, model: model_file.Model) -> dict[str, Any]:
    """What can be said of a set of people's and models' texts, or of one kind alone."""
    machine = found.machine
    result: dict[str, Any] = {"human": int((~machine).sum()), "machine": int(machine.sum())}
    if min(result.values()) >= SMALLEST_SET:
        for name, measure in (
            ("auroc", measures.area),
            ("tpr_at_1_fpr", measures.recall_at),
            ("ece", measures.calibration_error),
        ):
            result[name] = _with_interval(measure, found)
    for name, of in (("people_ai", False), ("models_ai", True)):
        part = found.where(lambda text: text.machine is of)  # noqa: B023 -- called here
        if part.texts:
            result[name] = share(part, model)["ai"]
    return result


def _with_interval(measure: Callable[..., float], found: Judged) -> list[float]:
    low, high = measures.interval(measure, found.machine, found.probability)
    return [round(value, 4) for value in (measure(found.machine, found.probability), low, high)]


def beside_peers(pooled: Judged, count: int) -> dict[str, Any]:
    """Ours and the peers on the same texts, evenly taken from the pooled sets."""
    chosen = np.unique(np.linspace(0, len(pooled.texts) - 1, min(count, len(pooled.texts))).astype(int))
    if not count:
        return {}
    machine = pooled.machine[chosen]
    found, missing = peers.load()
    scores = {"Content Worker": pooled.probability[chosen]}
    for name, scorer in found.items():
        scores[name] = np.array([scorer(pooled.texts[place].text) for place in chosen])
    results: dict[str, Any] = {}
    for name, values in scores.items():
        results[name] = {"human": int((~machine).sum()), "machine": int(machine.sum())}
        for measure_name, measure in (("auroc", measures.area), ("tpr_at_1_fpr", measures.recall_at)):
            low, high = measures.interval(measure, machine, values)
            results[name][measure_name] = [round(v, 4) for v in (measure(machine, values), low, high)]
    return {**results, **{name: {"not installed": True} for name in missing}}


if __name__ == "__main__":
    main()
