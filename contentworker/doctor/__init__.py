"""What is missing or wrong on this machine, in plain words, and how to mend each.

It is for a machine on which other things do not work: it is imported with nothing but Python, each check
imports what it needs, and a check that fails says so. It changes nothing.
"""

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from contentworker.doctor import machine, ports, project, redis_server
from contentworker.doctor.finding import Environ, Finding, NotCheckedError

__all__ = ["CHECKS", "Finding", "examine", "main", "report"]

ROOT = Path(__file__).resolve().parent.parent.parent

CHECKS: dict[str, Callable[[Path, Environ], Finding]] = {
    "platform": machine.check_platform,
    "Python versions": project.check_pythons,
    "nox": project.check_nox,
    ".venv": project.check_environment,
    "worker.toml": project.check_configuration,
    "generated files": project.check_generated_files,
    "locks": project.check_locks,
    "git hook": project.check_git_hook,
    "Redis": redis_server.check_redis,
    "Redis' port": ports.check_redis_port,
    "Flower's port": ports.check_flower_port,
    "file events": machine.check_file_events,
    "disk": machine.check_disk,
}


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
        except NotCheckedError as error:
            yield name, Finding("note", f"could not be checked: {error}")
        except Exception as error:  # a doctor that dies of what is wrong helps nobody
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            yield name, Finding("note", f"could not be checked: {reason}")
