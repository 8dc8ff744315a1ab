"""Reading the documentation, and pages of our own servers."""

import re
import urllib.error
import urllib.request
from base64 import b64encode

from tests.support import PATIENCE, ROOT


def commands_of(page: str) -> list[str]:
    """The lines of a page's bash blocks."""
    blocks = re.findall(
        r"^ *```bash\n(.*?)^ *```$", (ROOT / "docs" / page).read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


def ask(url: str, login: str = "") -> tuple[int, str]:
    """Status and text of a page; without the text where it is an error."""
    request = urllib.request.Request(url)
    if login:
        request.add_header("Authorization", f"Basic {b64encode(login.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
