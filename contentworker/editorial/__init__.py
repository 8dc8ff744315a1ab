"""The judgement: plain Python that parses an article and scores it. It knows no Celery and no Redis."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["ArticleState", "MediaType", "Result", "Scope"]

MediaType = Literal["html", "markdown", "text"]
"""The format of an article."""

Scope = Literal["whole_page", "fragment"]
"""`whole_page`: an article with all that a site puts around it. `fragment`: the article alone."""

ArticleState = Literal["article", "no_article", "several_articles"]
"""What a source holds."""


class Result(BaseModel):
    """Base of the results: immutable, and reading JSON with an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
