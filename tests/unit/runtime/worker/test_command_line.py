"""The options of `celery worker` that follow from the queues."""

import subprocess
import sys

import click
import pytest

from contentworker.errors import ConfigError
from contentworker.runtime.settings import QueueSettings, ReloadSettings, RuntimeSettings
from contentworker.runtime.worker import command_line
from contentworker.runtime.worker.command_line import accept_queue_option, reloading, worker_options

SETTINGS = RuntimeSettings(
    queues={
        "celery": QueueSettings(description="x", concurrency=4, prefetch_multiplier=3, log_level="info"),
        "slow": QueueSettings(description="x", concurrency=2, log_level="error"),
        "threads": QueueSettings(description="x", pool="threads"),
    }
)


def test_options_of_one_queue() -> None:
    """A worker of one queue runs with that queue's settings."""
    assert worker_options(SETTINGS, ["celery"]) == [
        "--queues=celery",
        "--pool=prefork",
        "--concurrency=4",
        "--prefetch-multiplier=3",
        "--loglevel=info",
        "--without-mingle",
        "--without-gossip",
    ]


def test_options_of_several_queues() -> None:
    """The largest concurrency, the smallest prefetch, the most talkative log level."""
    assert worker_options(SETTINGS, ["slow", "celery"]) == [
        "--queues=slow,celery",
        "--pool=prefork",
        "--concurrency=4",
        "--prefetch-multiplier=1",
        "--loglevel=info",
        "--without-mingle",
        "--without-gossip",
    ]


def test_unknown_queue_is_refused() -> None:
    """The error names what is allowed."""
    with pytest.raises(
        ConfigError, match=r"^worker.toml: queues: no queue 'nope'; allowed: celery, slow, threads$"
    ):
        worker_options(SETTINGS, ["celery", "nope"])


def test_different_pools_are_refused() -> None:
    """One worker has one pool; by default all queues are asked for."""
    with pytest.raises(
        ConfigError, match=r"different pools \(celery: prefork, slow: prefork, threads: threads\)"
    ):
        worker_options(SETTINGS)


def test_reloading_passes_on_what_it_is_given() -> None:
    """The reloader's command names the queues, what reloads it, and last the options of the worker."""
    settings = SETTINGS.model_copy(
        update={"reload": ReloadSettings(patterns=("prompts/*",), ignored_folders=("data",), polling=True)}
    )
    assert reloading(settings, ["slow"], ["--pool", "solo"])[1:] == [
        *(
            "-u",
            "-m",
            "contentworker.runtime.development.autoreload",
            "--app=celery_worker.celery_app",
            "--queue=slow",
        ),
        *("--watch=*.py", "--watch=*.lua", "--watch=worker.toml", "--watch=prompts/*"),
        *("--ignore=data", "--polling"),
        *("--", "--pool", "solo"),
    ]


def test_queue_option_is_added_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--queue` is the same as `--queues`, however often the application is loaded."""

    @click.command()
    @click.option("-Q", "--queues")
    def worker(queues: str) -> None:
        click.echo(queues)

    class Module:
        pass

    module = Module()
    module.worker = worker  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "celery.bin.worker", module)
    accept_queue_option()
    accept_queue_option()
    (option,) = worker.params
    assert option.opts == ["-Q", "--queues", "--queue"]
    assert worker.make_context("worker", ["--queue=a"]).params == {"queues": "a"}


def test_queue_option_does_not_load_the_celery_command() -> None:
    """A client that imports the application pays for no command line."""
    code = (
        "import sys; from contentworker.runtime.worker.command_line import accept_queue_option as a; a();"
        "sys.exit('celery.bin.worker' in sys.modules)"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], cwd=command_line.__file__.rsplit("/", 4)[0], check=False
        ).returncode
        == 0
    )
