"""The desk: whether its settings and secrets let people in, and nobody else."""

import sys
from pathlib import Path

from contentworker.doctor import ask
from contentworker.doctor.ask import Environ, Finding, NotCheckedError

__all__ = ["check_desk"]

NOT_USED = ("DESK_PASSWORDS", "DESK_SECRET", "DESK_OIDC_SECRET")


def check_desk(root: Path, environ: Environ) -> Finding:
    """What `content-worker desk check` says, if a desk is set up here."""
    settings = ask.settings(root, environ).desk
    is_used = settings.mail_link == "open" or settings.oidc.issuer or settings.proxy_user_header
    if not is_used and not any(environ.get(name) for name in NOT_USED):
        return Finding("ok", "no secrets are set; `nox -s desk` has a user of its own")
    done = ask.run([sys.executable, "-m", "contentworker", "desk", "check"], root, environ)
    said = (done.stdout + done.stderr).strip().removeprefix("Error: ")
    if done.returncode and "DESK_" not in said and "desk." not in said:
        raise NotCheckedError(said.splitlines()[-1] if said else f"exit code {done.returncode}")
    return (
        Finding("wrong", said, "docs/desk.md says what each must be")
        if done.returncode
        else Finding("ok", said)
    )
