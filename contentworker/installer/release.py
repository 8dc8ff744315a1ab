"""One version of everything that runs, as a folder: code, units, and an environment of the system's Python.

Its name is made of what it is made of. So the same checkout gives the same release, and what is there by
that name needs not be made, copied or restarted again.
"""

import fcntl
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from contentworker.installer.errors import InstallError
from contentworker.installer.pythons import SystemPython

__all__ = [
    "SUMS",
    "Release",
    "Source",
    "build",
    "environment_of",
    "locked",
    "package_count",
    "read",
    "unknown_to_git",
]

SUMS = "SHA256SUMS"
"""The digest of each file of a release, as sha256sum(1) has it."""

RECIPE = b"1"
"""To be changed with what `build` makes of the same input."""

LEFT_OUT = {"benchmarks", "research", "tests"}
"""Top-level folders that no service needs; hidden ones are left out as well."""

ID_LENGTH = 12
STDERR = 2
GIT = ("git", "-c", "safe.directory=*", "-C")  # also where root installs a checkout that is somebody else's


@dataclass(frozen=True)
class Source:
    """What a release is made of, apart from its packages."""

    files: dict[str, tuple[bytes, bool]]
    """By path: contents, and whether it can be executed."""
    lock: bytes
    python: SystemPython

    @property
    def identity(self) -> str:
        made_of = hashlib.sha256(RECIPE)
        for path, (data, executable) in sorted(self.files.items()):
            made_of.update(f"{path}\0{executable:d}{len(data)}\0".encode() + data)
        made_of.update(self.environment.encode())
        return made_of.hexdigest()[:ID_LENGTH]

    @property
    def environment(self) -> str:
        """A name of the environment that it needs."""
        made_of = b"\0".join([RECIPE, self.lock, self.python.path.encode(), self.python.abi.encode()])
        return hashlib.sha256(made_of).hexdigest()[:ID_LENGTH]

    @property
    def size_bytes(self) -> int:
        return sum(len(data) for data, _ in self.files.values())


@dataclass(frozen=True)
class Release:
    """A release that was built."""

    identity: str
    folder: Path


def read(checkout: Path, units: dict[str, str], locks: list[Path], python: SystemPython) -> Source:
    """Read what a release of this checkout is made of; `units` are the rendered files of `systemd/`."""
    files = {path: _content(checkout / path) for path in _code(checkout)}
    # What was rendered for another prefix, or for a queue that is no more, is not part of it.
    files = {
        path: content
        for path, content in files.items()
        if not path.startswith("systemd/") or path.startswith("systemd/templates/")
    }
    files |= {f"systemd/{path}": (text.encode(), False) for path, text in units.items()}
    return Source(files, b"".join(lock.read_bytes() for lock in locks), python)


def _content(path: Path) -> tuple[bytes, bool]:
    return path.read_bytes(), bool(path.stat().st_mode & 0o100)


def _code(checkout: Path) -> list[str]:
    """The files of a checkout that git knows; of a copy without git, all that are not caches."""
    try:
        command = [*GIT, str(checkout), "ls-files", "-z"]
        known = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        known = [path.relative_to(checkout).as_posix() for path in checkout.rglob("*")]
    return [path for path in known if path and _is_part(path) and (checkout / path).is_file()]


def unknown_to_git(checkout: Path) -> list[str]:
    """The files that would be installed if they were added; none where there is no git."""
    command = [*GIT, str(checkout), "ls-files", "--others", "--exclude-standard", "-z"]
    try:
        found = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        return []
    return [path for path in found if path and _is_part(path)]


def _is_part(path: str) -> bool:
    parts = path.split("/")
    return (
        parts[0] not in LEFT_OUT
        and "__pycache__" not in parts
        and not any(part.startswith(".") for part in parts)
    )


@contextmanager
def locked(cache: Path) -> Iterator[None]:
    """Let nobody else build in this folder meanwhile."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(source: Source, cache: Path) -> Release:
    """Make the folder of a release in `cache`, which `locked` holds, as it is to stand on the machine.

    Raises:
        InstallError: the packages could not be installed.
    """
    environment = _environment(source, cache)
    for other in [*cache.glob("release-*"), *cache.glob("environment-*")]:
        if other != environment:
            shutil.rmtree(other)
    folder = cache / f"release-{source.identity}"
    for path, (data, executable) in source.files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        file.chmod(0o755 if executable else 0o644)
    _compile(folder, source.python)
    _normalise(folder)
    shutil.copytree(environment, folder / "environment", symlinks=True, copy_function=os.link)
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    ]
    (folder / SUMS).write_text("".join(sums), "utf-8")
    (folder / SUMS).chmod(0o644)
    return Release(source.identity, folder)


def environment_of(source: Source, cache: Path) -> Path:
    """Where the environment that a release needs is, once it was made."""
    return cache / f"environment-{source.environment}"


def package_count(lock: bytes) -> int:
    return len(re.findall(rb"^\S+==", lock, re.M))


def _environment(source: Source, cache: Path) -> Path:
    environment = environment_of(source, cache)
    if environment.exists():
        return environment
    new = cache / "environment-new"
    shutil.rmtree(new, ignore_errors=True)
    python = new / "bin" / "python"
    _run([source.python.path, "-I", "-m", "venv", "--without-pip", "--symlinks", str(new)])
    (new / "lock.txt").write_bytes(source.lock)
    options = ["-qq", "--no-input", "--disable-pip-version-check", "--no-compile"]
    # No dependencies: a lock names all that it wants.
    options += ["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(new / "lock.txt")]
    if package_count(source.lock):
        _run([str(python), "-I", f"{_pip_wheel()}/pip", "install", *options])
    (new / "lock.txt").unlink()
    _forget_this_place(new)
    _compile(new, source.python)
    _normalise(new)
    new.rename(environment)
    return environment


def _pip_wheel() -> str:
    """The pip that Python brings along, as in noxfile.py: no environment needs a copy."""
    folders = [sysconfig.get_config_var("WHEEL_PKG_DIR"), "/usr/share/python-wheels"]
    try:
        import ensurepip

        folders.insert(0, os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"))
    except ImportError:
        pass
    wheels = [wheel for folder in folders if folder for wheel in glob.glob(os.path.join(folder, "pip-*.whl"))]
    if not wheels:
        raise InstallError("this Python has no pip to install with. Type: sudo apt install python3-venv")
    return wheels[0]


def _forget_this_place(environment: Path) -> None:
    """Take out what names the folder that it was made in. Everything is called by `python -m`."""
    for script in (environment / "bin").iterdir():
        if not script.name.startswith("python"):
            script.unlink()
    configuration = environment / "pyvenv.cfg"
    lines = configuration.read_text("utf-8").splitlines(keepends=True)
    configuration.write_text("".join(line for line in lines if not line.startswith("command")), "utf-8")


def _compile(folder: Path, python: SystemPython) -> None:
    # By hash, not by time: the bytecode holds wherever the files are copied to, and an edit counts.
    # What cannot be compiled, as a template of a package, is none of ours to judge.
    command = [python.path, "-I", "-m", "compileall", "-qq", "--invalidation-mode", "checked-hash"]
    subprocess.run([*command, "-s", str(folder), str(folder)], check=False, capture_output=True)


def _normalise(folder: Path) -> None:
    """Give all the modes of a system's files, whatever the umask of who builds."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=STDERR, check=False)
    if done.returncode:
        raise InstallError("the packages could not be installed; what pip says is above")
