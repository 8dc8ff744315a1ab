"""flake.nix, evaluated and entered by the real Nix; nixpkgs is a stand-in made of this machine's programs.

What this cannot show, that nixpkgs has these packages and what they do, a job of the public workflow does.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from contentworker import config
from contentworker.errors import ContentWorkerError
from contentworker.runtime.development import local_redis
from contentworker.runtime.environment import state_folder
from tests.acceptance.conftest import Terminal, make_checkout
from tests.support import ROOT, service_is_missing, wait_until

pytestmark = [
    pytest.mark.environments,
    pytest.mark.skipif(sys.platform != "linux", reason="the stand-in for nixpkgs is made for Linux"),
]

COMMAND_SECONDS = 300
SYSTEMS = {"x86_64-linux", "aarch64-linux", "x86_64-darwin", "aarch64-darwin"}
VERSIONS = config.load(environ={}).python.versions


class Nix:
    """Nix with a store of its own in a folder, and a checkout to use it in."""

    def __init__(self, folder: Path, bare_environment: dict[str, str]) -> None:
        self.checkout = make_checkout(folder / "checkout")
        self.stub = folder / "nixpkgs"
        shutil.copytree(ROOT / "tests" / "acceptance" / "nixpkgs-stub", self.stub)
        (self.stub / "programs.json").write_text(json.dumps(programs(folder)), "utf-8")
        home = folder / "home"
        home.mkdir()
        state = {name: str(folder / "nix" / name.lower()) for name in ("STORE", "STATE", "LOG", "CONF")}
        settings = [
            "experimental-features = nix-command flakes",
            # There is nobody to build as, and nothing to download from.
            "sandbox = false",
            "build-users-group =",
            "substituters =",
        ]
        self.env = {
            **bare_environment,
            **{f"NIX_{name}_DIR": path for name, path in state.items()},
            "NIX_CONFIG": "\n".join(settings),
            "HOME": str(home),
        }

    def command(self, *arguments: str) -> list[str]:
        """A Nix command with the stand-in for nixpkgs; what follows `-c` or `--` is left as it is."""
        end = min((arguments.index(mark) for mark in ("-c", "--") if mark in arguments), default=None)
        override = ["--no-write-lock-file", "--override-input", "nixpkgs", f"path:{self.stub}"]
        return ["nix", *arguments[:end], *override, *(arguments[end:] if end is not None else ())]

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=cwd or self.checkout,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def output(self, *arguments: str) -> str:
        finished = self.run(*arguments)
        assert finished.returncode == 0, finished.stderr[-5000:]
        return finished.stdout


def programs(folder: Path) -> dict[str, str]:
    """The programs of this machine that stand in for packages of nixpkgs."""
    found = {"PATH": os.defpath}
    for name in ("bash", "git", "openssl"):
        path = shutil.which(name)
        found[name] = path or service_is_missing(name)
    for version in VERSIONS:
        found[f"python{version}"] = interpreter(version) or service_is_missing(f"Python {version}")
    try:
        found["redis-server"] = local_redis.find_executable(os.environ["PATH"])
    except ContentWorkerError as error:
        service_is_missing(error)
    found["uv"] = shutil.which("uv") or uv_of_the_lock(folder / "uv")
    return found


def interpreter(version: str) -> str | None:
    """Where a Python is; pyenv has a stand-in on the PATH also for one that is not chosen."""
    with suppress(OSError, subprocess.CalledProcessError):
        question = [f"python{version}", "-c", "import sys; print(sys._base_executable)"]
        return subprocess.run(question, capture_output=True, text=True, check=True).stdout.strip()
    return None


def uv_of_the_lock(folder: Path) -> str:
    """Install uv, and return where it is."""
    lock = str(ROOT / "locks" / "lock.txt")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--root-user-action=ignore"]
    subprocess.run([*pip, "--target", str(folder), "--require-hashes", "-r", lock], check=True)
    return str(folder / "bin" / "uv")


@pytest.fixture(scope="module")
def nix(tmp_path_factory: pytest.TempPathFactory, bare_environment: dict[str, str]) -> Iterator[Nix]:
    """Nix, in a checkout that the tests of this module share."""
    if not shutil.which("nix"):
        service_is_missing("nix (Debian: nix-bin)")
    folder = tmp_path_factory.mktemp("nix")
    yield Nix(folder, bare_environment)
    for path in [folder / "nix", *(folder / "nix").rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)  # a store is read-only, and pytest deletes old folders


@pytest.fixture
def edit(nix: Nix) -> Iterator[Callable[[str, str, str], None]]:
    """Replace a piece of a file in the checkout for the length of a test."""
    before: dict[Path, str] = {}

    def replace(name: str, old: str, new: str) -> None:
        path = nix.checkout / name
        text = before.setdefault(path, path.read_text("utf-8"))
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")

    yield replace
    for path, text in before.items():
        path.write_text(text, "utf-8")


def test_there_is_a_shell_and_a_worker_for_four_systems(nix: Nix) -> None:
    """`nix flake show` evaluates shell, apps and checks of each system."""
    shown = json.loads(nix.output("flake", "show", "--json"))
    assert {output: set(systems) for output, systems in shown.items()} == {
        "apps": SYSTEMS,
        "checks": SYSTEMS,
        "devShells": SYSTEMS,
        "formatter": SYSTEMS,
    }
    assert all(set(apps) == {"default", "worker"} for apps in shown["apps"].values())


def test_lock_is_of_the_flake(nix: Nix) -> None:
    """flake.lock pins what flake.nix asks for, and Nix reads it."""
    lock = json.loads((ROOT / "flake.lock").read_text("utf-8"))
    original = lock["nodes"]["nixpkgs"]["original"]
    assert f'"github:{original["owner"]}/{original["repo"]}/{original["ref"]}"' in (
        ROOT / "flake.nix"
    ).read_text("utf-8")
    said = nix.run("flake", "metadata").stderr  # what the stand-in replaces
    assert f"github:NixOS/nixpkgs/{lock['nodes']['nixpkgs']['locked']['rev']}" in said


def test_check_runs_the_programs(nix: Nix) -> None:
    """`nix flake check` runs the Pythons of worker.toml, the other programs, and the formatter."""
    finished = nix.run("flake", "check", "--print-build-logs")
    assert finished.returncode == 0, finished.stderr
    assert re.search(r"content-worker-tools> uv \d", finished.stderr)
    files = "flake.nix tests/acceptance/nixpkgs-stub/flake.nix"
    assert f"content-worker-format> nixfmt --check {files}\n" in finished.stderr
    assert nix.run("fmt").stderr.endswith(f"nixfmt {files}\n")


def test_unknown_package_is_refused(nix: Nix, edit: Callable[[str, str, str], None]) -> None:
    """A package that nobody has is an error: the stand-in does not make up what it is asked for."""
    edit("flake.nix", "pkgs.uv", "pkgs.uvv")
    finished = nix.run("develop", "-c", "true")
    assert finished.returncode != 0
    assert "attribute 'uvv' missing" in finished.stderr


def test_pythons_are_those_of_worker_toml(nix: Nix, edit: Callable[[str, str, str], None]) -> None:
    """The newest Python of worker.toml is `python3` of the shell, and the one that uv uses."""
    question = ("develop", "-c", "bash", "-c", "$UV_PYTHON --version; exec python3 --version")
    assert nix.output(*question).count(f"Python {VERSIONS[-1]}.") == 2
    kept = VERSIONS[:-1]
    edit("worker.toml", json.dumps(VERSIONS), json.dumps(kept))
    assert nix.output(*question).count(f"Python {kept[-1]}.") == 2


def test_tests_run_in_the_shell(nix: Nix, monkeypatch: pytest.MonkeyPatch) -> None:
    """`nix develop -c nox -s tests` makes environments with uv and runs the tests in them."""
    monkeypatch.setitem(nix.env, "NOXPYTHON", VERSIONS[-1])  # one shows as much as three
    finished = nix.run(
        "develop", "-c", "nox", "-s", "tests", "--", "-q", "tests/unit/runtime/worker/test_retry.py"
    )
    assert finished.returncode == 0, finished.stdout[-5000:] + finished.stderr[-5000:]
    assert re.search(r"^\d+ passed", finished.stdout, re.MULTILINE)
    assert "(uv)" in finished.stderr


def test_hooks_run_in_the_shell(nix: Nix) -> None:
    """`pre-commit` is the environment's, made at the first call, and finds its tools; so do you."""
    finished = nix.run("develop", "-c", "pre-commit", "run", "codespell", "--files", "README.md")
    assert finished.returncode == 0, finished.stdout[-5000:] + finished.stderr[-5000:]
    assert re.search(r"^codespell .*Passed$", finished.stdout, re.MULTILINE)
    assert nix.output("develop", "-c", "celery", "--version").startswith("5.")
    assert "demo" in nix.output("develop", "-c", "bash", "-c", "cd docs && nox -l")


def test_worker_runs(nix: Nix, terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    """`nix run .#worker` passes its options on and stops at Ctrl-C; elsewhere it says where to run it."""
    running = terminal(nix.command("run", ".#worker", "--", "--queue", "celery"), nix.checkout, nix.env)
    running.wait_for(".> celery ")
    running.wait_for(" ready.")
    running.type("\x03")
    running.wait()
    wait_until(lambda: not local_redis.find(state_folder(nix.checkout)), "the end of Redis")
    elsewhere = nix.run("run", f"{nix.checkout}#worker", cwd=tmp_path)
    assert elsewhere.returncode == 1
    assert elsewhere.stderr.splitlines()[-1] == (
        f"Run this in a checkout of Content Worker: there is no noxfile.py in {tmp_path}"
    )


@pytest.mark.parametrize(
    ("has_nix", "then"),
    [("true", ["use flake"]), ("false", ["add .venv/bin"])],
    ids=["nix", "no nix"],
)
def test_direnv_uses_the_flake_or_the_environment(has_nix: str, then: list[str]) -> None:
    """.envrc opens the shell of the flake, and again when worker.toml changes; without Nix it is .venv."""
    script = f"""
        has() {{ {has_nix}; }}
        use() {{ echo "use $*"; }}
        PATH_add() {{ echo "add $*"; }}
        watch_file() {{ echo "watch $(ls "$@")"; }}
        . ./.envrc
    """
    finished = subprocess.run(["bash", "-euc", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines() == ["watch worker.toml", *then]
