"""A service in Django that sends articles: `python -m examples.producers.django_app runserver`."""

import json
import re
import sys
from uuid import UUID

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from examples.producers import client

__all__ = ["application"]

ARTICLE_ID = re.compile(r"[A-Za-z0-9._:/@-]{1,200}")
MEDIA_TYPES = ("html", "markdown", "text", None)


@csrf_exempt  # for programs, not for a browser's forms: put your own authentication here
@require_POST
def submit(request: HttpRequest) -> JsonResponse:
    """Send an article; sending it again has no second effect."""
    try:
        article = json.loads(request.body)
        article_id, content = article["article_id"], article["content"]
        media_type = article.get("media_type")
        if not (ARTICLE_ID.fullmatch(article_id) and content.strip() and media_type in MEDIA_TYPES):
            raise ValueError("no article")  # noqa: TRY301 (answered as what the lines above raise)
    except (ValueError, LookupError, TypeError, AttributeError):
        return JsonResponse({"detail": "article_id, content and perhaps media_type are needed"}, status=422)
    submission = client.submit(article_id, content, media_type)
    where = f"/articles/{submission}"
    return JsonResponse({"id": submission, "state": where}, status=202, headers={"Location": where})


@require_GET
def state(_request: HttpRequest, submission: UUID) -> JsonResponse:
    """Say where an article stands."""
    return JsonResponse(client.state(str(submission)))


class Unavailable:
    """Middleware: a client may ask again later."""

    def __init__(self, get_response: object) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> object:
        return self.get_response(request)  # type: ignore[operator]

    def process_exception(self, _request: HttpRequest, error: Exception) -> JsonResponse | None:
        """Answer 503 for this error, and leave other errors to Django."""
        if not isinstance(error, client.UnavailableError):
            return None
        return JsonResponse({"detail": str(error)}, status=503, headers={"Retry-After": "5"})


urlpatterns = [path("articles", submit), path("articles/<uuid:submission>", state)]
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    DATA_UPLOAD_MAX_MEMORY_SIZE=4_000_000,
    MIDDLEWARE=[f"{__name__}.Unavailable"],
    ROOT_URLCONF=__name__,
)
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
