"""Checks a task's arguments against its type hints before its body runs, and turns its result into JSON."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from celery import Task
from pydantic import BaseModel, ConfigDict, ValidationError, validate_call

from contentworker.errors import ContentError

__all__ = ["TypedTask"]


class TypedTask(Task):
    """A task whose type hints are its contract.

    A missing, unknown or ill-typed argument raises a `ContentError` that names it. If the body returns a
    pydantic model, the result is a JSON object. Celery's own `pydantic=True` checks only arguments that are
    whole models, and a wrong call raises a TypeError, which would be retried.
    """

    abstract = True
    run: Callable[..., Any]

    def __init__(self) -> None:
        self.run = _typed(self.run)


def _typed(body: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(body)
    def arguments(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        return args, kwargs

    # The schema is built at the first call, in the process that needs it.
    checked_arguments = validate_call(config=ConfigDict(defer_build=True))(arguments)

    @functools.wraps(body)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            args, kwargs = checked_arguments(*args, **kwargs)
        except ValidationError as error:
            raise _content_error(error, body) from None
        result = body(*args, **kwargs)
        return result.model_dump(mode="json") if isinstance(result, BaseModel) else result

    return run


def _content_error(error: ValidationError, body: Callable[..., Any]) -> ContentError:
    """An error for the first problem, with the argument's name and what was expected."""
    problem = error.errors()[0]
    first, *rest = problem["loc"]
    names = list(inspect.signature(body).parameters)
    if isinstance(first, int) and first < len(names):  # given by position
        first = names[first]
    field = ".".join(str(part) for part in (first, *rest))
    if "argument" in problem["type"]:  # missing, unknown, or given twice
        return ContentError(field, f"{problem['msg'].lower()}; allowed: {', '.join(names)}")
    return ContentError(field, f"{problem['msg'].lower()}, not {type(problem['input']).__name__}")
