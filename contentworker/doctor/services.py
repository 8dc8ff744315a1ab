"""The services of systemd: whether an installation or upgrade was interrupted, and every worker runs."""

import json
from pathlib import Path

from contentworker.doctor import ask
from contentworker.doctor.ask import SESSION, Environ, Finding, NotCheckedError

__all__ = ["check_services"]


def check_services(root: Path, environ: Environ) -> Finding:
    """Whether what is installed on this machine is complete, by its manifest, and runs."""
    path = Path(ask.settings(root, environ).services.prefix, "manifest.json")
    try:
        manifest = json.loads(path.read_text("utf-8"))
        pending, started = manifest["pending"], manifest["started"]
    except (FileNotFoundError, NotADirectoryError):
        return Finding("ok", "none are installed on this machine")
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise NotCheckedError(f"{path} cannot be read ({type(error).__name__})") from None
    if pending:
        command = f"{SESSION} upgrade" if manifest.get("current") else f"{SESSION} install"
        text = f"a switch to release {pending} was interrupted; some workers may run another release"
        return Finding("wrong", text, command)
    workers = [unit for unit in started if "@" in unit]
    if not workers:
        return Finding("ok", "no workers are installed on this machine")
    try:
        states = ask.run(["systemctl", "is-active", *workers], root, environ).stdout.split()
    except OSError:
        raise NotCheckedError("there is no systemctl") from None
    down = [f"{unit} is {state}" for unit, state in zip(workers, states, strict=False) if state != "active"]
    if down:
        return Finding("note", "; ".join(down), "sudo systemctl start celery-worker")
    return Finding("ok", "1 worker runs" if len(workers) == 1 else f"{len(workers)} workers run")
