"""Time AEO scoring against three published scorers, in one run, on the same pages.

    python benchmarks/aeo.py [--json] [--runs N] [--pages N]

The peers are citation-ready, geo-score-core and consumableai-aeo; each is called on HTML that is already
in memory, so that nothing but its own work is timed. The scorers take turns, page by page and run by run,
which shares out whatever else the machine is doing; each figure is the median over runs of the mean per
page. A peer that is not installed is left out and said to be.

Four styles of page carry the same articles of about 1,400 words:

- bare (about 10 kB): the article in the least markup that holds it. Files and generators of tests look
  like this, published pages hardly ever do.
- lean (about 80 kB): the page of a small site with a theme.
- full (about 220 kB): the page of a publishing system, the kind a scorer meets when it is given a URL.
- anonymous: full pages whose JSON-LD names no publisher.

Lean and full pages have the same parts: meta tags and JSON-LD (article, publisher, breadcrumbs), inline CSS,
the page's state as JSON with the article in it once more, short scripts, a menu in the header and in the
footer, teasers with pictures, readers' comments. A full page has about three times as much of each as a
lean one. The sizes are our own choice, and no survey is behind them.

What to expect: citation-ready runs about fifteen regular expressions over the source and parses nothing,
so its time grows with the markup and ours mostly with the text; on bare pages it is several times as fast
as we are. It also stops at the first hit: where JSON-LD names a publisher, as it does on most news pages,
it never runs its slowest expression, which looks for links to social networks. Anonymous pages show what it
takes where it does. The bar is 3 times the fastest peer. On lean and full pages it holds against the two
peers that parse the page; against citation-ready it holds on none of these pages.
"""

import argparse
import datetime
import gc
import html
import importlib
import json
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
from contentworker.editorial.aeo.scoring import score  # noqa: E402 -- needs the path above
from contentworker.editorial.document import parse  # noqa: E402 -- needs the path above
from contentworker.editorial.settings import ContentSettings  # noqa: E402 -- needs the path above

SETTINGS = ContentSettings()
TODAY = datetime.date(2026, 1, 1)
QUESTION = "Why is the sky blue?"
WORDS_PER_PAGE = 1_400
EXAMPLES = ("why-is-the-sky-blue.md", "how-leap-years-work.html", "thoughts-on-tea.txt")
Scorer = Callable[[str], object]


def paragraphs() -> list[tuple[str, str]]:
    """(heading, paragraph) of every passage of the examples, in order."""
    found = []
    for name in EXAMPLES:
        document = parse((ROOT / "examples" / name).read_bytes(), settings=SETTINGS)
        for passage in document.passages:
            heading = passage.path[-1].text if passage.path else name
            found.append((heading, " ".join(sentence.text for sentence in passage.sentences)))
    return found


def article(number: int) -> str:
    """About 1,400 words in sections, with links, a list and a table; another mixture for each number."""
    stock = paragraphs()
    sections: list[str] = []
    words = 0
    for step in range(1_000):
        heading, text = stock[(number * 5 + step) % len(stock)]
        words += len(text.split())
        first, *rest = html.escape(text).split(" ")
        link = f'<a href="https://source{step % 4}.example.org/{number}">{rest.pop() if rest else first}</a>'
        body = f"<p><strong>{first}</strong> {' '.join(rest)} {link}</p>"
        sections.append(f"<h2>{html.escape(heading)}</h2>\n{body}")
        if words >= WORDS_PER_PAGE:
            break
    rows = "".join(f"<tr><td>Row {row}</td><td>{row * 10} nm</td></tr>" for row in range(8))
    return "\n".join([*sections, f"<table>{rows}</table>", "<ul><li>one</li><li>two</li></ul>"])


def head(number: int, *, with_publisher: bool = True) -> str:
    publisher = {"@type": "Organization", "name": "Example", "logo": "https://www.example.com/logo.png"}
    news = {
        "@context": "https://schema.org",
        "@type": "NewsArticle",
        "headline": QUESTION,
        "datePublished": "2025-10-30",
        "dateModified": "2025-11-01",
        "author": {"@type": "Person", "name": "Ada Example"},
        **({"publisher": publisher} if with_publisher else {}),
    }
    crumbs = {"@context": "https://schema.org", "@type": "BreadcrumbList", "itemListElement": []}
    return (
        f'<meta charset="utf-8"><title>{QUESTION} Page {number}</title>'
        '<meta name="description" content="A page for timing.">'
        '<link rel="canonical" href="https://www.example.com/">'
        f'<script type="application/ld+json">{json.dumps(news)}</script>'
        f'<script type="application/ld+json">{json.dumps(crumbs)}</script>'
    )


def bare_page(number: int) -> str:
    """The article in the least markup that carries it."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head(number)}</head>\n'
        f"<body><main><h1>{QUESTION}</h1>\n{article(number)}</main></body></html>"
    )


def lean_page(number: int) -> str:
    return published_page(number, parts=17)


def full_page(number: int) -> str:
    return published_page(number, parts=58)


def anonymous_page(number: int) -> str:
    return published_page(number, parts=58, with_publisher=False)


def published_page(number: int, parts: int, *, with_publisher: bool = True) -> str:
    """The article as a publishing system delivers it, with `parts` of each thing around it."""
    text = article(number)
    state = {
        "page": {"id": number, "title": QUESTION, "body": text},
        "teasers": teaser_data(parts),
        "comments": [{"id": n, "by": f"Reader {n}", "text": comment_text(n)} for n in range(parts)],
    }
    # "</" would end the script: systems write it as an escape.
    state_json = json.dumps(state).replace("</", "<\\/")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>'
        f"{head(number, with_publisher=with_publisher)}{social(number)}"
        f"<style>{styles(parts * 20)}</style>{scripts(parts)}</head>\n"
        f'<body class="t-article"><header>{menu(parts * 2)}</header>'
        f'<main><article class="c-article"><h1>{QUESTION}</h1>\n{text}</article></main>'
        f'<aside class="c-related"><h2>Read next</h2>{teasers(parts)}</aside>'
        f'<section class="c-comments"><h2>Comments</h2>{comments(parts)}</section>'
        f"<footer>{menu(parts)}<p>&copy; Example</p></footer>"
        f"<script>window.__STATE__={state_json}</script></body></html>"
    )


def social(number: int) -> str:
    names = ("title", "type", "image", "url", "site_name", "locale")
    return "".join(f'<meta property="og:{name}" content="{name} of page {number}">' for name in names)


def styles(rules: int) -> str:
    return "\n".join(
        f".c-card--{item} > .c-card__title{{display:block;margin:{item}px 0;color:#123456}}"
        for item in range(rules)
    )


def scripts(count: int) -> str:
    return "".join(
        f'<script async src="/assets/part-{n}.js"></script>'
        f"<script>window.queue=window.queue||[];queue.push({{event:'view',slot:{n},test:n<{n}}});</script>"
        for n in range(count)
    )


def menu(entries: int) -> str:
    items = "".join(
        f'<li class="c-menu__item"><a class="c-menu__link" href="/section/{item}"><svg class="c-icon" '
        f'width="16" height="16" aria-hidden="true"><use href="#icon-{item}"></use></svg>'
        f"<span>Section {item}</span></a></li>"
        for item in range(entries)
    )
    return f'<nav aria-label="Sections"><ul class="c-menu">{items}</ul></nav>'


def teaser_data(count: int) -> list[dict[str, str]]:
    return [
        {
            "url": f"/read/{n}",
            "title": f"What readers asked us about story {n}",
            "summary": f"We answer the questions that came in after story {n}, and name our sources.",
            "image": f"/images/{n}.jpg",
            "author": "Ada Example",
            "date": "2025-10-30",
        }
        for n in range(count)
    ]


def teasers(count: int) -> str:
    return "".join(
        f'<div class="c-card c-card--{n}"><!-- slot {n} --><a class="c-card__link" href="{teaser["url"]}">'
        f'<img src="{teaser["image"]}?w=320" srcset="{teaser["image"]}?w=320 1x, {teaser["image"]}?w=640 2x" '
        f'loading="lazy" alt=""><span class="c-card__title">{teaser["title"]}</span>'
        f'<span class="c-card__summary">{teaser["summary"]}</span></a></div>'
        for n, teaser in enumerate(teaser_data(count))
    )


def comment_text(number: int) -> str:
    return (
        "I had wondered about that too & asked my teacher, who sent me to page "
        f"{number} of our book. It says the same, but without the figures."
    )


def comments(count: int) -> str:
    return "".join(
        f'<div class="c-comment" id="comment-{n}"><p class="c-comment__by"><b>Reader {n}</b> '
        f'<time datetime="2025-11-02">2 November</time></p><p>{html.escape(comment_text(n))}</p>'
        f'<button class="c-button" type="button" data-id="{n}">Reply</button></div>'
        for n in range(count)
    )


def ours(page: str) -> object:
    document = parse(page, media_type="html", settings=SETTINGS)
    return score(
        document, questions=[QUESTION], url="https://www.example.com/", today=TODAY, settings=SETTINGS
    )


def ours_parse_only(page: str) -> object:
    return parse(page, media_type="html", settings=SETTINGS)


def peers() -> tuple[dict[str, Scorer], list[str]]:
    """The peers that can be imported, and the names of those that cannot."""
    loaders: dict[str, Callable[[], Scorer]] = {
        "citation-ready": lambda: importlib.import_module("citation_ready").check,
        "geo-score-core": lambda: importlib.import_module("geo_score_core").GEOScorer().score_html,
        "consumableai-aeo": _consumableai,
    }
    return importable(loaders)


def _consumableai() -> Scorer:
    audit = importlib.import_module("consumableai_aeo.audit")
    return lambda page: audit.score_report(audit.audit_html(page))


def measure(scorers: dict[str, Scorer], pages: list[str], runs: int) -> dict[str, float]:
    """Milliseconds per page of each scorer: median over runs of the mean over the pages.

    Garbage is collected between the runs and not within, as timeit does: otherwise one scorer would pay for
    what another left behind.
    """
    for scorer in scorers.values():
        scorer(pages[0])
    totals: dict[str, list[float]] = {name: [] for name in scorers}
    for _ in range(runs):
        gc.collect()
        gc.disable()
        spent = dict.fromkeys(scorers, 0.0)
        for page in pages:
            for name, scorer in scorers.items():
                begin = time.perf_counter()
                scorer(page)
                spent[name] += time.perf_counter() - begin
        gc.enable()
        for name, seconds in spent.items():
            totals[name].append(1_000 * seconds / len(pages))
    return {name: statistics.median(values) for name, values in totals.items()}


def compare(pages: list[str], runs: int) -> dict[str, Any]:
    """Our figures and the peers' on the same pages."""
    others, missing = peers()
    figures = measure({"Content Worker": ours, "parse": ours_parse_only, **others}, pages, runs)
    total, parsing = figures["Content Worker"], figures.pop("parse")
    fastest = min(others, key=lambda name: figures[name], default=None)
    return {
        "milliseconds_per_page": {name: round(value, 3) for name, value in figures.items()},
        "content_worker_split": {"parse": round(parsing, 3), "score": round(total - parsing, 3)},
        "fastest_peer": fastest,
        "times_as_fast_as_fastest_peer": round(figures[fastest] / total, 2) if fastest else None,
        "peers_not_installed": missing,
        "words_per_page": [parse(page, media_type="html", settings=SETTINGS).words for page in pages],
        "bytes_per_page": [len(page.encode()) for page in pages],
        "runs": runs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Time AEO scoring against three published scorers.")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--runs", type=int, default=15, help="runs over all pages (default 15)")
    parser.add_argument("--pages", type=int, default=5, help="how many different pages (default 5)")
    options = parser.parse_args()
    kinds = {
        "bare pages": bare_page,
        "lean pages": lean_page,
        "full pages": full_page,
        "anonymous pages": anonymous_page,
    }
    results = {
        name: compare([build(number) for number in range(options.pages)], options.runs)
        for name, build in kinds.items()
    }
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        print("\n\n".join(table(name, result) for name, result in results.items()))


def table(name: str, result: dict[str, Any]) -> str:
    """One comparison for people."""
    words, size = result["words_per_page"], statistics.mean(result["bytes_per_page"]) / 1_000
    about = f"{len(words)} of {min(words)}-{max(words)} words, {size:.0f} kB, median of {result['runs']} runs"
    lines = [f"{name}: {about}", f"{'scorer':<18}{'ms per page':>12}{'against ours':>14}"]
    own = result["milliseconds_per_page"]["Content Worker"]
    for scorer, value in sorted(result["milliseconds_per_page"].items(), key=lambda item: item[1]):
        lines.append(f"{scorer:<18}{value:>12.2f}{value / own:>13.1f}x")
    split = result["content_worker_split"]
    lines.append(f"Content Worker: parse {split['parse']:.2f} ms + score {split['score']:.2f} ms")
    if result["fastest_peer"]:
        lines.append(f"{result['times_as_fast_as_fastest_peer']} times as fast as {result['fastest_peer']}")
    lines += [f"not installed, not compared: {peer}" for peer in result["peers_not_installed"]]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
