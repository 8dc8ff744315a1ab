"""Pictures are made to fit."""

from celery import Celery

from tests.support import StartWorker


def test_a_picture_is_made_to_fit(worker: StartWorker, client: Celery) -> None:
    """A wide picture comes back with its longest side as asked."""
    worker("--queues=thumbnails")
    arguments = {"width": 1600, "height": 900, "longest_side": 320}
    result = client.send_task("tasks.thumbnails.fit", kwargs=arguments, queue="thumbnails")
    assert result.get(timeout=60) == {"width": 320, "height": 180}
