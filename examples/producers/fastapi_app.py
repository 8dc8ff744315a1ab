"""A service in FastAPI that sends articles: `uvicorn examples.producers.fastapi_app:app`."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from examples.producers import client

__all__ = ["app"]

app = FastAPI()


class Article(BaseModel):
    """An article to judge."""

    article_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:/@-]{1,200}$")]
    content: Annotated[str, Field(min_length=1, max_length=2_000_000)]
    media_type: Literal["html", "markdown", "text"] | None = None


@app.exception_handler(client.UnavailableError)
def unavailable(_request: Request, error: client.UnavailableError) -> JSONResponse:
    """Answer 503: the client may ask again later."""
    return JSONResponse({"detail": str(error)}, status_code=503, headers={"Retry-After": "5"})


# Not `async`: they wait for Redis, so FastAPI runs them in threads.
@app.post("/articles", status_code=202)
def submit(article: Article) -> JSONResponse:
    """Send an article; sending it again has no second effect."""
    submission = client.submit(article.article_id, article.content, article.media_type)
    where = f"/articles/{submission}"
    return JSONResponse({"id": submission, "state": where}, status_code=202, headers={"Location": where})


@app.get("/articles/{submission}")
def state(submission: UUID) -> dict[str, Any]:
    """Say where an article stands."""
    return client.state(str(submission))
