"""Turn checkouts of public repositories into texts to measure on, and human texts to train on.

    python research/detector/gather.py --clones DIR --output DIR

`--clones` holds git checkouts named `owner+name`; README.md beside this file says which, with their licences.
Those that are missing are named and left out. The same clones give the same bytes.
"""

import argparse
import gzip
import html
import io
import json
import re
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
# The project is not a distribution: it runs from its folder, and so does this script.
sys.path.insert(0, str(ROOT))

from contentworker.editorial.document import parse  # noqa: E402 -- needs the path above
from contentworker.editorial.settings import ContentSettings  # noqa: E402 -- likewise
from research.detector.data import hash_of  # noqa: E402 -- likewise

FEWEST_WORDS, MOST_WORDS = 75, 500
MOST_PER_GROUP = 400
MOST_PER_GENERATOR = 45
LAST_HUMAN_YEAR = 2021
"""Text of a later year may be a model's."""
Row = dict[str, Any]


class Clone:
    """The files of a repository's newest commit, read with git alone: no work tree is needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self, under: str, ending: str) -> list[str]:
        listed = self._git("ls-tree", "-r", "-z", "--name-only", "HEAD", "--", under).decode().split("\0")
        return [name for name in listed if name.endswith(ending)]

    def read(self, name: str) -> bytes:
        return self._git("show", f"HEAD:{name}")

    def texts(self, under: str, ending: str) -> Iterator[tuple[str, str]]:
        """Every file's name and text, in one call of git: there may be thousands."""
        names = self.names(under, ending)
        asked = "".join(f"HEAD:{name}\n" for name in names).encode()
        command = ["git", "-C", str(self._folder), "cat-file", "--batch"]
        answer = io.BytesIO(subprocess.run(command, input=asked, capture_output=True, check=True).stdout)
        for name in names:
            size = int(answer.readline().split()[2])
            yield name, answer.read(size).decode("utf-8", "replace")
            answer.read(1)

    def _git(self, *arguments: str) -> bytes:
        return subprocess.run(
            ["git", "-C", str(self._folder), *arguments], capture_output=True, check=True
        ).stdout


def row(  # noqa: PLR0917 (the fields of a text, in the order of the files)
    text: str, source: str, domain: str, group: str, licence: str, generator: str = "human"
) -> Row:
    label = int(generator != "human")
    return {
        "text": text, "label": label, "source": source, "generator": generator, "domain": domain,
        "group": group, "licence": licence,
    }  # fmt: skip


def excerpt(paragraphs: list[str]) -> str:
    """Whole paragraphs up to MOST_WORDS, from a quarter of the way on: titles and greetings come first."""
    long = [each for each in (" ".join(part.split()) for part in paragraphs) if len(each.split()) >= 15]
    chosen: list[str] = []
    words = 0
    for paragraph in long[len(long) // 4 :]:
        words += len(paragraph.split())
        if chosen and words > MOST_WORDS:
            break
        chosen.append(paragraph)
    return " ".join(" ".join(chosen).split()[: 2 * MOST_WORDS])


def prose(source: str) -> str:
    """What the detector would judge of a Markdown file."""
    source = re.sub(r"\]\(\{[{%].*?[}%]\}[^)]*\)|\{[{%].*?[}%]\}", "]", source)
    document = parse(source, media_type="markdown", settings=ContentSettings())
    found = [each.text for each in document.sentences if each.kind == "paragraph"]
    return " ".join(" ".join(found).split()[: 2 * MOST_WORDS])


def student_papers(clone: Clone) -> Iterator[Row]:
    for name, text in clone.texts("corpus/MICUSP_XML", ".xml"):
        body = re.sub(
            r"(?s)<(head|note|table|figure|quote|q|bibl|listBibl)\b.*?</\1>", " ", text.partition("<body>")[2]
        )
        parts = [
            html.unescape(re.sub(r"<[^>]+>", "", part)) for part in re.findall(r"(?s)<p>(.*?)</p>", body)
        ]
        paper = Path(name).stem
        yield row(
            excerpt(parts), "micusp", f"student-{name.split('/')[-2]}", paper, "study, teaching and research"
        )


def lab_reports(clone: Clone) -> Iterator[Row]:
    for name, text in clone.texts("Deidentified_Reports", ".txt"):
        body = text.partition("Title:")[2].partition("Literature Cited")[0]
        yield row(excerpt(body.splitlines()), "swp", "student-report", Path(name).stem, "CC BY-NC-SA 4.0")


def paper_abstracts(clone: Clone) -> Iterator[Row]:
    lines = clone.read("paperlist.tsv").decode().splitlines()[1:]
    for paper, *_, abstract in (line.split("\t") for line in lines):
        yield row(abstract.strip('" '), "iclr-2021", "abstract", paper, "none stated")


def government_blog(clone: Clone) -> Iterator[Row]:
    for name, text in clone.texts("content/posts", ".md"):
        year = Path(name).name[:4]
        if year.isdigit() and int(year) <= LAST_HUMAN_YEAR:
            yield row(prose(text), "18f", "blog", Path(name).stem, "CC0-1.0")


def rust_blog(clone: Clone) -> Iterator[Row]:
    for name, text in clone.texts("content", ".md"):
        dated = re.search(r'^path = "(?:inside-rust/)?(\d{4})/', text, re.MULTILINE)
        if dated and int(dated[1]) <= LAST_HUMAN_YEAR:
            yield row(prose(text), "rust-blog", "blog", Path(name).stem, "MIT OR Apache-2.0")


def brown(clone: Clone) -> Iterator[Row]:
    with zipfile.ZipFile(io.BytesIO(clone.read("packages/corpora/brown.zip"))) as file:
        kinds = dict(line.split() for line in file.read("brown/cats.txt").decode().splitlines() if line)
        for name, kind in kinds.items():
            tagged = file.read(f"brown/{name}").decode()
            words = [word.rpartition("/")[0] for word in tagged.split()]
            text = re.sub(r"`` ?", '"', " ".join(words))
            text = re.sub(r" ?''", '"', text)
            text = re.sub(r" ([,.;:?!)])", r"\1", re.sub(r"([;:?!]) \1", r"\1", text)).replace("( ", "(")
            body = " ".join(text.split()[100 : 100 + MOST_WORDS])
            yield row(body, "brown", f"brown-{kind}", name, "non-commercial")


def debates(clone: Clone) -> Iterator[Row]:
    for name, text in clone.texts("transcripts", ".md"):
        for turn in re.findall(r"(?s)^## Turn \d+: \w+ Opening\n(.*?)(?=^## |\Z)", text, re.MULTILINE):
            model = re.search(r"^- model: (\S+)", turn, re.MULTILINE)
            speech = re.sub(
                r"\[[PC]\d+\.\d+\] ?", "", "\n".join(line for line in turn.splitlines() if line[:2] != "- ")
            )
            if model:
                yield row(
                    speech, "debate", "debate", f"{Path(name).stem} {model[1]}", "none stated", model[1]
                )


def persuasion(clone: Clone) -> Iterator[Row]:
    for name, text in clone.texts("transcripts", ".md"):
        turn = text.partition("## Turn 1\n")[2].partition("\n## ")[0]
        model = re.search(r"speaker_model: `([^`]+)`", turn)
        speech = "\n".join(line for line in turn.splitlines() if not line.startswith("- speaker_"))
        if model:
            yield row(speech, "persuasion", "persuasion", Path(name).stem, "none stated", model[1])


SOURCES = {
    "micusp": ("mbod+MICUSP", student_papers),
    "swp": ("adanieljohnson+SWP_Student_Reports_Archive", lab_reports),
    "iclr": ("evanzd+ICLR2021-OpenReviewData", paper_abstracts),
    "18f": ("18F+18f.gsa.gov", government_blog),
    "rust": ("rust-lang+blog.rust-lang.org", rust_blog),
    "brown": ("nltk+nltk_data", brown),
    "debate": ("lechmazur+debate", debates),
    "persuasion": ("lechmazur+persuasion", persuasion),
}  # fmt: skip


def chosen(rows: Iterator[Row]) -> list[Row]:
    """Long enough ones, at most so many of a generator or a domain: which ones, a hash decides."""
    counts: Counter[str] = Counter()
    kept = []
    for each in sorted(rows, key=lambda each: hash_of(each["group"])):
        kind, most = (
            (each["generator"], MOST_PER_GENERATOR) if each["label"] else (each["domain"], MOST_PER_GROUP)
        )
        if counts[kind] < most and len(each["text"].split()) >= FEWEST_WORDS:
            counts[kind] += 1
            kept.append(each)
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description="Gather texts from checkouts of public repositories.")
    parser.add_argument("--clones", type=Path, required=True, help="the folder with the checkouts")
    parser.add_argument("--output", type=Path, required=True, help="the folder to write to")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for name, (repository, source) in SOURCES.items():
        folder = options.clones / repository
        if not folder.exists():
            print(f"{name}: left out, {folder} is missing")
            continue
        rows = chosen(source(Clone(folder)))
        lines = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows)
        (options.output / f"{name}.jsonl.gz").write_bytes(gzip.compress(lines.encode(), mtime=0))
        print(f"{name}: {len(rows)} texts")


if __name__ == "__main__":
    main()
