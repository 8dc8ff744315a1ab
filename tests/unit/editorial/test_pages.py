"""The examples of docs/aeo.md, docs/articles.md and docs/detector.md print what the pages say."""

import re
from contextlib import redirect_stdout
from io import StringIO

import pytest

from tests.support import ROOT


@pytest.mark.parametrize("page", ["aeo.md", "articles.md", "detector.md"])
def test_an_example_prints_what_its_page_says(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in the project's folder, as a reader would."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (expected,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(ROOT)
    printed = StringIO()
    with redirect_stdout(printed):
        exec(example, {})
    assert printed.getvalue() == expected
