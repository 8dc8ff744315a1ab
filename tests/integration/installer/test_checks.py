"""What is asked of a Redis before a release takes over."""

from pathlib import Path

import pytest

from contentworker import config
from contentworker.installer import checks
from contentworker.installer.errors import InstallError
from tests.servers import server
from tests.support import free_port


def _settings(mebibytes: int) -> config.Settings:
    return config.load(environ={"WORKER__SERVICES__REDIS_MAX_MEMORY_MEBIBYTES": str(mebibytes)})


def test_more_data_than_the_new_memory(tmp_path: Path) -> None:
    """The setting is named, with what Redis holds; no limit, more memory, and no Redis are fine."""
    with server(tmp_path / "redis") as redis:
        redis.client().set("data", bytes(9 * 2**20))
        url = f"redis://127.0.0.1:{redis.port}/0"
        with pytest.raises(InstallError, match=r"redis_max_memory_mebibytes: must be above the \d+ MiB"):
            checks.refuse_too_full(_settings(8), url)
        checks.refuse_too_full(_settings(1024), url)
        checks.refuse_too_full(_settings(0), url)
    checks.refuse_too_full(_settings(8), f"redis://127.0.0.1:{free_port()}/0")
