"""One version of everything that runs, as a folder: code, units, and an environment of the system's Python.

A release is named by a hash of what it is made of: the same checkout gives the same name. A release or
environment that exists under its name is not built, copied or started again.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from contentworker.installer.errors import InstallError
from contentworker.installer.machine import SystemPython
from contentworker.installer.plan import Say

__all__ = ["SUMS", "Source", "build", "checksums", "clear", "environment_of", "locked", "package_count"]
__all__ += ["pip_wheel", "read", "unknown_to_git"]

SUMS = "SHA256SUMS"
"""File with the digest of each file of a release, as sha256sum(1) writes and checks it."""
RECIPE = b"2"
"""Part of every name. Change it when `build` makes something else of the same input."""
LEFT_OUT = {"adoption", "benchmarks", "research", "tests"}
"""Top-level folders that no service needs. Hidden folders are left out as well."""
ID_LENGTH = 12
"""Hexadecimal digits of a name: 48 bits, enough for the few releases of one machine."""
MADE_OF = "made-of"
"""File of an environment with the environment's name."""
SECONDS_BETWEEN = 3
"""From one line about the packages to the next: pip prints hundreds."""

# A checkout may belong to another user than the root who installs it.
GIT = ("git", "-c", "safe.directory=*", "-C")


@dataclass(frozen=True)
class Source:
    """What a release is made of, apart from its packages."""

    files: dict[str, tuple[bytes, bool]]
    """By path: the contents, and whether it can be executed."""
    lock: bytes
    python: SystemPython

    @property
    def identity(self) -> str:
        """Name of the release: a digest of everything that it is made of."""
        made_of = hashlib.sha256(RECIPE)
        for path, (data, executable) in sorted(self.files.items()):
            made_of.update(f"{path}\0{executable:d}{len(data)}\0".encode() + data)
        made_of.update(self.environment.encode())
        return made_of.hexdigest()[:ID_LENGTH]

    @property
    def environment(self) -> str:
        """The name of the environment that the release needs."""
        made_of = b"\0".join([RECIPE, self.lock, self.python.path.encode(), self.python.abi.encode()])
        return hashlib.sha256(made_of).hexdigest()[:ID_LENGTH]

    @property
    def size_bytes(self) -> int:
        """Size of all files of the checkout."""
        return sum(len(data) for data, _ in self.files.values())


def read(checkout: Path, units: dict[str, str], locks: list[Path], python: SystemPython) -> Source:
    """Read what a release of this checkout is made of; `units` are the rendered files of `systemd/`."""
    # The checkout's own units may be rendered for another prefix, or for a queue that is gone.
    paths = [path for path in _code(checkout) if re.match(r"systemd/templates/|(?!systemd/)", path)]
    files = {
        path: ((checkout / path).read_bytes(), bool((checkout / path).stat().st_mode & 0o100))
        for path in paths
    }
    files |= {f"systemd/{path}": (text.encode(), False) for path, text in units.items()}
    return Source(files, b"".join(lock.read_bytes() for lock in locks), python)


def _code(checkout: Path) -> list[str]:
    """The files of a checkout that git knows; in a copy without git, all files that are not caches."""
    known = _listed_by_git(checkout)
    if known is None:
        known = [path.relative_to(checkout).as_posix() for path in checkout.rglob("*")]
    return [path for path in known if _is_part(path) and (checkout / path).is_file()]


def unknown_to_git(checkout: Path) -> list[str]:
    """The files that would be installed if they were added to git; none without git."""
    return list(filter(_is_part, _listed_by_git(checkout, "--others", "--exclude-standard") or []))


def _listed_by_git(checkout: Path, *options: str) -> list[str] | None:
    command = [*GIT, str(checkout), "ls-files", "-z", *options]
    try:
        return subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        return None


def _is_part(path: str) -> bool:
    parts = path.split("/")
    is_hidden = any(part.startswith(".") for part in parts)
    return bool(path) and parts[0] not in LEFT_OUT and "__pycache__" not in parts and not is_hidden


@contextmanager
def locked(cache: Path) -> Iterator[None]:
    """Let no other process build in this folder at the same time."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(source: Source, cache: Path, installed: Path | None = None, say: Say = lambda _: None) -> Path:
    """Make a release in `cache`, which `locked` holds, as it will stand on the machine; return its folder.

    `installed` is the folder with the machine's releases: packages that it has are copied and not downloaded.

    Raises:
        InstallError: the packages could not be installed.
    """
    environment = environment_of(source, cache)
    if not environment.exists():
        _make_environment(source, cache / "environment-new", installed, say)
        (cache / "environment-new").rename(environment)
    clear(cache, keep=environment)
    folder = cache / f"release-{source.identity}"
    say(f"code: {len(source.files)} files")
    for path, (data, executable) in source.files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        file.chmod(0o755 if executable else 0o644)
    _compile(folder, source.python)
    _normalise(folder)
    say("checksums of all files")
    shutil.copytree(environment, folder / "environment", symlinks=True, copy_function=os.link)
    sums = [f"{_digest(path)}  {path.relative_to(folder)}\n" for path in sorted(_files(folder))]
    (folder / SUMS).write_text("".join(sums), "utf-8")
    (folder / SUMS).chmod(0o644)
    return folder


def clear(cache: Path, keep: Path | None = None) -> None:
    """Remove what was built. Once a release is installed, the next one takes its packages from there."""
    for path in [*cache.glob("release-*"), *cache.glob("environment-*")]:
        if path != keep:
            shutil.rmtree(path)


def environment_of(source: Source, cache: Path) -> Path:
    """The folder of the environment that a release needs, once it is made."""
    return cache / f"environment-{source.environment}"


def package_count(lock: bytes) -> int:
    """Number of packages that a lock names."""
    return len(re.findall(rb"^\S+==", lock, re.MULTILINE))


def checksums(release: Path) -> dict[str, str]:
    """The SHA-256 of each file of a release as it was built; empty if the release is incomplete."""
    if not (release / SUMS).exists():
        return {}
    lines = (line.partition("  ") for line in (release / SUMS).read_text("utf-8").splitlines())
    return {name: digest for digest, _, name in lines}


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _make_environment(source: Source, new: Path, installed: Path | None, say: Say) -> None:
    shutil.rmtree(new, ignore_errors=True)
    if installed and (same := _same_environment(source, installed)):
        say(f"packages: the same as those of release {same.parent.name}")
        shutil.copytree(same, new, symlinks=True)
        return
    python, lock = new / "bin" / "python", new / "lock.txt"
    _run([source.python.path, "-I", "-m", "venv", "--without-pip", "--symlinks", str(new)], 0, say)
    lock.write_bytes(source.lock)
    options = ["--no-input", "--progress-bar=off", "--disable-pip-version-check", "--no-compile"]
    # No dependencies: a lock names every package.
    options += ["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(lock)]
    if count := package_count(source.lock):
        _run([str(python), "-I", f"{pip_wheel()}/pip", "install", *options], count, say)
    lock.unlink()
    _forget_this_place(new)
    (new / MADE_OF).write_text(source.environment, "utf-8")
    say("packages: bytecode, which services cannot write")
    _compile(new, source.python)
    _normalise(new)


def pip_wheel() -> str:
    """The pip that comes with Python, as in locks/environments.py: no environment needs a copy of it."""
    folders = [sysconfig.get_config_var("WHEEL_PKG_DIR"), "/usr/share/python-wheels"]
    try:
        import ensurepip

        folders.insert(0, str(Path(ensurepip.__file__).parent / "_bundled"))
    except ImportError:
        pass
    wheels = [wheel for folder in folders if folder for wheel in Path(folder).glob("pip-*.whl")]
    if not wheels:
        raise InstallError("this Python has no pip to install with. Type: sudo apt install python3-venv")
    return str(wheels[0])


def _forget_this_place(environment: Path) -> None:
    """Remove what names the folder of the build. Services need no scripts, they run `python -m`."""
    for script in (environment / "bin").iterdir():
        if not script.name.startswith("python"):
            script.unlink()
    configuration = environment / "pyvenv.cfg"
    lines = configuration.read_text("utf-8").splitlines(keepends=True)
    configuration.write_text("".join(line for line in lines if not line.startswith("command")), "utf-8")


def _compile(folder: Path, python: SystemPython) -> None:
    # By hash, not by time: bytecode stays valid wherever the files are copied to, and not for an edited file.
    # Not checked: some packages have templates that are no valid Python.
    # -j0: on all processors, as this takes half of the time of a build.
    command = [python.path, "-I", "-m", "compileall", "-qq", "-j0", "--invalidation-mode", "checked-hash"]
    subprocess.run([*command, "-s", str(folder), str(folder)], check=False, capture_output=True)


def _normalise(folder: Path) -> None:
    """Give every file the mode of a system file, whatever the umask of the user who builds."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)


def _same_environment(source: Source, installed: Path) -> Path | None:
    """The environment of an installed release with the same lock and Python, if it is unchanged."""
    for made_of in sorted(installed.glob(f"*/environment/{MADE_OF}")):
        environment = made_of.parent
        sums = {
            environment.parent / name: digest
            for name, digest in checksums(environment.parent).items()
            if name.startswith("environment/")
        }
        if made_of.read_text("utf-8") != source.environment or sums.keys() != set(_files(environment)):
            continue
        if all(_digest(path) == digest for path, digest in sums.items()):
            return environment
    return None


def _run(command: list[str], packages: int, say: Say) -> None:
    """Run one of Python's tools; say now and then how far pip is."""
    fetched, said = 0, time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as run:
        for line in run.stdout or ():
            fetched += line.startswith("Collecting ")
            if line.startswith("Installing "):
                say(f"packages: unpacking all {packages}")
            elif line.startswith("Collecting ") and time.monotonic() - said > SECONDS_BETWEEN:
                said = time.monotonic()
                say(f"packages: fetching {fetched} of {packages}")
    if run.returncode:
        raise InstallError("the packages could not be installed; pip's error is above")
