"""docs/desk-api.md: its commands, word for word, on a desk that answers."""

import json
import os
import re
import subprocess
from pathlib import Path

import redis

from contentworker.desk.api.base import PREFIX
from contentworker.desk.api.routes import ROUTES
from contentworker.editorial.escalations.schema import open_engine
from contentworker.editorial.escalations.store import Store
from tests.acceptance.editorial.test_desk_page import CLI, served
from tests.integration.editorial.test_desk_api import died, waiting_in
from tests.support import ROOT, environment

PAGE = (ROOT / "docs" / "desk-api.md").read_text("utf-8")
TOKEN, *CALLS = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_every_call(tmp_path: Path, redis_url: str, redis_client: redis.Redis) -> None:
    """Each prints what the page says that it does: a list, a document, a record, a decision, queues."""
    file = tmp_path / "records.sqlite3"
    store = Store(open_engine("", file))
    record = waiting_in(store)
    store.close()
    made = subprocess.run(
        [*CLI, *TOKEN.split()[1:]], capture_output=True, text=True, check=True, cwd=ROOT,
        env=environment(WORKER__ESCALATIONS__SQLITE_PATH=str(file)),
    ).stdout.strip()  # fmt: skip
    for number in range(2):
        died(redis_client, number)
    with served(tmp_path, "--demo", REDIS_URL=redis_url) as (address, _):
        env = {"DESK": address, "TOKEN": made, "ID": record, "PATH": os.environ["PATH"]}
        printed = [
            subprocess.run(
                ["bash", "-euc", block.replace("curl -s", "curl -sSw '\\n' -s")],
                capture_output=True, text=True, check=True, env=env,
            ).stdout
            for block in CALLS
        ]  # fmt: skip
    listed, document, read, decided, others, replayed = printed
    assert [each["id"] for each in json.loads(listed)["items"]] == [record]
    assert json.loads(document)["openapi"].startswith("3.1")
    assert re.search(r'^etag: "1\.', read, re.MULTILINE | re.IGNORECASE)
    chosen, settled, withdrawn = (json.loads(line) for line in decided.splitlines() if line)
    assert (chosen["version"], settled["by"], withdrawn["state"]) == (2, "ana via cms", "open")
    runs, queues = (json.loads(line) for line in others.splitlines() if line)
    assert (runs["items"], len(queues["items"]) > 3) == ([], True)
    letters, batch = (json.loads(line) for line in replayed.splitlines() if line)
    assert (letters["total"], batch["total"], batch["state"]) == (2, 2, "running")


def test_the_page_has_every_address() -> None:
    """With its roles."""
    rows = [row for row in PAGE.splitlines() if row.startswith(("| `GET", "| `POST"))]
    listed = set()
    for row in rows:
        addresses, _, roles = row.strip("| ").rsplit(" | ", 2)
        method, _, paths = addresses.replace("`", "").partition(" ")
        listed |= {(method, path, frozenset(roles.split(", "))) for path in paths.split(", ")}
    named = re.compile(r"^(/(?:queues|schedules))/\{id\}")
    there = {
        (each.method, named.sub(r"\1/NAME", each.path).replace("{id}", "ID"), each.roles)
        for each in ROUTES
        if each.roles
    }
    assert listed == there
    assert f"{PREFIX}/openapi.json" in PAGE
