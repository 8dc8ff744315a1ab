"""The version, in its one place."""

import re

from contentworker.config import ROOT
from contentworker.version import VERSION


def test_changelog_has_a_section_of_this_version() -> None:
    sections = re.findall(r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert sections[0] == VERSION
