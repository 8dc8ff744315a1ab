"""What shows how the tasks are doing: logs, metrics, health and Flower."""

from typing import Literal

from pydantic import Field

from contentworker.sections import ListeningSection, Port, Section

__all__ = ["FlowerSettings", "HealthSettings", "LogFormat", "LogSettings", "MetricsSettings"]

LogFormat = Literal["auto", "journal", "json", "text"]


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


class HealthSettings(ListeningSection):
    """`content-worker health-server`, for load balancers (docs/operations.md)."""

    address: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address it listens on. There is no password, so on any but the loopback address it "
        "answers only whether all is well, and not why.",
    )
    port: Port = Field(5556, description="Port it listens on.")


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
