"""CPU seconds per MB that parsing takes, beside trafilatura, and the detector on 2 MB.

    python benchmarks/parsing.py [--json] [--runs N]

The pages are made here: an article, menus, related stories and scripts, of 10 kB to 2 MB. The bars: parsing
takes at most half of trafilatura's time with metadata at any size, the detector on 2 MB a second.
"""

import argparse
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# The project is not a distribution: it runs from its folder, and so does this script.
sys.path.insert(0, str(ROOT))

from contentworker.editorial.detector.judging import judge  # noqa: E402 -- needs the path above
from contentworker.editorial.detector.model import shipped  # noqa: E402 -- needs the path above
from contentworker.editorial.document import parse  # noqa: E402 -- needs the path above
from contentworker.editorial.settings import ContentSettings  # noqa: E402 -- needs the path above

SETTINGS = ContentSettings(max_bytes=3_000_000)
SIZES = {"10 kB": 10_000, "100 kB": 100_000, "1 MB": 1_000_000, "2 MB": 2_000_000}
LARGEST_SHARE = 0.5
MOST_DETECTOR_SECONDS = 1.0
SCRIPT = "<script>var settings = {'ads': [1, 2, 3], 'page': 'article', 'user': null};</script>"


def page(size: int) -> str:
    """A page of about so many characters, two thirds of it scripts and what a site puts around an article."""
    example = (ROOT / "examples" / "how-leap-years-work.html").read_text("utf-8")
    prose = [part for part in example.partition("<main>")[2].split("\n") if "<p>" in part or len(part) > 80]
    story = "<p>" + "</p><p>".join(" ".join(prose[step::7]) for step in range(7)) + "</p>"
    links = "".join(f'<li class="item"><a href="/{n}">Story {n} of the day</a></li>' for n in range(20))
    menu = f'<div class="nav menu"><ul>{links}</ul></div>'
    around = f'{menu}{SCRIPT * 80}<div class="related"><ul>{links}</ul></div>'
    number = max(1, size // (len(story) + len(around)))
    article = f"<main><h1>Leap years</h1>{story * number}</main>"
    return f"<html><head><title>Leap years</title></head><body>{article}{around * number}</body></html>"


def cpu_seconds(work: Callable[[], object], runs: int) -> float:
    """Median processor time of a call."""
    times = []
    for _ in range(runs):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return statistics.median(times)


def main() -> int:
    """Print a row for each size; end with 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    has_peer = importlib.util.find_spec("trafilatura") is not None
    rows: list[dict[str, Any]] = []
    for name, size in SIZES.items():
        source = page(size)
        megabytes = len(source) / 1e6
        ours = partial(parse, source, settings=SETTINGS)
        row: dict[str, Any] = {"size": name, "ours": cpu_seconds(ours, options.runs) / megabytes}
        if has_peer:
            import trafilatura

            theirs = partial(trafilatura.bare_extraction, source, with_metadata=True)
            row["trafilatura"] = cpu_seconds(theirs, options.runs) / megabytes
        rows.append(row)
    document = parse(page(SIZES["2 MB"]), settings=SETTINGS)
    shipped()
    detector = cpu_seconds(lambda: judge(document, model=shipped(), settings=SETTINGS), options.runs)
    missed = [row["size"] for row in rows if has_peer and row["ours"] > LARGEST_SHARE * row["trafilatura"]]
    if options.json:
        print(json.dumps({"parse_cpu_seconds_per_mb": rows, "detector_2mb_cpu_seconds": detector}))
    else:
        print("CPU seconds per MB")
        for row in rows:
            peer = f"{row['trafilatura']:.3f}" if has_peer else "not installed"
            print(f"{row['size']:>7}  ours {row['ours']:.3f}  trafilatura {peer}")
        print(f"detector on 2 MB: {detector:.2f} s")
        print(f"missed at: {', '.join(missed)}" if missed else "all bars reached")
    return int(bool(missed) or detector > MOST_DETECTOR_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
