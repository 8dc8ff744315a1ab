"""Which names an adopted project may have, and how they are written."""

import pytest

from adoption.errors import AdoptionError
from adoption.names import Name, check
from tests.support import ROOT


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "must be a package name"),
        ("News", "must be a package name"),
        ("news-desk", "must be a package name"),
        ("news__desk", "must be a package name"),
        ("1st", "must be a package name"),
        ("n" * 25, "at most 24 characters"),
        ("lambda", "is a keyword"),
        ("match", "is a keyword"),
        ("json", "standard library"),
        ("root", "is an account"),
        ("tasks", "file, folder or dependency"),
        ("celery_worker", "file, folder or dependency"),
        ("contentworker", "file, folder or dependency"),
        ("pydantic", "file, folder or dependency"),
        ("prometheus_client", "file, folder or dependency"),
        ("yaml", "file, folder or dependency"),
    ],
)
def test_names_that_are_refused(name: str, reason: str) -> None:
    with pytest.raises(AdoptionError, match=reason) as caught:
        check(name, ROOT)
    assert str(caught.value).startswith("NAME: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from contentworker.runtime import x", "from news_desk.runtime import x"),
        ("contentworker:dead-letters", "news_desk:dead-letters"),
        ("/etc/content-worker/environment", "/etc/news-desk/environment"),
        ("Content Worker: ContentWorkerError", "News Desk: NewsDeskError"),
        ("CONTENTWORKER_TEST_RUNS", "NEWS_DESK_TEST_RUNS"),
        ("systemctl restart celery-worker@celery", "systemctl restart news-desk-worker@celery"),
        ('f"celery-{name}.service"', 'f"news-desk-{name}.service"'),
        ("celery-redis-plus and pytest-celery", "celery-redis-plus and pytest-celery"),
        ("celery -A celery_worker.celery_app worker", "celery -A celery_worker.celery_app worker"),
    ],
)
def test_every_form_of_the_name_is_replaced(before: str, after: str) -> None:
    assert check("news_desk", ROOT).put_into(before) == after
    assert Name("news_desk").put_into(after) == after
