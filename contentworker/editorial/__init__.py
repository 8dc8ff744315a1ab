"""The judgement: plain Python that parses an article and scores it. It knows no Celery and no Redis."""

from typing import Literal

__all__ = ["MediaType"]

MediaType = Literal["html", "markdown", "text"]
"""What an article is written in."""
