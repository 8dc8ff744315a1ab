"""Send a task through a real queue to a real worker, as another program would, and print its result.

`nox -s demo` runs this with Redis at hand. With `--kill`, a worker is killed while its task runs.
"""

import sys
from pathlib import Path

import click
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from contentworker import config
from contentworker.cli import connection
from examples.worker import run_worker

PICTURE = {"width": 1600, "height": 900, "longest_side": 320}
ANSWER_SECONDS = 60


@click.command()
@click.option("--kill", is_flag=True, help="Instead, kill a worker and see its task finished by another.")
def main(kill: bool) -> None:
    """Make a picture fit, or show what happens to the task of a killed worker."""
    if kill:
        from examples.kill import show

        show(Console(highlight=False))
        return
    app = connection.application()
    click.echo(f"Sending tasks.thumbnails.fit: {PICTURE}")
    queues = ",".join(config.load().queues)
    with run_worker("celery_worker.celery_app", f"--queues={queues}", "--pool=solo", "--hostname=demo@%h"):
        size = app.send_task("tasks.thumbnails.fit", kwargs=PICTURE).get(timeout=ANSWER_SECONDS)
    click.echo(f"The worker answers: {size}")
    click.echo("Next: change tasks/thumbnails.py, or add a task (docs/adding-tasks.md).")
    app.backend.result_consumer.stop()


if __name__ == "__main__":
    main(prog_name="nox -s demo --")
