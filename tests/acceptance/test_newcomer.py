"""A fresh checkout and nothing but Python: what a newcomer types, and what they see."""

import re
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from contentworker.runtime import local_redis
from tests.acceptance.conftest import CopyProject, Terminal
from tests.llm_server import KEY, llm_server
from tests.support import PATIENCE, ROOT, free_port, wait_until

INSTALL_SECONDS = 300
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def checkout(copy_project: CopyProject) -> Path:
    """A checkout where paths go wrong easily."""
    return copy_project("Ein Ordner für Größeres")


@pytest.fixture
def type_in(checkout: Path, bare_python: str, bare_environment: dict[str, str]) -> Run:
    """Run `python3 noxfile.py …` in the fresh checkout."""

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [bare_python, "noxfile.py", *arguments],
            cwd=checkout,
            env={**bare_environment, **more},
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )

    return run


def is_running(checkout: Path) -> bool:
    """Whether the checkout's Redis runs."""
    return local_redis.find(local_redis.state_folder(checkout)) is not None


@pytest.mark.once
def test_from_a_fresh_checkout_to_a_reloading_worker(
    checkout: Path,
    type_in: Run,
    terminal: Callable[..., Terminal],
    bare_python: str,
    bare_environment: dict[str, str],
) -> None:
    """Demo, menu, one's own file, Redis commands, a worker that reloads and stops: as the README says."""
    first = type_in("-s", "demo")
    assert first.returncode == 0, first.stderr
    points = [float(found) for found in re.findall(r"([\d.]+)/100", first.stdout)]
    assert len(points) == 3
    assert points == sorted(points, reverse=True)
    assert "Installing" in first.stdout
    assert "app.send_task(" in first.stderr
    assert "Ended: escalated (below_threshold)" in first.stdout
    assert "mail to editor@" in first.stdout
    assert not is_running(checkout)

    article = checkout / "mine.md"
    article.write_text("# What is tea?\n\nTea is a drink made from leaves and hot water.\n", "utf-8")
    own = type_in("-s", "demo", "--", "mine.md", "--question", "What is tea?")
    assert own.returncode == 0, own.stderr
    assert "Installing" not in own.stdout
    assert re.findall(r"([\d.]+)/100", own.stdout)

    article.write_bytes(b"\xff\xfe")
    wrong = type_in("-s", "demo", "--", "mine.md")
    assert wrong.returncode != 0
    assert "mine.md: must be UTF-8; byte 0 is not" in wrong.stderr
    assert "Traceback" not in wrong.stderr

    menu = type_in("-l").stdout
    for name in ("worker", "tests", "lint", "redis", "flower", "beat", "demo", "lock", "shell", "bench"):
        assert re.search(rf"^[-*] {name}(-3\.\d+)? -> \w.+", menu, re.M), name

    worker = terminal([bare_python, "noxfile.py", "-s", "worker"], checkout, bare_environment)
    worker.wait_for(" ready.")
    assert is_running(checkout)
    assert type_in("-s", "redis", "--", "ping").stdout.endswith("PONG\n")
    health = checkout / "tasks" / "health.py"
    health.write_text(health.read_text("utf-8").replace("socket.gethostname()", "'edited'"), "utf-8")
    worker.wait_for("[reload] tasks/health.py: the new code serves after")
    asked = type_in(
        *(
            "-s",
            "shell",
            "--",
            "python",
            "-m",
            "contentworker",
            "submit",
            "tasks.health_check",
            "--wait",
            "30",
        )
    )
    assert '"host": "edited"' in asked.stdout, asked.stderr
    every = type_in("-s", "shell", "--", "python", "-m", "contentworker", "health")
    assert every.stdout.count(" ok ") == 4, every.stdout + every.stderr
    elsewhere = {**bare_environment, "WORKER__FLOWER__PORT": str(free_port())}
    for typed, says in (
        (("worker", "--", "--queue", "rewrite"), " ready."),
        (("flower",), "Visit me at"),
        (("beat",), "beat: Starting..."),
    ):
        other = terminal([bare_python, "noxfile.py", "-s", *typed], checkout, elsewhere)
        other.wait_for(says)
        other.type("\x03")
        other.wait()
    worker.type("\x03")
    worker.wait()
    wait_until(lambda: not is_running(checkout), "the end of Redis")


@pytest.mark.once
def test_the_demo_with_a_rewrite(checkout: Path, type_in: Run) -> None:
    """With no key the embedded model is fetched and rewrites; a configured endpoint is asked instead."""
    with llm_server() as server:
        model = {"WORKER__LLM__BASE_URL": server.url, "WORKER__LLM__MODEL": "good", "OPENAI_API_KEY": KEY}
        asked = type_in("-s", "demo", "--", "--rewrite", **model)
    assert asked.returncode == 0, asked.stderr
    assert "good (127.0.0.1)" in asked.stdout
    assert "Fetching" not in asked.stdout
    offline = type_in("-s", "demo", "--", "--rewrite")
    assert offline.returncode == 0, offline.stderr
    assert "Fetching the model that rewrites offline: 127 MB" in offline.stdout
    assert "SmolLM2-135M-Instruct (embedded)" in offline.stdout
    assert type_in("-s", "embedded-model").returncode == 0
    assert re.search(r"AEO score [\d.]+ before, [\d.]+ after|refused by the guard", offline.stdout)


def as_python(version: tuple[int, int, int]) -> str:
    """A script that runs noxfile.py as this Python, in all but its version number."""
    return (
        f"import runpy, sys; sys.version_info = {version}; runpy.run_path('noxfile.py', run_name='__main__')"
    )


def test_an_old_python_is_told_so(bare_python: str, bare_environment: dict[str, str]) -> None:
    """Python 3.10 gets one plain sentence with the line to type."""
    finished = subprocess.run(
        [bare_python, "-c", as_python((3, 10, 13))],
        cwd=ROOT,
        env=bare_environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert finished.returncode == 1
    sentence = (
        r"Content Worker needs Python 3\.11 or newer, and this is 3\.10\. Type: python3\.1\d noxfile\.py\n"
    )
    assert re.fullmatch(sentence, finished.stderr)


@pytest.mark.once
def test_a_moved_checkout_makes_its_environments_anew(
    checkout: Path, bare_python: str, bare_environment: dict[str, str]
) -> None:
    """Scripts name the folder they were made in; after a move, or in a container, they run all the same."""
    for folder in (checkout, checkout.with_name("moved")):
        if folder != checkout:
            checkout.rename(folder)
        finished = subprocess.run(
            [bare_python, "noxfile.py", "-s", "shell", "--", "celery", "--version"],
            cwd=folder,
            env=bare_environment,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        assert re.search(r"^5\.\d+", finished.stdout, re.M)


@pytest.mark.once
def test_an_old_nox_hands_over_to_ours(
    checkout: Path, bare_environment: dict[str, str], tmp_path: Path
) -> None:
    """The nox of a distribution, years old, does what ours does, with the options that it was given."""
    old = tmp_path / "old-nox"
    venv.create(old, with_pip=True)
    # A release of 2022, as Debian 12 has it; what it needs has moved on since, and it says so no more.
    requirements = ["nox==2022.11.21", "setuptools<81"]
    subprocess.run([old / "bin" / "pip", "install", "-q", *requirements], check=True)
    finished = subprocess.run(
        [old / "bin" / "nox", "-s", "shell", "--", "echo", "handed over"],
        cwd=checkout,
        env=bare_environment,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert "Installing the" in finished.stdout
    assert finished.stdout.splitlines()[-1] == "handed over"


def test_the_bootstrap_can_be_read_by_old_pythons() -> None:
    """Nothing above the import of nox is newer than the grammar of Python 3.7."""
    import ast

    bootstrap, found, _ = (ROOT / "noxfile.py").read_text("utf-8").partition("\nimport tomllib\n")
    assert found
    ast.parse(bootstrap, feature_version=(3, 7))


def test_a_python_without_venv_is_told_what_to_install(
    checkout: Path, bare_python: str, bare_environment: dict[str, str]
) -> None:
    """Debian's python3 without its venv package gets one plain sentence with the line to type."""
    script = (
        "import runpy, sys; sys.modules['ensurepip'] = None\n"
        "runpy.run_path('noxfile.py', run_name='__main__')"
    )
    finished = subprocess.run(
        [bare_python, "-c", script],
        cwd=checkout,
        env=bare_environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    version = "{}.{}".format(*sys.version_info[:2])
    assert finished.returncode == 1
    assert finished.stderr == f"This Python has no venv. Type: sudo apt install python{version}-venv\n"
