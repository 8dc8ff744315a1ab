"""The table of the API's routes: routing, roles, validation and the OpenAPI document follow from it."""

from functools import cache

from contentworker.desk.api import letters, models, openapi, queues, records, runs, schedules
from contentworker.desk.api import operations_models as operated
from contentworker.desk.api.base import ApiRoute, Call
from contentworker.desk.people import EDITORS, OPERATIONS, OPERATORS, REVIEW, RUNS
from contentworker.editorial.escalations.audit import hidden
from contentworker.editorial.escalations.result import Settled

__all__ = ["ROUTES", "document"]


def _document(_call: Call) -> models.OpenApi:
    return models.OpenApi(document())


ROUTES = (
    ApiRoute("GET", "/openapi.json", None, _document, "This document", models.OpenApi),
    ApiRoute(
        "GET", "/records", REVIEW, records.listed, "List records", models.RecordPage, query=models.RecordQuery
    ),
    ApiRoute("GET", "/records/{id}", REVIEW, records.read, "Read a record", models.Record),
    ApiRoute("GET", "/records/{id}/findings", REVIEW, records.findings, "Read its findings", models.Findings),
    ApiRoute(
        "POST", "/records/{id}/choices", EDITORS, records.choose, "Choose what stands in place of changes",
        models.ChoicesMade, body=models.ChoicesBody, needs_version=True, action="record.choose",
    ),
    ApiRoute(
        "POST", "/records/{id}/settle", EDITORS, records.settle, "Settle a record", Settled,
        body=models.SettleBody, needs_version=True, action="record.settle",
    ),
    ApiRoute(
        "POST", "/records/{id}/withdraw", EDITORS, records.withdraw, "Take a decision back", models.Record,
        body=models.TakeBackBody, action="record.withdraw",
    ),
    ApiRoute(
        "POST", "/records/{id}/reopen", EDITORS, records.reopen, "Open a record again", models.Record,
        body=models.TakeBackBody, action="record.reopen",
    ),
    ApiRoute(
        "POST", "/records/{id}/comments", EDITORS, records.comment, "Comment on a record", models.Comments,
        body=models.CommentBody, action="record.comment", status=201,
    ),
    ApiRoute("GET", "/runs", RUNS, runs.listed, "List runs", operated.RunPage, query=operated.RunQuery),
    ApiRoute("GET", "/runs/{id}", RUNS, runs.read, "Read a run", operated.RunShown),
    ApiRoute(
        "POST", "/runs/{id}/cancel", EDITORS | OPERATORS, runs.cancel, "Cancel a run", operated.CancelledRun,
        body=operated.CancelBody, action="run.cancel",
    ),
    ApiRoute(
        "POST", "/articles/forget", OPERATORS, runs.forget, "Forget an article", operated.ForgottenArticle,
        body=operated.ForgetBody, action="article.forget", subject=lambda call: hidden(call.body.article_id),
    ),
    ApiRoute("GET", "/queues", OPERATIONS, queues.listed, "List queues", operated.Queues),
    ApiRoute(
        "POST", "/queues/{id}/pause", OPERATORS, queues.pause, "Pause a queue", operated.Queue,
        action="queue.pause",
    ),
    ApiRoute(
        "POST", "/queues/{id}/resume", OPERATORS, queues.resume, "Resume a queue", operated.Queue,
        action="queue.resume",
    ),
    ApiRoute("GET", "/schedules", OPERATIONS, schedules.listed, "List schedules", operated.Schedules),
    ApiRoute(
        "POST", "/schedules/{id}/pause", OPERATORS, schedules.pause, "Pause a schedule", operated.Schedule,
        action="schedule.pause",
    ),
    ApiRoute(
        "POST", "/schedules/{id}/resume", OPERATORS, schedules.resume, "Resume a schedule",
        operated.Schedule, action="schedule.resume",
    ),
    ApiRoute(
        "POST", "/schedules/{id}/run", OPERATORS, schedules.run, "Send a schedule's task now",
        operated.ScheduleRun, action="schedule.run",
    ),
    ApiRoute(
        "GET", "/dead-letters", OPERATIONS, letters.listed, "List dead letters", operated.LetterPage,
        query=operated.LetterQuery,
    ),
    ApiRoute("GET", "/dead-letters/{id}", OPERATIONS, letters.read, "Read a letter", operated.LetterShown),
    ApiRoute(
        "POST", "/dead-letters/{id}/replay", OPERATORS, letters.replay, "Replay a dead letter",
        operated.LetterDone, action="letters.replay",
    ),
    ApiRoute(
        "POST", "/dead-letters/{id}/discard", OPERATORS, letters.discard, "Discard a dead letter",
        operated.LetterDone, action="letters.discard",
    ),
    ApiRoute("GET", "/batches", OPERATIONS, letters.batches, "List batches of letters", operated.Batches),
    ApiRoute("GET", "/batches/{id}", OPERATIONS, letters.batch, "Read a batch of letters", operated.Batch),
    ApiRoute(
        "POST", "/batches", OPERATORS, letters.create, "Replay or discard many letters", operated.Batch,
        body=operated.BatchBody, action="batch.begin", status=201,
    ),
    ApiRoute(
        "POST", "/batches/{id}/stop", OPERATORS, letters.stop, "Stop a batch of letters", operated.Batch,
        action="batch.stop",
    ),
    ApiRoute(
        "POST", "/batches/{id}/go-on", OPERATORS, letters.go_on, "Go on with a batch of letters",
        operated.Batch, action="batch.go_on",
    ),
)  # fmt: skip
"""Every operation, and who may."""


@cache
def document() -> dict[str, object]:
    """The OpenAPI document of all of them."""
    return openapi.document(ROUTES)
