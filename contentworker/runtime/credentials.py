"""Secrets that systemd hands to a service as files (systemd.exec(5), LoadCredential=)."""

import os
import re
from collections.abc import MutableMapping
from pathlib import Path

from contentworker.errors import ConfigError

__all__ = ["adopt"]

SECRET_NAME = re.compile(r"[A-Z][A-Z0-9_]*")


def adopt(environ: MutableMapping[str, str] = os.environ) -> None:
    """Put each credential into the environment under its name, where that is not set; empty means not set.

    The service manager shows a unit's environment to everybody, a credential to the service alone. Not all
    credentials are ours: those of other names are left alone.

    Raises:
        ConfigError: a credential that cannot be read, or is no text.
    """
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return
    try:
        files = [path for path in Path(folder).iterdir() if SECRET_NAME.fullmatch(path.name)]
    except OSError as error:
        raise ConfigError(f"CREDENTIALS_DIRECTORY: {folder}: {error.strerror}") from None
    for path in files:
        try:
            value = path.read_text("utf-8").strip()
        except OSError as error:
            raise ConfigError(f"{path.name}: {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{path.name}: {path}: must be UTF-8") from None
        if value:
            environ.setdefault(path.name, value)
