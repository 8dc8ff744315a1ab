"""Celery's and kombu's own integration suites, run on this project's transport.

The suites are in the source packages of the versions that are installed; pip fetches those, by the hashes of
the locks where these name that version. `differences.toml` says which of their tests fail here, and why.
`python -m tests.upstream.suites` runs all and prints a table; with `--document` it writes the list into
docs/upstream.md instead.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from contentworker.runtime.development import local_redis
from tests.support import ROOT, Process

HERE = Path(__file__).parent
CACHE = ROOT / ".nox" / "_upstream"
LOCK = ROOT / "locks" / "tests.txt"
DOCUMENT = ROOT / "docs" / "upstream.md"
BEGIN, END = "<!-- differences.toml -->\n", "<!-- end -->\n"
LIMIT_SECONDS = 25 * 60
"""A run that takes longer hangs."""
TRIED_AGAIN = 20
"""If more tests fail, it is not for a busy machine."""
KINDS = {
    "policy": "a policy of this project",
    "design": "by design",
    "keys": "looks into kombu's own keys",
    "batch": "counts the messages of one drain",
    "upstream": "fails with kombu's transport too",
    "flaky": "passes and fails in turn, here and with kombu's transport",
}


@dataclass(frozen=True)
class Suite:
    """A package's suite, and how much of the project takes part in it."""

    package: str
    joined: str
    tests: tuple[str, ...]
    parts: int

    @property
    def name(self) -> str:
        return f"{self.package}-{self.joined}"


_CELERY = ("t/integration", "--ignore=t/integration/test_backend.py")  # that needs Azure
_KOMBU = ("t/integration/test_redis.py", "t/integration/test_redis_brpop_qos.py")
SUITES = (
    Suite("celery", "transport", _CELERY, parts=3),
    Suite("celery", "runtime", _CELERY, parts=3),
    Suite("kombu", "transport", _KOMBU, parts=1),
)
STOCK = (Suite("celery", "nothing", _CELERY, parts=3), Suite("kombu", "nothing", _KOMBU, parts=1))
"""The suites without this project, to see which failures are not ours: `--stock`."""


@dataclass(frozen=True)
class Difference:
    """Tests that fail here, and why. A name without parameters stands for all of them."""

    tests: tuple[str, ...]
    suites: tuple[str, ...]
    kind: str
    why: str

    def has(self, test: str) -> bool:
        name = test.removeprefix("t/integration/")
        return any(name == each or name.startswith(each + "[") for each in self.tests)


@dataclass
class Outcome:
    """What became of each test of a suite: `passed`, `skipped` or `failed`."""

    suite: Suite
    tests: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    """Ends of the logs of parts that did not come to their end."""
    passed_later: list[str] = field(default_factory=list)
    """Those of the tests that failed at first."""

    def add(self, line: dict[str, Any]) -> None:
        """Take in a line of the plug-in's report. A test fails with any of its steps."""
        test, outcome = line["test"], line["outcome"]
        if outcome != "passed" or test not in self.tests:
            self.tests[test] = "failed" if self.tests.get(test) == "failed" else outcome
        self.seconds[test] = self.seconds.get(test, 0) + line["seconds"]
        if "text" in line:
            self.texts[test] = self.texts.get(test, "") + line["text"]

    def count(self, outcome: str) -> int:
        return list(self.tests.values()).count(outcome)

    def unexpected(self, differences: Sequence[Difference]) -> list[str]:
        """Tests that fail, and are not listed."""
        listed = [each for each in differences if self.suite.name in each.suites]
        failed = [test for test, outcome in self.tests.items() if outcome == "failed"]
        return sorted(test for test in failed if not any(each.has(test) for each in listed))

    def stale(self, differences: Sequence[Difference]) -> list[str]:
        """Names in the list that belong to no test any more, or to some that pass now."""
        names = []
        for each in differences:
            if self.suite.name in each.suites:
                for name in each.tests:
                    one = Difference((name,), each.suites, each.kind, each.why)
                    outcomes = {outcome for test, outcome in self.tests.items() if one.has(test)}
                    if not outcomes or (outcomes == {"passed"} and each.kind != "flaky"):
                        names.append(name)
        return names


def differences() -> list[Difference]:
    """The committed list."""
    listed = tomllib.loads((HERE / "differences.toml").read_text("utf-8"))["difference"]
    return [
        Difference(tuple(each["tests"]), tuple(each["suites"]), each["kind"], each["why"]) for each in listed
    ]


def table() -> str:
    """The list as a table of Markdown."""
    rows = ["| test | suite | why |", "|---|---|---|"]
    for each in differences():
        names = "<br>".join(f"`{name}`" for name in each.tests)
        rows.append(f"| {names} | {', '.join(each.suites)} | {KINDS[each.kind]}: {each.why} |")
    return "\n".join(rows) + "\n"


def document() -> str:
    """docs/upstream.md with the table of today."""
    before, rest = DOCUMENT.read_text("utf-8").split(BEGIN)
    return before + BEGIN + "\n" + table() + "\n" + END + rest.split(END)[1]


def sources(package: str) -> Path:
    """The folder with the suite of the installed version, fetched unless it is there.

    Raises:
        RuntimeError: pip cannot fetch it.
    """
    wanted = f"{package}=={version(package)}"
    folder = CACHE / wanted.replace("==", "-")
    if folder.exists():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        file = _download(wanted, Path(scratch))
        with tarfile.open(file) as archive:
            # The suite alone, which tests the installed package.
            members = [
                each for each in archive if re.match(r"[^/]+/(t/|pyproject\.toml|setup\.cfg)", each.name)
            ]
            archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
            archive.extractall(scratch, members)
        (Path(scratch) / folder.name).rename(folder)
    return folder


def _download(wanted: str, folder: Path) -> Path:
    entry = rf"^{re.escape(wanted)} \\\n(?:    --hash=\S+(?: \\)?\n)+"
    locked = re.search(entry, LOCK.read_text("utf-8"), re.MULTILINE)
    requirements = folder / "requirements.txt"
    requirements.write_text(locked[0] if locked else wanted)
    # An environment that uv has made has no pip.
    python = (
        sys.executable
        if importlib.util.find_spec("pip")
        else getattr(sys, "_base_executable", sys.executable)
    )
    command = [
        *(python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--no-binary", wanted.partition("==")[0]),
        *("--dest", str(folder), "-r", str(requirements)),
        *(["--require-hashes"] if locked else []),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    files = list(folder.glob("*.tar.gz"))
    if finished.returncode or len(files) != 1:
        raise RuntimeError(f"pip cannot fetch the sources of {wanted}: {finished.stdout}{finished.stderr}")
    return files[0]


@contextmanager
def running(suites: Sequence[Suite], folder: Path, niceness: int = 0) -> Iterator[dict[str, list[Process]]]:
    """Start these suites side by side, each part on a server of its own; nothing is left in the end."""
    with ExitStack() as stack:
        started: dict[str, list[Process]] = {suite.name: [] for suite in suites}
        for suite in suites:
            checkout = sources(suite.package)
            for part in range(suite.parts):
                here = folder / f"{suite.name}-{part}"
                address = stack.enter_context(local_redis.throwaway(here / "redis"))
                process = Process(
                    _command(suite, niceness), here, _environment(suite, part, address, here), cwd=checkout
                )
                stack.callback(process.stop)
                started[suite.name].append(process)
        yield started


def _command(suite: Suite, niceness: int) -> list[str]:
    plug_ins = ("-p", "celery.contrib.pytest", "-p", "joined", "-p", "no:cacheprovider")
    nice = ("nice", "-n", str(niceness))
    return [*nice, sys.executable, "-m", "pytest", "-q", "--tb=short", *plug_ins, *suite.tests]


def _environment(suite: Suite, part: int, address: str, folder: Path) -> dict[str, str]:
    port = address.split(":")[2].partition("/")[0]
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "WORKER__")) and name != "REDIS_URL"
    }
    return {
        **own,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),  # they run `celery`
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)]),
        "PYTHONUNBUFFERED": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "JOIN": suite.joined,
        "JOIN_PART": f"{part}/{suite.parts}",
        "JOIN_REPORT": str(folder / "report"),
        "TEST_BROKER": address,
        "TEST_BACKEND": address,
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": port,
        "REDIS_6379_TCP": port,
    }


def outcome(suite: Suite, processes: Sequence[Process], listed: Sequence[Difference]) -> Outcome:
    """Wait for a suite's end, and read what became of its tests.

    What fails and is not listed is tried again alone, twice at most, as in Celery's own CI: many of the tests
    expect something within a second, which a busy machine may not do.
    """
    result = _ended(suite, processes)
    for number in (2, 3):
        again = result.unexpected(listed)
        if not again or len(again) > TRIED_AGAIN:
            break
        alone = replace(suite, tests=tuple(again), parts=1)
        with running([alone], processes[0].folder / f"again-{number}") as started:
            later = _ended(alone, started[alone.name])
        result.passed_later += [test for test in again if later.tests.get(test) == "passed"]
        result.tests.update(later.tests)
        result.texts.update(later.texts)
    return result


def _ended(suite: Suite, processes: Sequence[Process]) -> Outcome:
    result = Outcome(suite)
    deadline = time.monotonic() + LIMIT_SECONDS
    for process in processes:
        while process.is_alive and time.monotonic() < deadline:
            time.sleep(0.1)
        if process.is_alive or process.wait() not in (0, 1):  # 1: some tests failed
            result.broken.append(process.log()[-5000:])
        report = process.folder / "report"
        for line in report.read_text("utf-8").splitlines() if report.exists() else ():
            result.add(json.loads(line))
    return result


def main(arguments: Sequence[str]) -> int:
    """Run all, and print what became of them; the exit code says whether that was expected."""
    if "--document" in arguments:
        DOCUMENT.write_text(document(), "utf-8")
        return 0
    suites = (*SUITES, *STOCK) if "--stock" in arguments else SUITES
    listed, exit_code = differences(), 0
    names = ("celery", "kombu", "redis", "billiard")
    print(", ".join(f"{name} {version(name)}" for name in names), flush=True)
    with tempfile.TemporaryDirectory() as folder, running(suites, Path(folder)) as started:
        results = [outcome(suite, started[suite.name], listed) for suite in suites]
    print(f"\n{'suite':<18}{'passed':>8}{'skipped':>9}{'failed':>8}{'of them expected':>18}")
    for each in results:
        failed, unexpected = each.count("failed"), each.unexpected(listed)
        print(
            f"{each.suite.name:<18}{each.count('passed'):>8}{each.count('skipped'):>9}{failed:>8}"
            f"{failed - len(unexpected):>18}"
        )
    for each in results:
        for test in each.passed_later:
            print(f"\n--- {each.suite.name}: {test} failed at first, and passed alone\n{each.texts[test]}")
        for test in each.unexpected(listed):
            print(f"\n--- {each.suite.name}: {test} fails\n{each.texts.get(test, '')}")
            exit_code |= each.suite in SUITES
        for name in each.stale(listed):
            print(f"\n--- {each.suite.name}: {name} is listed, and passes or does not exist")
            exit_code = 1
        for log in each.broken:
            print(f"\n--- {each.suite.name} ended before its end\n{log}")
            exit_code = 1
    return exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
