"""What a release consists of, and what keeps it up to date."""

import json
import re
import subprocess
from pathlib import Path

from contentworker import config
from contentworker.version import VERSION
from tests.acceptance.conftest import CopyProject
from tests.support import ROOT

INSTALL_SECONDS = 300


def test_bill_of_materials_is_what_a_machine_gets(
    copy_project: CopyProject, bare_python: str, bare_environment: dict[str, str]
) -> None:
    """`nox -s sbom` writes each package of the services' locks with its hashes, in CycloneDX."""
    checkout = copy_project("release")
    done = subprocess.run(
        [bare_python, "noxfile.py", "-s", "sbom"],
        cwd=checkout,
        env=bare_environment,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((checkout / "content-worker.cdx.json").read_text("utf-8"))
    assert found["bomFormat"] == "CycloneDX"
    assert (found["metadata"]["component"]["name"], found["metadata"]["component"]["version"]) == (
        "content-worker",
        VERSION,
    )
    names = config.load(environ={}).services.locks
    lock = "".join((ROOT / "locks" / f"{name}.txt").read_text("utf-8") for name in names)
    pinned = {
        f"pkg:pypi/{name}@{version}" for name, version in re.findall(r"^(\S+)==(\S+)", lock, re.MULTILINE)
    }
    assert {each["purl"] for each in found["components"]} == pinned
    assert all(each["externalReferences"][0]["hashes"] for each in found["components"])
    ignored = subprocess.run(["git", "status", "--short"], cwd=checkout, capture_output=True, check=True)
    assert not ignored.stdout


def test_update_bot_knows_the_base_image() -> None:
    """It changes the digest where it is written and where it is generated, so that both stay the same."""
    settings = json.loads((ROOT / "renovate.json").read_text("utf-8"))
    patterns = [each.strip("/") for each in settings["dockerfile"]["managerFilePatterns"]]
    for name in ("Containerfile", "deploy/templates/Containerfile.in"):
        assert any(re.search(pattern, name) for pattern in patterns)
        assert (ROOT / name).is_file()


def test_update_bot_knows_every_lock() -> None:
    """A lock that the bot does not find would stay as it is."""
    settings = json.loads((ROOT / "renovate.json").read_text("utf-8"))
    (pattern,) = settings["pip_requirements"]["managerFilePatterns"]
    locks = [path.relative_to(ROOT) for path in Path(ROOT, "locks").glob("*.txt")]
    assert locks
    assert all(re.search(pattern.strip("/"), str(lock)) for lock in locks)
