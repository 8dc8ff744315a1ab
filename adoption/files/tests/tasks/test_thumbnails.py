"""Pictures are made to fit."""

from celery import Celery
from tasks.thumbnails import fit

from contentworker.testing.inline import Inline
from contentworker.testing.processes import StartWorker


def test_a_picture_is_made_to_fit(inline: Inline) -> None:
    """Its longest side is as asked; the task goes to its own queue."""
    assert fit.delay(width=1600, height=900, longest_side=320).get() == {"width": 320, "height": 180}
    assert [each.queue for each in inline.sent] == ["thumbnails"]


def test_no_picture_is_without_a_width(inline: Inline) -> None:
    """A dead letter says which argument is wrong."""
    fit.delay(width=0, height=900, longest_side=320)
    assert "width: input should be greater than 0" in inline.dead_letters[0].error


def test_a_worker_does_it(worker: StartWorker, client: Celery) -> None:
    """Through a real queue and a real worker."""
    worker("--queues=thumbnails")
    arguments = {"width": 1600, "height": 900, "longest_side": 320}
    result = client.send_task("tasks.thumbnails.fit", kwargs=arguments, queue="thumbnails")
    assert result.get(timeout=60) == {"width": 320, "height": 180}
