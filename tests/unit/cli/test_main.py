"""The root of the command line, and what its servers share."""

import errno

import click
import pytest
from click.testing import CliRunner

from contentworker.cli import connection
from contentworker.cli.main import main
from contentworker.runtime.settings import RuntimeSettings
from contentworker.version import VERSION
from tasks.health import health_check


def test_the_version() -> None:
    """On the command line, and from each worker."""
    printed = CliRunner().invoke(main, ["--version"])
    assert (printed.exit_code, printed.output) == (0, f"Content Worker {VERSION}\n")
    assert health_check.run()["version"] == VERSION


def test_where_a_server_listens() -> None:
    """Where worker.toml says, unless the command line says otherwise."""
    section = RuntimeSettings.model_validate({"queues": {"celery": {"description": "d"}}}).metrics
    with connection.listening(section, None, None) as listening:
        assert listening == section
    with connection.listening(section, "0.0.0.0", 1) as listening:
        assert (listening.address, listening.port, listening.is_loopback) == ("0.0.0.0", 1, False)
    taken = OSError(errno.EADDRINUSE, "Address already in use")
    says = "^::1, port 2: Address already in use; choose another with --address and --port$"
    with pytest.raises(click.ClickException, match=says), connection.listening(section, "::1", 2):
        raise taken
