"""The project: its Pythons, its tools, and whether what is made of its files is up to date."""

import hashlib
import os
import re
import shutil
import sys
from pathlib import Path

from contentworker.doctor import ask
from contentworker.doctor.finding import SESSION, Environ, Finding, NotCheckedError
from contentworker.errors import ConfigError

__all__ = [
    "check_configuration",
    "check_environment",
    "check_generated_files",
    "check_git_hook",
    "check_locks",
    "check_nox",
    "check_pythons",
]


def check_pythons(root: Path, environ: Environ) -> Finding:
    """Which of the versions in worker.toml are installed: `nox -s tests` leaves out the others."""
    versions = ask.settings(root, environ).python.versions
    path = environ.get("PATH", "")
    known = {version: shutil.which(f"python{version}", path=path) for version in versions}
    runs = {
        version: bool(found and ask.runs([found, "--version"], root, environ))
        for version, found in known.items()
    }
    installed = [version for version in versions if runs[version]]
    missing = [version for version in versions if not runs[version]]
    if not missing:
        return Finding("ok", f"{', '.join(installed)}: all of worker.toml's are installed")
    # pyenv has a stand-in on the PATH also for a version that is not chosen.
    not_chosen = [version for version in missing if "shims" in Path(known[version] or "").parts]
    if not_chosen:
        mend = f"pyenv local system {' '.join(not_chosen)}"
    elif shutil.which("uv", path=path):
        mend = f"uv python install {' '.join(missing)}"
    elif shutil.which("brew", path=path):
        mend = f"brew install {' '.join(f'python@{version}' for version in missing)}"
    else:
        mend = f"install Python {' and '.join(missing)} with your system's packages, or from python.org"
    have = f"installed: {', '.join(installed)}" if installed else "none of worker.toml's is installed"
    text = f"{have}; missing, so not tested on: {', '.join(missing)}"
    return Finding("note" if installed else "wrong", text, mend)


def check_nox(root: Path, environ: Environ) -> Finding:
    """Whether a nox on the PATH is new enough. None is needed."""
    wanted = re.search(r"^OLDEST_NOX = \((\d+), (\d+)\)$", (root / "noxfile.py").read_text("utf-8"), re.M)
    nox = shutil.which("nox", path=environ.get("PATH", ""))
    instead = f"{SESSION} … brings its own"
    if not nox:
        return Finding("ok", f"not on the PATH; {instead}")
    if not wanted:
        raise NotCheckedError("noxfile.py does not say which version it needs")
    try:
        done = ask.run([nox, "--version"], root, environ)
        version = re.fullmatch(r"\s*(\d+(?:\.\d+)+)\S*\s*", done.stdout + done.stderr)
    except OSError:  # the Python that it was made for is gone
        version = None
    if not version:
        text = f"{nox} does not work, or is another program; {instead}"
        return Finding("wrong", text, f"{SESSION} doctor")
    needed = ".".join(wanted.groups())
    if ask.numbers(version[1]) < ask.numbers(needed):
        return Finding("note", f"{nox} is {version[1]}, older than {needed}: noxfile.py goes on with its own")
    return Finding("ok", f"{version[1]} ({nox})")


def check_environment(root: Path, environ: Environ) -> Finding:
    """Whether .venv, in which workers run, is what the lock says, by the note of noxfile.py in it."""
    environment, lock = root / ".venv", root / "locks" / "local.txt"
    if not environment.exists():
        try:
            import ensurepip  # noqa: F401  what venv needs, and Debian leaves out
        except ImportError:
            package = "python{}.{}-venv".format(*sys.version_info)
            return Finding("wrong", "cannot be made: this Python has no venv", f"sudo apt install {package}")
        return Finding("note", "not made yet; the first session makes it")
    mend = f"{SESSION} shell -- python --version"
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not ask.runs([str(python), "--version"], root, environ):
        return Finding("wrong", f"{python} does not run: its Python was removed or replaced", mend)
    version = ask.output([str(python), "-c", "import sys; sys.stdout.write(sys.version)"], root, environ)
    if ask.text(environment / "made-of") != _fingerprint(lock, version, root):
        return Finding("wrong", ".venv is not what locks/local.txt says", mend)
    return Finding("ok", f"what locks/local.txt says, with Python {version.split()[0]}")


def _fingerprint(lock: Path, version: str, root: Path) -> str:
    """As noxfile.py notes it, which can be imported by nox only."""
    return hashlib.sha256(lock.read_bytes() + version.encode() + str(root).encode()).hexdigest()


def check_configuration(root: Path, environ: Environ) -> Finding:
    """Whether worker.toml and what overrides it are valid."""
    from contentworker import config

    try:
        settings = config.load(root / "worker.toml", environ)
    except ConfigError as error:
        text = str(error)
        variables = sorted(set(re.findall(rf"^{config.ENVIRONMENT_PREFIX}\w+", text, re.M)))
        if variables:
            return Finding("wrong", text, f"unset {' '.join(variables)}")
        return Finding("wrong", text, "edit worker.toml; docs/configuration.md says what each key may be")
    return Finding("ok", f"valid; queues: {', '.join(settings.queues)}")


def check_generated_files(root: Path, environ: Environ) -> Finding:
    """Whether what is generated from the settings models is up to date."""
    command = [sys.executable, "-m", "contentworker", "config", "document", "--check"]
    return _verdict(command, "out of date", f"{SESSION} generate", root, environ)


def check_locks(root: Path, environ: Environ) -> Finding:
    """Whether the locks are those of pyproject.toml."""
    command = [sys.executable, str(root / "locks" / "stale.py")]
    return _verdict(command, "Out of date", f"{SESSION} lock", root, environ)


def check_git_hook(root: Path, environ: Environ) -> Finding:
    """Whether git runs the pre-commit hooks at each commit."""
    mend = f"{SESSION} lint -- --hook"
    command = ["git", "rev-parse", "--git-path", "hooks/pre-commit"]
    try:
        hook = root / ask.output(command, root, {**environ, "LC_ALL": "C"}).strip()
    except NotCheckedError as error:
        if "not a git repository" in str(error):
            return Finding("ok", "none needed: this is no git checkout")
        raise
    if not hook.exists():
        return Finding("note", "not installed: nothing is checked when you commit", mend)
    tools = re.search(r'^PATH="(.+?):\$PATH" exec pre-commit run$', ask.text(hook), re.M)
    if not os.access(hook, os.X_OK):
        return Finding("wrong", f"{hook} is not executable, so git leaves it out", mend)
    if not tools:
        return Finding("ok", f"{hook} is your own")
    if not os.access(Path(tools[1], "pre-commit"), os.X_OK):
        return Finding("wrong", f"{hook} calls tools of {tools[1]}, where they are no longer", mend)
    return Finding("ok", "installed")


def _verdict(command: list[str], complaint: str, mend: str, root: Path, environ: Environ) -> Finding:
    """What a check of the project's own says: its exit code is 0, or it complains."""
    done = ask.run(command, root, environ)
    said = (done.stdout + done.stderr).strip().removeprefix("Error: ")
    if done.returncode == 0:
        return Finding("ok", "up to date")
    if complaint not in said:
        raise NotCheckedError(said.splitlines()[-1] if said else f"exit code {done.returncode}")
    return Finding("wrong", re.sub(r"[:,] run `nox -s \w+`", "", said), mend)
