"""Measure the shipped detector on every hold-out, beside its peers. README.md says how to read the figures.

    nox -s evaluate-detector -- --data DIR [--output DIR] [--peers N]

It writes results.json, results.md, roc.svg and calibration.svg. Texts are judged as they are in the sets, of
any length; what the detector would abstain from is left in, and said by length.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent.parent
# The project is not a distribution: it runs from its folder, and so does this script.
sys.path.insert(0, str(ROOT))

from contentworker.editorial.detector import model as model_file  # noqa: E402 -- needs the path above
from contentworker.editorial.detector.scoring import probabilities  # noqa: E402 -- needs the path above
from research.detector import data, measures, peers, plots  # noqa: E402 -- needs the path above

BASE_MODELS = ("davinci",)
POOLED = ("lastde", "detectrl", "fastdetect", "glimpse")
"""The four unseen sets that are read together, direct prompts only and without the base model."""
LENGTHS = ((0, 30), (30, 50), (50, 75), (75, 120), (120, 200), (200, 300), (300, 2_000))
LAST_WORDS = (30, 50, 75, 100, 150, 200)
SMALLEST_GROUP = 20


class Judged(NamedTuple):
    """A set's texts with what the detector made of them."""

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
    parser.add_argument(
        "--peers", type=int, default=1_400, help="texts to measure the peers on (default 1400)"
    )
    options = parser.parse_args()
    results, sets = evaluate(options.data, options.peers)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "results.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    (options.output / "results.md").write_text(tables(results), "utf-8")
    pooled = pool(sets)
    curves = {name: (found.machine, found.probability) for name, found in {"pooled": pooled, **sets}.items()}
    drawn = {name: curves[name] for name in ("pooled", "indomain", *POOLED) if name in curves}
    (options.output / "roc.svg").write_text(plots.roc(drawn), "utf-8")
    (options.output / "calibration.svg").write_text(plots.calibration(drawn), "utf-8")
    print(tables(results))


def evaluate(folder: Path, peer_texts: int) -> tuple[dict[str, Any], dict[str, Judged]]:
    """All figures, and the judged sets that they are made of."""
    model = model_file.shipped()
    sets = {}
    seen: set[int] = set()
    for path in data.holdout_files(folder):
        name = path.name.partition(".")[0]
        sets[name] = judged(data.read(path), model)
        seen |= {gram for text in sets[name].texts for gram in data.grams(text.text)}
    calibration = data.read(folder / "calib.jsonl.gz")
    seen |= {gram for text in calibration for gram in data.grams(text.text)}
    sets["formal"] = judged(data.formal_parts(folder, seen)["hold out"], model)
    pooled = pool(sets)
    results: dict[str, Any] = {
        "model": {"version": model.version, "ai_from": model.ai_from},
        "headline": {"four unseen sets": figures(pooled, model)},
        "by set": {name: figures(found, model) for name, found in sets.items()},
        "by generator": generators(sets, model),
        "by domain": domains(sets, model),
        "by length": {
            f"{low}-{high} words": figures(pooled.where(between(low, high)), model) for low, high in LENGTHS
        },
        "by last words": last_words(pooled, model),
        "human writers": writers(sets, model),
        "peers": beside_peers(pooled, peer_texts),
    }
    results["headline"]["same, 75 words and more: what it judges"] = figures(
        pooled.where(between(75, 9_999)), model
    )
    results["headline"]["same, 120-200 words"] = figures(pooled.where(between(120, 201)), model)
    return results, sets


def judged(texts: list[data.Text], model: model_file.Model) -> Judged:
    return Judged(texts, probabilities([text.text for text in texts], model))


def pool(sets: dict[str, Judged]) -> Judged:
    """The sets of POOLED as one."""
    parts = [
        sets[name].where(lambda text: text.generator not in BASE_MODELS) for name in POOLED if name in sets
    ]
    return Judged(
        [text for part in parts for text in part.texts], np.concatenate([p.probability for p in parts])
    )


def between(low: int, high: int) -> Callable[[data.Text], bool]:
    return lambda text: low <= len(text.text.split()) < high


def figures(found: Judged, model: model_file.Model) -> dict[str, Any]:
    """What can be said of these texts: of one kind only, the share that got each verdict."""
    machine, probability = found.machine, found.probability
    result: dict[str, Any] = {"human": int((~machine).sum()), "machine": int(machine.sum())}
    if min(result.values()) >= SMALLEST_GROUP:
        for name, measure in (
            ("auroc", measures.area),
            ("tpr_at_1_fpr", measures.recall_at),
            ("ece", measures.calibration_error),
        ):
            value = measure(machine, probability)
            low, high = measures.interval(measure, machine, probability)
            result[name] = [round(value, 4), round(low, 4), round(high, 4)]
    for name, of in (("false_positive_rate", ~machine), ("recall", machine)):
        if of.sum():
            hits = int((probability[of] >= model.ai_from).sum())
            low, high = measures.rates(hits, int(of.sum()))
            result[name] = [round(hits / int(of.sum()), 4), round(low, 4), round(high, 4)]
    return result


def generators(sets: dict[str, Judged], model: model_file.Model) -> dict[str, Any]:
    """Each generator of each set, against the set's human texts."""
    results = {}
    for name, found in sets.items():
        for generator in sorted({text.generator for text in found.texts if text.machine}):
            part = found.where(lambda text: not text.machine or text.generator == generator)  # noqa: B023 -- called here
            if part.machine.sum() >= SMALLEST_GROUP:
                results[f"{name}: {generator}"] = figures(part, model)
    return results


def domains(sets: dict[str, Judged], model: model_file.Model) -> dict[str, Any]:
    results = {}
    for name, found in sets.items():
        for domain in sorted({text.domain for text in found.texts}):
            part = found.where(lambda text: text.domain == domain and text.generator not in BASE_MODELS)  # noqa: B023 -- called here
            if len(part.texts) >= SMALLEST_GROUP:
                results[f"{name}: {domain}"] = figures(part, model)
    return results


def last_words(pooled: Judged, model: model_file.Model) -> dict[str, Any]:
    """The last words of long texts: from the start, some machine texts repeat a human beginning."""
    long = [text for text in pooled.texts if len(text.text.split()) >= max(LAST_WORDS)]
    results = {}
    for count in LAST_WORDS:
        cut = [replace(text, text=" ".join(text.text.split()[-count:])) for text in long]
        results[f"last {count} words"] = figures(judged(cut, model), model)
    return results


def writers(sets: dict[str, Judged], model: model_file.Model) -> dict[str, Any]:
    """How often a human text gets `ai`, by who wrote it."""
    groups: dict[str, list[float]] = defaultdict(list)
    for name, found in sets.items():
        for text, probability in zip(found.texts, found.probability, strict=True):
            if not text.machine:
                note = "" if text.generator == "human" else f" ({text.generator})"
                groups[f"{name}: {text.domain}{note}"].append(float(probability))
    results: dict[str, dict[str, Any]] = {}
    for name, values in groups.items():
        if len(values) >= SMALLEST_GROUP:
            hits = sum(value >= model.ai_from for value in values)
            low, high = measures.rates(hits, len(values))
            half = sum(value >= 0.5 for value in values) / len(values)
            results[name] = {
                "human": len(values),
                "false_positive_rate": [round(hits / len(values), 4), round(low, 4), round(high, 4)],
                "at_one_half": round(half, 4),
            }
    return dict(sorted(results.items(), key=lambda item: -item[1]["false_positive_rate"][0]))


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


def tables(results: dict[str, Any]) -> str:
    """The figures as Markdown, one table a section."""
    version = results["model"]
    lines = [
        f"Model {version['version']}: `ai` from {version['ai_from']} on. In brackets: 95 % intervals.",
    ]
    heads = ("auroc", "tpr_at_1_fpr", "ece", "false_positive_rate", "recall")
    titles = ("AUROC", "TPR at 1 % FPR", "ECE", "human texts with `ai`", "models' texts with `ai`")
    for section, rows in results.items():
        if section == "model" or not rows:
            continue
        lines += [
            "",
            f"## {section}",
            "",
            "| | human | machine | " + " | ".join(titles) + " |",
            "|---" * 8 + "|",
        ]
        for name, row in rows.items():
            cells = [_cell(row.get(head), share=head not in ("auroc", "ece")) for head in heads]
            lines.append(
                f"| {name} | {row.get('human', '')} | {row.get('machine', '')} | {' | '.join(cells)} |"
            )
    return "\n".join(lines) + "\n"


def _cell(figure: list[float] | None, *, share: bool) -> str:
    if figure is None:
        return ""
    if share:
        return "{:.1f} % ({:.1f}-{:.1f})".format(*(100 * value for value in figure))
    # Four places: with three, .9848 would read as if it reached a bar of .985.
    return "{:.4f} ({:.4f}-{:.4f})".format(*figure)


if __name__ == "__main__":
    main()
