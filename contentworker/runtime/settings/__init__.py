"""The settings of the machinery (Redis, queues, retries, limits …): default, bounds and meaning of each.

The modules here have the sections, and `RuntimeSettings` puts them together. `docs/configuration.md` is made
from them.
"""

from pydantic import Field

from contentworker import worker_names
from contentworker.runtime.settings.broker import (
    BrokerSettings,
    DeadLetterSettings,
    ResultSettings,
    RetentionSettings,
)
from contentworker.runtime.settings.deployment import KubernetesSettings, ServiceSettings
from contentworker.runtime.settings.development import (
    DevcontainerSettings,
    DevelopmentSettings,
    ProgramSettings,
    PythonSettings,
    ReloadSettings,
)
from contentworker.runtime.settings.limits import LimitSettings, SpendingSettings, TaskLimit
from contentworker.runtime.settings.tasks import LogLevel, QueueSettings, RetrySettings, ScheduleSettings
from contentworker.runtime.settings.watching import (
    FlowerSettings,
    HealthSettings,
    LogFormat,
    LogSettings,
    MetricsSettings,
)
from contentworker.sections import QueueName, Section

__all__ = [
    "BrokerSettings",
    "DeadLetterSettings",
    "DevelopmentSettings",
    "FlowerSettings",
    "LogFormat",
    "LogLevel",
    "LogSettings",
    "QueueSettings",
    "ReloadSettings",
    "RetrySettings",
    "RuntimeSettings",
    "ScheduleSettings",
    "SpendingSettings",
    "TaskLimit",
]


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
