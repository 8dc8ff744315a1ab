"""Time the detector against three published detectors that also need no GPU, in one run, on the same texts.

    python benchmarks/detector.py [--json] [--runs N] [--texts N]

The peers are aifingerprint, ZipPy and lmscan; each is called as its own documentation does, on text that is
already in memory and of about 200 words. Those that are not installed are left out and said to be.

- in batches: all texts at once, cleaning and all, to probabilities. The peers have no such call and get the
  texts one after another, which is all they can do.
- one at a time: each text alone to its probability, which is how the peers are timed.
- judged: parse the article, judge it, and say which sentences drove it, as the task does.

The scorers take turns run by run; each figure is the median over the runs. The bar is 25 times the fastest
peer in batches and 10 times one at a time. Then a process loads the model, forks two children that judge,
and says what it takes and how much of it the children share.
"""

import argparse
import gc
import importlib
import json
import os
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# The project is not a distribution: it runs from its folder, and so does this script.
sys.path.insert(0, str(ROOT))

from benchmarks._peers import importable  # noqa: E402 -- needs the path above
from contentworker.editorial.detector.cleaning import clean  # noqa: E402 -- needs the path above
from contentworker.editorial.detector.judging import judge  # noqa: E402 -- needs the path above
from contentworker.editorial.detector.model import shipped  # noqa: E402 -- needs the path above
from contentworker.editorial.detector.scoring import probabilities  # noqa: E402 -- needs the path above
from contentworker.editorial.document import parse  # noqa: E402 -- needs the path above
from contentworker.editorial.settings import ContentSettings  # noqa: E402 -- needs the path above

SETTINGS = ContentSettings()
WORDS = 200
CHILDREN = 2


def texts(count: int) -> list[str]:
    """Texts of whole sentences and about 200 words, each another mixture of the sample in tests/data."""
    sample = json.loads((ROOT / "tests" / "data" / "detector.json").read_text("utf-8"))
    sentences = [found for row in sample for found in re.findall(r"[^.!?]+[.!?]+[\"']?\s*", row["text"])]
    found = []
    for number in range(count):
        text, step = "", number * 7
        while len(text.split()) < WORDS:
            text += sentences[step % len(sentences)].strip() + " "
            step += 1
        found.append(text.strip())
    return found


def one_at_a_time(articles: list[str]) -> None:
    model = shipped()
    for article in articles:
        probabilities([clean(article)], model)


def judged(articles: list[str]) -> None:
    model = shipped()
    for article in articles:
        judge(parse(article, media_type="text", settings=SETTINGS), model=model, settings=SETTINGS)


def in_batches(articles: list[str]) -> None:
    probabilities([clean(article) for article in articles], shipped())


def each(scorer: Callable[[str], object]) -> Callable[[list[str]], None]:
    def run(articles: list[str]) -> None:
        for article in articles:
            scorer(article)

    return run


def peers() -> tuple[dict[str, Callable[[str], object]], list[str]]:
    """The peers that can be imported, and the names of those that cannot."""
    loaders: dict[str, Callable[[], Callable[[str], object]]] = {
        "aifingerprint": lambda: importlib.import_module("aifingerprint").analyze,
        "ZipPy": lambda: importlib.import_module("zippy.zippy").Zippy().run_on_text_chunked,
        "lmscan": lambda: importlib.import_module("lmscan").scan,
    }
    return importable(loaders)


def measure(articles: list[str], runs: int) -> dict[str, Any]:
    """Texts a second of each scorer."""
    others, missing = peers()
    scorers = {
        "Content Worker, in batches": in_batches,
        "Content Worker, one at a time": one_at_a_time,
        "Content Worker, judged": judged,
        **{name: each(scorer) for name, scorer in others.items()},
    }
    for scorer in scorers.values():
        scorer(articles[:3])
    seconds: dict[str, list[float]] = {name: [] for name in scorers}
    for _ in range(runs):
        for name, scorer in scorers.items():
            # The peers are slow: a fifth of the texts tells as much of them.
            share = articles[: max(1, len(articles) // 5)] if name in others else articles
            gc.collect()
            begin = time.perf_counter()
            scorer(share)
            seconds[name].append((time.perf_counter() - begin) / len(share))
    speeds = {name: 1 / statistics.median(values) for name, values in seconds.items()}
    fastest = max(others, key=lambda name: speeds[name], default=None)
    result: dict[str, Any] = {
        "texts_per_second": {name: round(value, 1) for name, value in speeds.items()},
        "fastest_peer": fastest,
        "peers_not_installed": missing,
        "texts": len(articles),
        "runs": runs,
    }
    if fastest:
        result["times_as_fast_in_batches"] = round(speeds["Content Worker, in batches"] / speeds[fastest], 1)
        for name in ("one at a time", "judged"):
            ratio = speeds[f"Content Worker, {name}"] / speeds[fastest]
            result[f"times_as_fast_{name.replace(' ', '_')}"] = round(ratio, 1)
    return result


def memory(articles: list[str]) -> dict[str, float]:
    """Megabytes of a child that has judged, and how much of that it shares with its parent (Linux only)."""
    if not sys.platform.startswith("linux"):
        return {}
    shipped()
    gc.freeze()
    pipes = []
    for _ in range(CHILDREN):
        reading, writing = os.pipe()
        if os.fork() == 0:
            judged(articles[:50])
            os.write(writing, Path("/proc/self/smaps_rollup").read_bytes())
            os._exit(0)
        os.close(writing)
        pipes.append(reading)
    answers = []
    for reading in pipes:
        with os.fdopen(reading, encoding="ascii") as pipe:
            answers.append(pipe.read())
    for _ in range(CHILDREN):
        os.wait()
    return {
        name: round(statistics.mean(_kilobytes(answer, field) for answer in answers) / 1_000, 1)
        for name, field in (("resident", "Rss"), ("proportional", "Pss"), ("own", "Private_Dirty"))
    }


def _kilobytes(rollup: str, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(found[1]) if found else 0


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the detector against three published ones.")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--runs", type=int, default=5, help="runs over all texts (default 5)")
    parser.add_argument("--texts", type=int, default=200, help="how many different texts (default 200)")
    options = parser.parse_args()
    articles = texts(options.texts)
    # Memory first, before the peers are loaded into this process.
    used = memory(articles)
    result = {**measure(articles, options.runs), "megabytes_of_a_child": used}
    print(json.dumps(result, indent=2) if options.json else table(result))


def table(result: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [f"{result['texts']} texts of about {WORDS} words, median of {result['runs']} runs"]
    lines += [f"{name:<32}{value:>10.1f} texts/s" for name, value in result["texts_per_second"].items()]
    if result["fastest_peer"]:
        lines.append(
            f"{result['times_as_fast_in_batches']} times as fast as {result['fastest_peer']} in batches, "
            f"{result['times_as_fast_one_at_a_time']} times one at a time, "
            f"{result['times_as_fast_judged']} times judged"
        )
    lines += [f"not installed, not compared: {peer}" for peer in result["peers_not_installed"]]
    if result["megabytes_of_a_child"]:
        used = ", ".join(f"{name} {value} MB" for name, value in result["megabytes_of_a_child"].items())
        lines.append(f"memory of a pool process that has judged: {used}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
