"""The project: its Pythons, its tools, and whether files generated from others are up to date."""

import hashlib
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

from contentworker.doctor import ask
from contentworker.doctor.ask import SESSION, Environ, Finding, NotCheckedError
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

GROWING = ("local", "tests", "lint")
"""The locks that .venv may have, as in locks/environments.py."""
HOOK_MARK = "# Written by `nox -s lint -- --hook`."
"""What noxfile.py writes into a hook."""


def check_pythons(root: Path, environ: Environ) -> Finding:
    """Which versions of worker.toml are installed; `nox -s tests` leaves out the others."""
    versions = ask.settings(root, environ).python.versions
    path = environ.get("PATH", "")
    known = {version: shutil.which(f"python{version}", path=path) for version in versions}
    runs = {
        version: bool(python and ask.runs([python, "--version"], root, environ))
        for version, python in known.items()
    }
    installed = [version for version in versions if runs[version]]
    missing = [version for version in versions if not runs[version]]
    if not missing:
        return Finding("ok", f"{', '.join(installed)}: all of worker.toml's are installed")
    # pyenv puts a shim on the PATH also for a version that is not chosen.
    not_chosen = [version for version in missing if "shims" in Path(known[version] or "").parts]
    if not_chosen:
        fix = f"pyenv local system {' '.join(not_chosen)}"
    elif shutil.which("uv", path=path):
        fix = f"uv python install {' '.join(missing)}"
    elif shutil.which("brew", path=path):
        fix = f"brew install {' '.join(f'python@{version}' for version in missing)}"
    else:
        fix = f"install Python {' and '.join(missing)} with your system's packages, or from python.org"
    have = f"installed: {', '.join(installed)}" if installed else "none of worker.toml's is installed"
    text = f"{have}; missing, so not tested on: {', '.join(missing)}"
    return Finding("note" if installed else "wrong", text, fix)


def check_nox(root: Path, environ: Environ) -> Finding:
    """Whether a nox on the PATH is new enough; noxfile.py works without one."""
    wanted = re.search(
        r"^OLDEST_NOX = \((\d+), (\d+)\)$", (root / "noxfile.py").read_text("utf-8"), re.MULTILINE
    )
    nox = shutil.which("nox", path=environ.get("PATH", ""))
    instead = f"{SESSION} … brings its own"
    if not nox:
        return Finding("ok", f"not on the PATH; {instead}")
    if not wanted:
        raise NotCheckedError("noxfile.py does not say which version it needs")
    try:
        done = ask.run([nox, "--version"], root, environ)
        version = re.fullmatch(r"\s*(\d+(?:\.\d+)+)\S*\s*", done.stdout + done.stderr)
    except OSError:  # its Python was removed
        version = None
    if not version:
        text = f"{nox} does not work, or is another program; {instead}"
        return Finding("note", text, f"type {SESSION} … where a page says nox -s …")
    needed = ".".join(wanted.groups())
    if ask.numbers(version[1]) < ask.numbers(needed):
        return Finding("note", f"{nox} is {version[1]}, older than {needed}: noxfile.py uses its own")
    return Finding("ok", f"{version[1]} ({nox})")


def check_environment(root: Path, environ: Environ) -> Finding:
    """Whether .venv, in which workers run, has what the lock says, by the note that its maker left in it."""
    environment, locks = root / ".venv", [root / "locks" / f"{group}.txt" for group in GROWING]
    if not environment.exists():
        try:
            import ensurepip  # noqa: F401  venv needs it, and Debian leaves it out
        except ImportError:
            package = "python{}.{}-venv".format(*sys.version_info)
            return Finding(
                "wrong", "cannot be created: this Python has no venv", f"sudo apt install {package}"
            )
        return Finding("note", "does not exist yet; the first session creates it")
    fix = f"{SESSION} shell -- python --version"
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not ask.runs([str(python), "--version"], root, environ):
        return Finding("wrong", f"{python} does not run: its Python was removed or replaced", fix)
    version = ask.output([str(python), "-c", "import sys; sys.stdout.write(sys.version)"], root, environ)
    note = ask.text(environment / "made-of")
    made_of = [lock for lock in locks if note == _fingerprint(lock, version, root)]
    if not made_of:
        return Finding("wrong", ".venv is not what locks/local.txt says", fix)
    return Finding("ok", f"what locks/{made_of[0].name} says, with Python {version.split()[0]}")


def _fingerprint(lock: Path, version: str, root: Path) -> str:
    """What locks/environments.py notes, here for the Python of .venv and any folder."""
    return hashlib.sha256(lock.read_bytes() + version.encode() + str(root).encode()).hexdigest()


def check_configuration(root: Path, environ: Environ) -> Finding:
    """Whether worker.toml and its overrides are valid."""
    from contentworker import config

    try:
        settings = config.load(root / "worker.toml", environ)
    except ConfigError as error:
        text = str(error)
        places = [line.split(": ")[0] for line in text.splitlines()]
        variables = sorted({name for place in places for name in re.findall(r"\bWORKER_\w+", place)})
        if variables:
            return Finding("wrong", text, f"unset {' '.join(variables)}")
        return Finding("wrong", text, "edit worker.toml; docs/configuration.md says what each key may be")
    return Finding("ok", f"valid; queues: {', '.join(settings.queues)}")


def check_generated_files(root: Path, environ: Environ) -> Finding:
    """Whether the generated files are up to date."""
    command = [sys.executable, "-m", "contentworker", "config", "document", "--check"]
    return _verdict(command, "out of date", f"{SESSION} generate", root, environ)


def check_locks(root: Path, environ: Environ) -> Finding:
    """Whether the locks belong to pyproject.toml."""
    command = [sys.executable, str(root / "locks" / "stale.py")]
    return _verdict(command, "Out of date", f"{SESSION} lock", root, environ)


def check_git_hook(root: Path, environ: Environ) -> Finding:
    """Whether git runs the pre-commit hooks at each commit."""
    fix = f"{SESSION} lint -- --hook"
    command = ["git", "rev-parse", "--git-path", "hooks/pre-commit"]
    try:
        hook = root / ask.output(command, root, {**environ, "LC_ALL": "C"}).strip()
    except NotCheckedError as error:
        if "not a git repository" in str(error):
            return Finding("ok", "not needed: this is not a git checkout")
        raise
    if not hook.exists():
        return Finding("note", "not installed: nothing is checked when you commit", fix)
    content = ask.text(hook)
    is_older = '" exec pre-commit run' in content
    if not os.access(hook, os.X_OK):
        return Finding(
            "wrong",
            f"{hook} is not executable, so git ignores it",
            fix if HOOK_MARK in content or is_older else f"chmod +x {shlex.quote(str(hook))}",
        )
    if is_older:
        return Finding("wrong", f"{hook} is of an older version, and works only where it was written", fix)
    return Finding("ok", "installed" if HOOK_MARK in content else f"{hook} is your own")


def _verdict(command: list[str], complaint: str, fix: str, root: Path, environ: Environ) -> Finding:
    """The finding of one of the project's own checks, which exits with 0 or prints its complaint."""
    done = ask.run(command, root, environ)
    said = (done.stdout + done.stderr).strip().removeprefix("Error: ")
    if done.returncode == 0:
        return Finding("ok", "up to date")
    if complaint not in said:
        raise NotCheckedError(said.splitlines()[-1] if said else f"exit code {done.returncode}")
    return Finding("wrong", re.sub(r"[:,] run `nox -s \w+`", "", said), fix)
