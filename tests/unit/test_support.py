"""The tests' own promise: in CI nothing is skipped for want of a service."""

from pathlib import Path

import pytest

from contentworker.runtime.development import local_redis
from tests.support import service_is_missing, throwaway_redis


def test_missing_service_skips_on_a_persons_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no Redis"):
        service_is_missing("no Redis")


def test_missing_service_fails_in_ci(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Redis that cannot be had is a failure there."""

    def none(_path: str) -> str:
        raise local_redis.LocalRedisError("no Redis here")

    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(local_redis, "find_executable", none)
    with pytest.raises(pytest.fail.Exception, match="no Redis here"), throwaway_redis(tmp_path):
        pass
