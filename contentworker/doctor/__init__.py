"""What is missing or wrong on this machine, in plain words, and how to fix it.

For a machine on which other things do not work: importing it needs nothing but Python, each check imports
what it needs, and a check that fails says so. The doctor changes nothing.
"""

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from contentworker.doctor import (
    desk,  # editorial
    detector,  # editorial
    machine,
    ports,
    project,
    redis_server,
    services,
)
from contentworker.doctor.ask import Environ, Finding, NotCheckedError
from contentworker.printable import lines

__all__ = ["CHECKS", "Finding", "examine", "report"]

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
    "services": services.check_services,
    # >>> editorial
    "desk": desk.check_desk,
    "detector": detector.check_detector,
    "desk's port": ports.check_desk_port,
    # <<< editorial
}


def report(root: Path = ROOT, environ: Environ = os.environ, *, as_json: bool = False) -> int:
    """Print each finding as soon as it is known; return 1 if something is wrong, else 0."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # for a terminal without UTF-8
    findings = []
    width = max(map(len, CHECKS))
    for name, finding in examine(root, environ):
        findings.append({"check": name, **finding._asdict()})
        if not as_json:
            text = ("\n" + " " * (width + 9)).join(lines(finding.text))
            print(f"{finding.level:<5}  {name:<{width}}  {text}", flush=True)
            if finding.fix:
                print("\n".join(f"       fix: {line}" for line in lines(finding.fix)), flush=True)
    if as_json:
        print(json.dumps(findings, indent=2))
    return int(any(item["level"] == "wrong" for item in findings))


def examine(root: Path, environ: Environ) -> Iterator[tuple[str, Finding]]:
    """Run every check on a checkout; one that fails is a note with the reason."""
    for name, check in CHECKS.items():
        try:
            yield name, check(root, environ)
        except NotCheckedError as error:
            yield name, Finding("note", f"could not be checked: {error}")
        except Exception as error:  # noqa: BLE001 (whatever is wrong must not stop the other checks)
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            yield name, Finding("note", f"could not be checked: {reason}")
