"""The HTML reader, which builds no tree, against lexbor, which does."""

from pathlib import Path

import pytest

from contentworker.editorial.parsing.html import read_html

lexbor = pytest.importorskip("selectolax.lexbor")
EXAMPLE = Path(__file__).parents[3] / "examples" / "how-leap-years-work.html"
MAIN_OF_EXAMPLE = EXAMPLE.read_text("utf-8").partition("<main")[2].partition("</main>")[0]
MAIN_OF_EXAMPLE = f"<main{MAIN_OF_EXAMPLE}</main>"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(MAIN_OF_EXAMPLE, id="example"),
        pytest.param("<main><p>a<p>b<ul><li>c<li>d</ul>e</main>", id="implied-ends"),
        pytest.param("<main><p>a &lt b &copy; c &#x20ac; &nosuch; d &amp;amp; e</main>", id="entities"),
        pytest.param(
            "<main>1 < 2 <b>3</b> > 2 </ x> <? pi ?> <!bogus> 4 <!-- -- > -->5</main>", id="stray-marks"
        ),
        pytest.param("<main><p title='a>b' data-x=\"</main>\">a</p><P CLASS=x/>b</main>", id="attributes"),
        pytest.param("<main>a<script>if (a<b) '</main>'</script>b<style><p></style>c</main>", id="raw-text"),
        pytest.param(
            "<main><table><tr><td>a<td>b<tr><th>c</table><div>d</span></div></p>e</main>", id="tables"
        ),
    ],
)
def test_the_text_is_what_a_tree_builder_finds(source: str) -> None:
    """Whitespace aside, both read the same text in the same order."""
    main = lexbor.LexborHTMLParser(source).css_first("main")
    for unread in main.css("script, style"):
        unread.decompose()
    expected = "".join(main.text().split())
    assert "".join("".join(block.text.split()) for block in read_html(source).blocks) == expected
