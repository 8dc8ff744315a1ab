"""Reading the documentation."""

import re

from tests.support import ROOT


def commands_of(page: str) -> list[str]:
    """The lines of a page's bash blocks."""
    blocks = re.findall(r"^ *```bash\n(.*?)^ *```$", (ROOT / "docs" / page).read_text("utf-8"), re.S | re.M)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]
