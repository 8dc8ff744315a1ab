"""What the environment tells a process: its folder for state, and its secrets (see systemd.exec(5))."""

import getpass
import os
import re
import shutil
import socket
import sysconfig
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from contentworker.errors import ConfigError

__all__ = ["adopt_credentials", "folder", "person", "session", "state_folder"]

SECRET_NAME = re.compile(r"[A-Z][A-Z0-9_]*")


def state_folder(checkout: Path) -> Path:
    """Folder for the state of a checkout on this host, such as its Redis.

    The name of the host is part of it, so that a container which mounts the checkout has its own folder.
    """
    return checkout / ".contentworker" / socket.gethostname()


def folder(checkout: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Folder for the state of a service (StateDirectory= of its unit); without one, that of the checkout."""
    service = environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(service) if service else state_folder(checkout)


def session(words: str) -> str:
    """How to type a session: `nox -s redis`, or `python3 noxfile.py -s redis` where there is no nox.

    The nox of this environment does not count: the terminal of who reads this need not have it.
    """
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    others = [each for each in folders if each != sysconfig.get_path("scripts")]
    has_nox = shutil.which("nox", path=os.pathsep.join(others))
    return f"{'nox' if has_nox else 'python3 noxfile.py'} -s {words}"


def person(environ: Mapping[str, str] = os.environ) -> str:
    """Name of the person who types a command; under sudo, of the one who typed that."""
    if name := environ.get("SUDO_USER"):
        return name
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user that is in no password file
        return str(os.getuid())


def adopt_credentials(environ: MutableMapping[str, str] = os.environ) -> None:
    """Make each credential a variable of its name. A variable that is set stays; an empty file sets nothing.

    Secrets are credentials because any user can read a unit's environment, and only the service its
    credentials. Files with other names, such as `tls.key`, are not ours.

    Raises:
        ConfigError: a credential cannot be read, or is not UTF-8.
    """
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return
    name = "CREDENTIALS_DIRECTORY"
    try:
        for file in [each for each in Path(folder).iterdir() if SECRET_NAME.fullmatch(each.name)]:
            name = file.name
            if value := file.read_text("utf-8").strip():
                environ.setdefault(name, value)
    except OSError as error:
        raise ConfigError(f"{name}: {error.filename}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{name}: {folder}/{name}: must be UTF-8") from None
