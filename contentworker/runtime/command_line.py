"""What we add to the `celery` command, and how to start a worker with the settings of its queues."""

import sys
from collections.abc import Sequence

from contentworker.errors import ConfigError
from contentworker.runtime.settings import LogLevel, RuntimeSettings

__all__ = [
    "DEVELOPMENT_OPTIONS",
    "accept_queue_option",
    "is_celery_command",
    "reloading",
    "worker_options",
]

DEVELOPMENT_OPTIONS = ["--loglevel=info", "--without-mingle", "--without-gossip"]
"""One worker, started often: mingle would cost a second each time, to find nobody."""

LOG_LEVELS: tuple[LogLevel, ...] = ("debug", "info", "warning", "error", "critical")


def is_celery_command() -> bool:
    """Whether this process is the `celery` command."""
    return "celery.bin.celery" in sys.modules


def accept_queue_option() -> None:
    """Let `celery worker` take `--queue` for `--queues`, as the worker's documentation writes it.

    Celery calls it `--queues` only. It loads the application before it reads the worker's options.
    """
    module = sys.modules.get("celery.bin.worker")
    if module is None:
        return
    for parameter in module.worker.params:
        if parameter.name == "queues" and "--queue" not in parameter.opts:
            parameter.opts.append("--queue")


def worker_options(settings: RuntimeSettings, queues: Sequence[str] = ()) -> list[str]:
    """Options of `celery worker` for a worker of these queues, of all of them where none is named.

    A worker of several queues takes the largest concurrency, the smallest prefetch multiplier and the most
    talkative log level of its queues.

    Raises:
        ConfigError: a queue that `worker.toml` does not name, or queues with different pools.
    """
    unknown = [name for name in queues if name not in settings.queues]
    if unknown:
        raise ConfigError(
            f"worker.toml: queues: no queue {unknown[0]!r}; allowed: {', '.join(settings.queues)}"
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
    ]


def reloading(command: Sequence[str], settings: RuntimeSettings) -> list[str]:
    """Wrap a worker's command so that a changed file stops it, warmly, and starts it again.

    watchmedo signals the whole process group: SIGINT, which pool processes ignore, so that the worker
    finishes what it runs. It is killed only after the hard time limit would have ended the last task.
    """
    return [
        *(sys.executable, "-m", "watchdog.watchmedo", "auto-restart"),
        *("--directory=.", "--recursive", "--patterns=**/*.py;worker.toml;./worker.toml"),
        "--ignore-patterns=**/.*/**",
        *("--signal=SIGINT", f"--kill-after={settings.limits.hard_time_limit_seconds + 30:g}"),
        *("--debounce-interval=0.2", "--no-restart-on-command-exit"),
        *("--", *command),
    ]
