"""Queue `thumbnails`: the example. Delete it with its queue, its test and the demo, or change them."""

from typing import Annotated

from celery import shared_task
from pydantic import BaseModel, Field

from tasks.base import IdempotentTask

__all__ = ["Size", "fit"]

Pixels = Annotated[int, Field(gt=0)]


class Size(BaseModel):
    """Width and height of a picture, in pixels."""

    width: Pixels
    height: Pixels


@shared_task(base=IdempotentTask)
def fit(width: Pixels, height: Pixels, longest_side: Pixels) -> Size:
    """Return the size of a picture after it was made to fit, its proportions kept."""
    factor = min(1.0, longest_side / max(width, height))
    return Size(width=max(1, round(width * factor)), height=max(1, round(height * factor)))
