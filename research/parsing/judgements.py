"""How many recommendations and driving sentences point outside of the article, on the AEB.

    python research/parsing/judgements.py DIR

It runs with the code of the folder that it is started in, so that two versions can be compared.
"""

import gzip
import json
import re
import sys
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))

from contentworker.editorial.aeo.scoring import score
from contentworker.editorial.detector.judging import judge
from contentworker.editorial.detector.model import shipped
from contentworker.editorial.document import parse
from contentworker.editorial.settings import ContentSettings

SETTINGS = ContentSettings(max_bytes=50_000_000)
DAY = date(2019, 12, 1)
"""The pages were saved in November 2019."""


def _is_outside(text: str, article: str) -> bool:
    """Whether less than half of the text, in shingles of 4 words, is in the article."""
    words = re.findall(r"\w+", text)
    known = " ".join(["", *re.findall(r"\w+", article), ""])
    size = min(4, len(words))
    shingles = [" ".join(words[start : start + size]) for start in range(len(words) - size + 1)]
    return 2 * sum(f" {shingle} " in known for shingle in shingles) < len(shingles)


def main() -> None:
    """Print the counts."""
    root = Path(sys.argv[1]) / "article-extraction-benchmark"
    counts = dict.fromkeys(
        ("pages", "recommendations", "outside", "first outside", "driving", "driving outside", "passed"), 0
    )
    for name, truth in sorted(json.loads((root / "ground-truth.json").read_text("utf-8")).items()):
        source = gzip.decompress((root / "html" / f"{name}.html.gz").read_bytes()).decode("utf-8", "replace")
        article = truth["articleBody"]
        document = parse(source, media_type="html", settings=SETTINGS)
        title = document.title.text if document.title else ""
        headings = {heading.start: heading.text for heading in document.headings}
        found = score(document, today=DAY, settings=SETTINGS)
        counts["pages"] += 1
        counts["passed"] += found.score >= 60
        first = True
        for advice in found.recommendations:
            if advice.start is None or advice.end is None:
                continue
            # The title is the article's own, though the benchmark leaves it out of the text.
            text = headings.get(advice.start) or " ".join(
                sentence.text
                for sentence in document.sentences
                if advice.start <= sentence.start < advice.end
            )
            outside = bool(text) and text != title and _is_outside(text, f"{title} {article}")
            counts["recommendations"] += 1
            counts["outside"] += outside
            counts["first outside"] += outside and first
            first = False
        for sentence in judge(document, model=shipped(), settings=SETTINGS).sentences:
            text = source[sentence.start : sentence.end]
            whole = next((each.text for each in document.sentences if each.start == sentence.start), text)
            counts["driving"] += 1
            counts["driving outside"] += _is_outside(whole, article)
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
