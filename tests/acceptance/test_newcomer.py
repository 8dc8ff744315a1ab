"""A fresh checkout and nothing but Python: what a newcomer types, and what they see."""

import re
import shlex
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from contentworker.runtime.development import local_redis
from contentworker.runtime.environment import state_folder
from tests.acceptance.conftest import CopyProject, Terminal, make_checkout
from tests.llm_server import KEY, llm_server
from tests.support import PATIENCE, ROOT, free_port, wait_until

INSTALL_SECONDS = 900
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One checkout for the file, so that its environments are installed once; paths go wrong easily in it."""
    return make_checkout(tmp_path_factory.mktemp("newcomer") / "Ein Ordner für Größeres")


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
    return local_redis.find(state_folder(checkout)) is not None


def type_what_it_says(demo: subprocess.CompletedProcess[str], type_in: Run) -> None:
    """Each command that the demo prints works as it stands; the last one says what is answered by then."""
    printed = re.findall(r"^  (?:python3 noxfile\.py|nox) (-s shell .+)$", demo.stdout, re.MULTILINE)
    answers = ("accept by you", "below_threshold", "it is settled as 'accept' by you")
    for words, says in zip(dict.fromkeys(printed), answers, strict=True):
        typed = type_in(*shlex.split(words))
        assert says in typed.stdout + typed.stderr
    (again,) = re.findall(r"(-s demo -- .+)$", demo.stderr, re.MULTILINE)
    assert type_in(*shlex.split(again)).returncode == 0


def type_commands(type_in: Run) -> None:
    """The README's commands in the shell, while a worker of all queues runs."""
    submit = ("content-worker", "submit", "tasks.evaluation.score_aeo", "content@README.md", "--wait", "30")
    scored = type_in("-s", "shell", "--", *submit)
    assert '"score": ' in scored.stdout, scored.stderr
    wait_until(  # which may answer late on a busy machine
        lambda: type_in("-s", "shell", "--", "content-worker", "health").stdout.count(" ok ") == 4,
        "every queue to answer",
    )


def test_from_a_fresh_checkout_to_a_reloading_worker(
    checkout: Path,
    type_in: Run,
    terminal: Callable[..., Terminal],
    bare_python: str,
    bare_environment: dict[str, str],
    newcomers_environment: dict[str, str],
) -> None:
    """Demo, menu, one's own file, Redis commands, a worker that reloads and stops: as the README says."""
    first = type_in("-s", "demo", PATH=newcomers_environment["PATH"])
    assert first.returncode == 0, first.stderr
    points = [float(found) for found in re.findall(r"([\d.]+)/100", first.stdout)]
    assert len(points) == 4
    assert "a person wrote it in 2014" in first.stdout
    assert "Installing" in first.stdout
    assert re.search(r"^  10 of \d\d: [\w-]+$", first.stdout, re.MULTILINE), "progress"
    assert "app.send_task(" in first.stderr
    boxes = [line for line in first.stdout.splitlines() if line[:1] in tuple("╭│╰─")]
    assert {len(line) for line in boxes} == {80}
    assert "Ended: escalated (below_threshold)" in first.stdout
    assert "mail to editor@" in first.stdout
    assert not is_running(checkout)
    type_what_it_says(first, type_in)

    article = checkout / "mine.md"
    article.write_text("# What is tea?\n\nTea is a drink made from leaves and hot water.\n", "utf-8")
    own = type_in("-s", "demo", "--", "mine.md", "--question", "What is tea?")
    assert own.returncode == 0, own.stderr
    assert "Installing" not in own.stdout
    assert re.findall(r"([\d.]+)/100", own.stdout)

    article.write_bytes(b"%PDF-1.7\n\0\1")
    wrong = type_in("-s", "demo", "--", "mine.md")
    assert wrong.returncode != 0
    assert "mine.md: content: expected text, got binary data (it begins with b'%PDF')" in wrong.stderr
    assert "Traceback" not in wrong.stderr

    menu = type_in("-l").stdout
    for name in ("worker", "tests", "lint", "redis", "flower", "beat", "demo", "lock", "shell", "bench"):
        assert re.search(rf"^[-*] {name}(-3\.\d+)? -> \w.+", menu, re.MULTILINE), name

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
    type_commands(type_in)
    ports = {f"WORKER__{name}__PORT": str(free_port()) for name in ("FLOWER", "METRICS")}
    elsewhere = {**bare_environment, **ports}
    for typed, says in (
        (("worker", "--", "--queue", "rewrite"), " ready."),
        (("flower",), "Visit me at"),
        (("beat",), "beat: Starting..."),
        (("up",), "everything is ready"),
    ):
        other = terminal([bare_python, "noxfile.py", "-s", *typed], checkout, elsewhere)
        other.wait_for(says)
        other.type("\x03")
        other.wait()
    worker.type("\x03")
    worker.wait()
    wait_until(lambda: not is_running(checkout), "the end of Redis")


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
    assert type_in("-s", "embedding-model").returncode == 0
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


def test_an_old_nox_hands_over_to_ours(
    checkout: Path, bare_environment: dict[str, str], tmp_path: Path
) -> None:
    """The nox of a distribution, years old, installs ours and hands over, with its options."""
    shutil.rmtree(checkout / ".nox" / "_nox", ignore_errors=True)
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


def test_a_python_without_venv_is_told_what_to_install(
    copy_project: CopyProject, bare_python: str, bare_environment: dict[str, str]
) -> None:
    """Debian's python3 without its venv package gets one plain sentence with the line to type."""
    script = (
        "import runpy, sys; sys.modules['ensurepip'] = None\n"
        "runpy.run_path('noxfile.py', run_name='__main__')"
    )
    finished = subprocess.run(
        [bare_python, "-c", script],
        cwd=copy_project("no-venv"),
        env=bare_environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    version = "{}.{}".format(*sys.version_info[:2])
    assert finished.returncode == 1
    assert finished.stderr == f"This Python has no venv. Type: sudo apt install python{version}-venv\n"


def test_a_moved_checkout_rebuilds_its_environments(
    checkout: Path, bare_python: str, bare_environment: dict[str, str]
) -> None:
    """Scripts name the folder they were made in; after a move, or in a container, they work all the same.

    The last test of the file, as the others share the checkout.
    """
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
        assert re.search(r"^5\.\d+", finished.stdout, re.MULTILINE)
    assert finished.stdout.count("Installing the") == 2, "nox and .venv, at the new place"
