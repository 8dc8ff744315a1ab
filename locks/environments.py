"""Make a virtual environment from a lock, with nothing but Python.

make(".venv", "local")
"""

# Python 3.6 and later must be able to read this file, as noxfile.py does: no newer syntax in it.
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "GROWING",
    "LOCKS",
    "THIS_PYTHON",
    "fingerprint",
    "has",
    "install_packages",
    "is_up_to_date",
    "make",
    "note",
    "program",
    "runs",
    "write_command",
]

LOCKS = Path(__file__).resolve().parent
HERE = LOCKS.parent
THIS_PYTHON = "{}.{}".format(*sys.version_info)
GROWING = ("local", "tests", "lint")
"""Each of these locks has all of the one before, in the same versions: `.venv` grows with what you do."""


def fingerprint(lock: Path) -> str:
    """Hash of everything an environment depends on; rebuild it when this changes.

    The folder is part of it because an environment's scripts name it, and you may move a checkout or mount it
    into a container.
    """
    return hashlib.sha256(lock.read_bytes() + sys.version.encode() + str(HERE).encode()).hexdigest()


def is_up_to_date(environment: Path, lock: Path) -> bool:
    """Whether an environment has exactly what this lock pins, and its Python runs."""
    note = environment / "made-of"
    is_made = note.is_file() and note.read_text("utf-8") == fingerprint(lock)
    return is_made and runs(program(environment, "python"))  # its Python may have been removed since


def note(environment: Path, made_of: str) -> None:
    """Note the fingerprint of what an environment was made from."""
    (environment / "made-of").write_text(made_of, "utf-8")


def program(environment: Path, name: str) -> str:
    """The path of a program of this environment; with an empty name, of their folder."""
    return str(environment / ("Scripts" if os.name == "nt" else "bin") / name)


def _pip_wheel() -> "Path | None":
    """The pip that Python brings along. It runs as it is, so no environment needs a copy (23 MB)."""
    import ensurepip

    bundled = Path(ensurepip.__file__).parent / "_bundled"
    # A distribution may name another folder; Debian has one that it does not name.
    folders = [bundled, sysconfig.get_config_var("WHEEL_PKG_DIR") or bundled, "/usr/share/python-wheels"]
    return next((wheel for folder in folders for wheel in Path(folder).glob("pip-*.whl")), None)


def make(name: str, group: str) -> Path:
    """Make the virtual environment `name` with what a group's lock pins, unless it is up to date."""
    environment = HERE / name
    if has(environment, group):
        write_command(environment)
        return environment
    (HERE / ".nox").mkdir(exist_ok=True)
    with (HERE / ".nox" / "_lock").open(
        "w"
    ) as file:  # the session `lock` has the name without the underscore
        if fcntl:  # of two at once, the second waits, and finds it made
            fcntl.flock(file, fcntl.LOCK_EX)
        if not has(environment, group):
            _build(environment, LOCKS / f"{group}.txt")
    write_command(environment)
    return environment


def has(environment: Path, group: str) -> bool:
    """Whether an environment has what a group's lock pins, or a lock that has all of it."""
    locks = GROWING[GROWING.index(group) :] if group in GROWING else (group,)
    return any(is_up_to_date(environment, LOCKS / f"{each}.txt") for each in locks)


def write_command(environment: Path) -> None:
    """Write `content-worker` into `.venv`, as no package is installed that would bring it.

    It works from any folder. -P: modules of that folder are not imported.
    """
    if environment.name != ".venv" or os.name == "nt":  # Windows: python -m contentworker
        return
    # As contentworker/__main__.py: Ctrl-C during an import, or while a shell asks for completions.
    start = "import sys\ntry:\n    sys.path.insert(0, sys.argv.pop(1))\n"
    start += "    from contentworker.cli.main import main\n    main(prog_name='content-worker')\n"
    start += "except KeyboardInterrupt:\n    sys.exit(130)"
    words = [program(environment, "python"), "-P", "-c", start, str(HERE)]
    text = '#!/bin/sh\n# Written by noxfile.py.\nexec {} "$@"\n'.format(" ".join(map(shlex.quote, words)))
    command = Path(program(environment, "content-worker"))
    if not command.is_file() or command.read_text("utf-8") != text:
        command.write_text(text, "utf-8")
        command.chmod(0o755)


def _build(environment: Path, lock: Path) -> None:
    try:
        import ensurepip  # noqa: F401 (venv imports it too late, in another process)
        import venv
    except ImportError:
        sys.exit(f"This Python has no venv. Type: sudo apt install python{THIS_PYTHON}-venv")
    print(
        f"Installing the {_packages(lock)} packages of locks/{lock.name} into {environment} ...", flush=True
    )
    if not has(environment, GROWING[0]):
        venv.create(environment, symlinks=os.name != "nt", with_pip=_pip_wheel() is None, clear=True)
    install_packages(environment, lock)
    wheel = _pip_wheel()
    if environment.name == ".venv" and wheel:  # people install more into this one
        install_packages(environment, str(wheel))
    note(environment, fingerprint(lock))
    print(f"... done: {_disk_bytes(environment) / 1e6:.0f} MB", flush=True)


def _packages(lock: Path) -> int:
    """How many packages a lock has for every system; most of those with a condition are for others."""
    return sum("==" in line and " ; " not in line for line in lock.read_text("utf-8").splitlines())


def _disk_bytes(folder: Path) -> int:
    """What `du` counts: whole blocks, where the system tells them."""
    found = [file.lstat() for file in folder.rglob("*")]
    return sum(int(getattr(each, "st_blocks", each.st_size / 512)) * 512 for each in found)


def install_packages(environment: Path, what: "Path | str", *options: str) -> None:
    """Install a lock, or a file, with uv if there is one, else with the pip that Python has."""
    python, wheel, uv = program(environment, "python"), _pip_wheel(), shutil.which("uv")
    wanted = [what] if isinstance(what, str) else ["--require-hashes", "-r", str(what)]
    if uv:
        quiet = [] if sys.stderr.isatty() and isinstance(what, Path) else ["--quiet"]
        command = [uv, "pip", "install", *quiet, "--python", python, *options, *wanted]
    else:
        # --no-compile: bytecode is written for what is imported, a third of the whole.
        common = ["--disable-pip-version-check", "--no-compile"]
        pip = [python, str(wheel / "pip")] if wheel else [python, "-m", "pip"]
        command = [*pip, "install", *common, *options, *wanted]
    name = os.path.relpath(str(what), str(HERE))
    if (
        subprocess.call(command)
        if uv
        else _run_pip(command, _packages(what) if isinstance(what, Path) else 0)
    ):
        sys.exit(f"{'uv' if uv else 'pip'} could not install {name}. Its own message is above.")


def _run_pip(command: "list[str]", count: int) -> int:
    """Run pip with a bar for the whole, as it has one for each file only; its complaints only if it fails."""
    with tempfile.TemporaryFile("w+") as errors:
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=errors, universal_newlines=True) as process:
            assert process.stdout  # noqa: S101 (it is a pipe)
            if count:
                _show_progress(process.stdout, count)
            process.stdout.read()
        if process.returncode:
            errors.seek(0)
            sys.stderr.write(errors.read())
    return process.returncode


def _show_progress(said: "IO[str]", count: int) -> None:
    """How far pip is: one line of a terminal that changes, elsewhere a line for each tenth package."""
    number, is_terminal = 0, sys.stdout.isatty()
    for line in said:
        first, name, *_ = [*line.split(), "", ""]
        if first == "Collecting" or line.startswith("Requirement already satisfied:"):
            number += 1
            name = name.partition("==")[0] if first == "Collecting" else "..."
            step = f"  {number} of {max(number, count)}: {name}"
        elif line.startswith("Installing collected"):
            step = "  unpacking ..."
        else:
            continue
        if is_terminal:
            print(f"\r\033[K{step:.78}", end="", flush=True)
        elif number % 10 == 0:
            print(step, flush=True)
    if is_terminal:
        print("\r\033[K", end="", flush=True)


def runs(python: str) -> bool:
    """Whether this Python runs: pyenv puts stand-ins on the PATH, also for versions that are not chosen."""
    command, null = [python, "--version"], subprocess.DEVNULL
    return bool(shutil.which(python)) and subprocess.call(command, stdout=null, stderr=null) == 0
