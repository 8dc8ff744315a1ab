"""The doctor on projects where things really are wrong, and that what it suggests fixes them."""

import json  # editorial
import re
import subprocess
import sys
import sysconfig
import zipfile  # editorial
from datetime import UTC, datetime  # editorial
from pathlib import Path

import pytest

from contentworker.desk.passwords import hashed  # editorial
from contentworker.doctor import (
    Finding,
    desk,  # editorial
    detector,  # editorial
    project,
)
from contentworker.doctor.ask import NotCheckedError
from locks import environments
from tests.integration.doctor.machines import script
from tests.support import ROOT, environment


class TestPythons:
    """Which of worker.toml's versions run; 3.13 is the devcontainer's, so it has to be one of them."""

    VERSIONS = "WORKER__PYTHON__VERSIONS"

    def ask(self, path: str, *versions: str) -> Finding:
        wanted = ", ".join(f'"{version}"' for version in versions)
        return project.check_pythons(ROOT, environment(**{"PATH": path, self.VERSIONS: f"[{wanted}]"}))

    def test_all_there(self, tmp_path: Path) -> None:
        """Nothing to fix."""
        path = script(tmp_path, "python3.13", "exit 0")
        found = self.ask(path, "3.13")
        assert found == ("ok", "3.13: all of worker.toml's are installed", "")

    @pytest.mark.parametrize(
        ("tool", "fix"),
        [
            pytest.param("uv", "uv python install 3.98 3.99", id="uv"),
            pytest.param("brew", "brew install python@3.98 python@3.99", id="brew"),
            pytest.param(
                "other",
                "install Python 3.98 and 3.99 with your system's packages, or from python.org",
                id="neither",
            ),
        ],
    )
    def test_some_missing(self, tmp_path: Path, tool: str, fix: str) -> None:
        """The tests leave them out; the tool that is there can fetch them."""
        script(tmp_path, tool, "exit 0")
        path = script(tmp_path, "python3.13", "exit 0")
        found = self.ask(path, "3.13", "3.98", "3.99")
        assert found.level == "note"
        assert found.text == "installed: 3.13; missing, so not tested on: 3.98, 3.99"
        assert found.fix == fix

    def test_pyenv_has_it_and_it_is_not_chosen(self, tmp_path: Path) -> None:
        """pyenv's stand-in fails; none left is wrong."""
        path = script(tmp_path / "shims", "python3.13", "exit 127")
        found = self.ask(path, "3.13")
        assert found.level == "wrong"
        assert "none of worker.toml's is installed" in found.text
        assert found.fix == "pyenv local system 3.13"


class TestNox:
    """A nox on the PATH."""

    def test_none_is_fine(self, tmp_path: Path) -> None:
        """The bootstrap has its own."""
        found = project.check_nox(ROOT, environment(PATH=str(tmp_path)))
        assert found == ("ok", "not on the PATH; python3 noxfile.py -s … brings its own", "")

    def test_new_enough(self) -> None:
        """That of these tests is."""
        found = project.check_nox(ROOT, environment(PATH=sysconfig.get_path("scripts")))
        assert found.level == "ok"
        assert re.match(r"20\d\d\.\d+", found.text)

    def test_old(self, tmp_path: Path) -> None:
        """It hands over to the one of the lock."""
        metadata = tmp_path / "old" / "nox-2024.3.2.dist-info" / "METADATA"
        metadata.parent.mkdir(parents=True)
        metadata.write_text("Metadata-Version: 2.1\nName: nox\nVersion: 2024.3.2\n")
        old = f'PYTHONPATH="{tmp_path}/old" exec "{sys.executable}" -m nox "$@"'
        found = project.check_nox(ROOT, environment(PATH=script(tmp_path / "bin", "nox", old)))
        assert found.level == "note"
        assert found.text.startswith(
            f"{tmp_path}/bin/nox is 2024.3.2, older than 2026.10: noxfile.py uses its own"
        )

    def test_its_python_is_gone(self, tmp_path: Path) -> None:
        """As after an update of the system."""
        Path(script(tmp_path, "nox", ""), "nox").write_text(f"#!{tmp_path}/gone\n")
        found = project.check_nox(ROOT, environment(PATH=str(tmp_path)))
        assert found.level == "note"
        assert found.fix == "type python3 noxfile.py -s … where a page says nox -s …"

    @pytest.mark.parametrize("text", ["echo 'nox: a tool for NixOS'", "exit 3"], ids=["another", "broken"])
    def test_another_program(self, tmp_path: Path, text: str) -> None:
        """Its answer is no version."""
        found = project.check_nox(ROOT, environment(PATH=script(tmp_path, "nox", text)))
        assert found.level == "note"
        assert f"{tmp_path}/nox does not work, or is another program" in found.text


class TestEnvironment:
    """`.venv`, without the packages in it."""

    FIX = "python3 noxfile.py -s shell -- python --version"

    @pytest.fixture
    def made(self, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """An environment as the sessions note it."""
        monkeypatch.setattr(environments, "HERE", checkout)
        environment_folder = checkout / ".venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment_folder], check=True)
        environments.note(environment_folder, environments.fingerprint(checkout / "locks" / "local.txt"))
        return environment_folder

    def test_not_there(self, checkout: Path) -> None:
        """Every session makes it."""
        found = project.check_environment(checkout, environment())
        assert found == ("note", "does not exist yet; the first session creates it", "")

    def test_not_there_and_cannot_be_made(self, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Debian's Python without its venv package."""
        monkeypatch.setitem(sys.modules, "ensurepip", None)
        found = project.check_environment(checkout, environment())
        version = "{}.{}".format(*sys.version_info)
        assert found.level == "wrong"
        assert found.fix == f"sudo apt install python{version}-venv"

    def test_up_to_date(self, checkout: Path, made: Path) -> None:
        """What noxfile.py notes is what is looked for."""
        found = project.check_environment(checkout, environment())
        assert found.level == "ok"
        assert found.text.startswith("what locks/local.txt says, with Python 3.")

    def test_lock_has_changed(self, checkout: Path, made: Path) -> None:
        """As after a pull."""
        with (checkout / "locks" / "local.txt").open("a") as file:
            file.write("# newer\n")
        found = project.check_environment(checkout, environment())
        assert found == ("wrong", ".venv is not what locks/local.txt says", self.FIX)

    def test_not_made_to_its_end(self, checkout: Path, made: Path) -> None:
        """The note comes last."""
        (made / "made-of").unlink()
        assert project.check_environment(checkout, environment()).fix == self.FIX

    def test_its_python_is_gone(self, checkout: Path, made: Path) -> None:
        """As after an update of the system."""
        python = made / "bin" / "python"
        python.unlink()
        python.symlink_to(checkout / "gone")
        found = project.check_environment(checkout, environment())
        assert found.level == "wrong"
        assert f"{python} does not run" in found.text
        assert found.fix == self.FIX


def test_generated_file_out_of_date(checkout: Path) -> None:
    """The page is named, and the session that writes it."""
    assert project.check_generated_files(checkout, environment()) == ("ok", "up to date", "")
    (checkout / "docs" / "configuration.md").write_text("older\n")
    found = project.check_generated_files(checkout, environment())
    assert found.level == "wrong"
    assert found.text == "docs/configuration.md is out of date"
    assert found.fix == "python3 noxfile.py -s generate"


def test_generated_files_that_cannot_be_checked(checkout: Path) -> None:
    """Code that cannot be imported is no verdict on the files."""
    (checkout / "contentworker" / "generate" / "configuration_page.py").write_text("def render(:\n")
    with pytest.raises(NotCheckedError, match="SyntaxError"):
        project.check_generated_files(checkout, environment())


def test_stale_locks(checkout: Path) -> None:
    """A dependency was added, the locks were not written anew."""
    assert project.check_locks(checkout, environment()) == ("ok", "up to date", "")
    pyproject = checkout / "pyproject.toml"
    pyproject.write_text(pyproject.read_text("utf-8").replace('"click>=8.1",', '"click>=8.2",'), "utf-8")
    found = project.check_locks(checkout, environment())
    assert found.level == "wrong"
    assert "core.txt" in found.text
    assert found.text.startswith("Out of date: ")
    assert found.fix == "python3 noxfile.py -s lock"


class TestGitHook:
    """The hook that `nox -s lint -- --hook` writes."""

    FIX = "python3 noxfile.py -s lint -- --hook"

    def hook(self, checkout: Path, text: str, mode: int = 0o755) -> Path:
        path = checkout / ".git" / "hooks" / "pre-commit"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(mode)
        return path

    def test_missing(self, checkout: Path) -> None:
        """Worth a note: not everybody commits here."""
        found = project.check_git_hook(checkout, environment())
        assert found == ("note", "not installed: nothing is checked when you commit", self.FIX)

    def test_installed(self, checkout: Path) -> None:
        """As noxfile.py marks it."""
        self.hook(checkout, project.HOOK_MARK)
        assert project.check_git_hook(checkout, environment()) == ("ok", "installed", "")

    def test_of_an_older_version(self, checkout: Path) -> None:
        """It names a folder: in a container, or after a move, every commit would fail."""
        hook = self.hook(checkout, 'PATH="/gone:$PATH" exec pre-commit run')
        text = f"{hook} is of an older version, and works only where it was written"
        assert project.check_git_hook(checkout, environment()) == ("wrong", text, self.FIX)

    def test_not_executable(self, checkout: Path) -> None:
        """git ignores it. The session makes its own executable, and leaves yours to you."""
        for content, fix in ((project.HOOK_MARK, self.FIX), ("exit 0", None)):
            hook = self.hook(checkout, content, 0o644)
            found = project.check_git_hook(checkout, environment())
            text = f"{hook} is not executable, so git ignores it"
            assert found == ("wrong", text, fix or f"chmod +x '{hook}'")
        subprocess.run(found.fix, shell=True, check=True)
        assert project.check_git_hook(checkout, environment()).level == "ok"

    def test_somebodys_own(self, checkout: Path) -> None:
        """It is let be."""
        hook = self.hook(checkout, "exec make check")
        assert project.check_git_hook(checkout, environment()) == ("ok", f"{hook} is your own", "")

    def test_no_repository(self, tmp_path: Path) -> None:
        """An unpacked archive has no commits."""
        found = project.check_git_hook(tmp_path, environment(GIT_CEILING_DIRECTORIES=str(tmp_path.parent)))
        assert found == ("ok", "not needed: this is not a git checkout", "")

    def test_git_does_not_work(self, checkout: Path, tmp_path: Path) -> None:
        """git's own reason is the reason."""
        path = script(tmp_path / "bin", "git", "echo fatal: dubious ownership >&2; exit 128")
        with pytest.raises(NotCheckedError, match="git: fatal: dubious ownership"):
            project.check_git_hook(checkout, environment(PATH=path))


# >>> editorial
class TestDesk:
    """Whether its settings and secrets let people in."""

    def test_without_secrets(self) -> None:
        """Nothing is wrong: a checkout needs none."""
        assert desk.check_desk(ROOT, environment()).level == "ok"

    def test_a_bad_line_is_named(self) -> None:
        """By its number; the secret itself is not shown."""
        lines = f"ana:editor:{hashed('a long password')}\nbob:editor:hush"
        found = desk.check_desk(ROOT, environment(DESK_PASSWORDS=lines))
        assert (found.level, "DESK_PASSWORDS: line 2: must end in" in found.text) == ("wrong", True)
        assert "hush" not in found.text
        good = desk.check_desk(ROOT, environment(DESK_PASSWORDS=lines.splitlines()[0]))
        assert good == ("ok", "1 person with a password", "")

    def test_links_need_a_secret(self) -> None:
        """Before the first mail goes out with one."""
        settings = {"WORKER__DESK__MAIL_LINK": "open", "WORKER__DESK__PUBLIC_URL": "https://desk.site.test"}
        found = desk.check_desk(ROOT, environment(**settings, DESK_SECRET="short"))
        assert (found.level, found.text.partition(":")[0]) == ("wrong", "DESK_SECRET")


class TestDetector:
    """Whether the generators that the detector knows are those of today."""

    def write(self, root: Path, **header: str) -> None:
        path = root / "contentworker" / "editorial" / "detector" / "model.npz"
        path.parent.mkdir(parents=True)
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("header.json", json.dumps(header))

    def test_a_young_model_is_fine(self, tmp_path: Path) -> None:
        """The newest generator is of this month."""
        today = datetime.now(UTC).date()
        self.write(tmp_path, knows_until=f"{today:%Y-%m}")
        assert detector.check_detector(tmp_path, {}) == ("ok", f"knows generators until {today:%Y-%m}", "")

    def test_an_old_model_is_named_with_what_helps(self, tmp_path: Path) -> None:
        """After a year it is a note, for the machine works as before."""
        self.write(tmp_path, knows_until="2024-06")
        found = detector.check_detector(tmp_path, {})
        assert found.level == "note"
        assert found.text.startswith("the detector knows no generator after 2024-06, ")
        assert "train-detector -- --data DIR --new FOLDER" in found.fix

    def test_a_broken_model_cannot_be_checked(self, tmp_path: Path) -> None:
        """The file is named; a worker would not start either."""
        with pytest.raises(NotCheckedError, match=r"model\.npz is not a model .*FileNotFoundError"):
            detector.check_detector(tmp_path, {})
        self.write(tmp_path)
        with pytest.raises(NotCheckedError, match="KeyError"):
            detector.check_detector(tmp_path, {})


# <<< editorial
