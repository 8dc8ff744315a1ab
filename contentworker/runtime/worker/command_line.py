"""The option `--queue` of `celery worker`, and the options that start a worker with its queues' settings."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from contentworker.errors import ConfigError, did_you_mean
from contentworker.runtime.settings import LogLevel, RuntimeSettings

__all__ = ["accept_queue_option", "refuse", "reloading", "worker_options"]

ALONE = ("--without-mingle", "--without-gossip")
"""Workers do not talk to each other. Mingle delays each start by a second, and with gossip each worker reads
the events of all others. Nothing needs them: revoked ids are in Redis, and leases show which workers died."""

LOG_LEVELS: tuple[LogLevel, ...] = ("debug", "info", "warning", "error", "critical")


def is_celery_command() -> bool:
    """Whether this process is the `celery` command."""
    return "celery.bin.celery" in sys.modules


def refuse(error: ConfigError) -> NoReturn:
    """Raise the error; in the `celery` command, end with its message instead of a traceback."""
    if not is_celery_command():
        raise error
    raise SystemExit(f"Configuration error\n{error}") from None


def accept_queue_option() -> None:
    """Let `celery worker` accept `--queue` for `--queues`, as this project's documentation writes it.

    Call it when the application is loaded: Celery does that before it reads the worker's options.
    """
    module = sys.modules.get("celery.bin.worker")
    if module is None:
        return
    for parameter in module.worker.params:
        if parameter.name == "queues" and "--queue" not in parameter.opts:
            parameter.opts.append("--queue")


def worker_options(settings: RuntimeSettings, queues: Sequence[str] = ()) -> list[str]:
    """Options of `celery worker` for a worker of these queues; of all queues if none is named.

    A worker of several queues gets the largest concurrency, the smallest prefetch multiplier and the most
    verbose log level of its queues.

    Raises:
        ConfigError: `worker.toml` has no such queue, or the queues have different pools.
    """
    unknown = [name for name in queues if name not in settings.queues]
    if unknown:
        raise ConfigError(
            f"worker.toml: queues: no queue {unknown[0]!r}; allowed: {', '.join(settings.queues)}"
            f"{did_you_mean(unknown[0], settings.queues)}"
        )
    chosen = {name: settings.queues[name] for name in queues or settings.queues}
    pools = {queue.pool for queue in chosen.values()}
    if len(pools) > 1:
        raise ConfigError(
            "worker.toml: queues: one worker cannot serve queues with different pools "
            f"({', '.join(f'{name}: {queue.pool}' for name, queue in chosen.items())}); start one for each"
        )
    log_level = min((queue.log_level for queue in chosen.values()), key=LOG_LEVELS.index)
    return [
        f"--queues={','.join(chosen)}",
        f"--pool={pools.pop()}",
        f"--concurrency={max(queue.concurrency for queue in chosen.values())}",
        f"--prefetch-multiplier={min(queue.prefetch_multiplier for queue in chosen.values())}",
        f"--loglevel={log_level}",
        *ALONE,
    ]


def reloading(settings: RuntimeSettings, queues: Sequence[str], celery_options: Sequence[str]) -> list[str]:
    """The command of a worker that reloads when a file is saved (`runtime/development/autoreload.py`)."""
    reload = settings.reload
    return [
        *(sys.executable, "-u", "-m", "contentworker.runtime.development.autoreload"),
        "--app=celery_worker.celery_app",
        *(f"--queue={name}" for name in queues),
        *(f"--watch={pattern}" for pattern in ("*.py", "*.lua", "worker.toml", *reload.patterns)),
        *(f"--ignore={pattern}" for pattern in reload.ignored_folders),
        *(["--polling"] if reload.polling else []),
        *("--", *celery_options),
    ]
