"""The client of an OpenAI-compatible endpoint, and what the endpoint's errors mean."""

import logging
import math
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from contentworker.editorial.rewriting.prompts import Message
from contentworker.editorial.settings import LlmSettings
from contentworker.errors import ContentWorkerError, PermanentError

if TYPE_CHECKING:
    import openai

__all__ = ["Completion", "Model", "ModelNotRunError", "ModelRefusesError", "ModelUncertainError"]

EMBEDDED = "embedded"
EMBEDDED_MODEL = "SmolLM2-135M-Instruct"
KEY = "OPENAI_API_KEY"
CONNECT_SECONDS = 10.0
LONGEST_WAIT_SECONDS = 3600.0
_CODE = re.compile(r"[a-z0-9_.-]{1,60}")

# Sampling for a model that small. A provider's own defaults suit its models.
_SMALL = {
    "temperature": 0.3,
    "top_p": 0.9,
    "seed": 7,
    "extra_body": {"top_k": 40, "min_p": 0.05, "cache_prompt": True},
}


class ModelRefusesError(PermanentError):
    """A retry cannot help: a wrong key or address, a text that is too long or against the policy."""


class ModelNotRunError(ContentWorkerError):
    """The model certainly did not run, so a retry costs nothing twice."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message, retry_after_seconds)
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        return str(self.args[0])


class ModelUncertainError(ContentWorkerError):
    """The model may have run, and may cost money, but gave no answer: too slow, broken, or cut off."""


class Completion(NamedTuple):
    """An answer and its tokens."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    """The tokens of the prompt that the provider had in its cache."""
    model: str = ""
    cost: float = 0.0
    """In the currency of the configured prices."""


class Model:
    """One model at one endpoint. Pass `base_url` only for the embedded model: the address it listens at."""

    def __init__(self, settings: LlmSettings, base_url: str | None = None) -> None:
        self._settings = settings
        self._base_url = base_url or settings.base_url
        self.is_embedded = base_url is not None
        local = Path(settings.local_model).name or EMBEDDED_MODEL
        self.name = local if self.is_embedded else settings.model
        self.provider = EMBEDDED if self.is_embedded else (urlsplit(self._base_url).hostname or "")

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        """The cost in the currency of the configured prices; `cached_tokens` are some of the prompt's."""
        if self.is_embedded:
            return 0.0
        settings = self._settings
        in_cache = min(cached_tokens, prompt_tokens) * (1 - settings.cached_input_price_share)
        sent = (prompt_tokens - in_cache) * settings.input_price_per_million_tokens
        received = completion_tokens * settings.output_price_per_million_tokens
        return (sent + received) / 1e6

    def complete(
        self, messages: Sequence[Message], max_tokens: int, schema: dict[str, Any] | None = None
    ) -> Completion:
        """Ask once, without retries. With a JSON schema the answer should be JSON that fits it.

        Raises:
            ModelRefusesError: a retry cannot help.
            ModelNotRunError: the model did not run.
            ModelUncertainError: the model may have run.
        """
        import httpx2
        import openai

        for name in ("openai", "httpx2", "httpcore2"):  # at debug level they log the article
            logging.getLogger(name).setLevel(logging.WARNING)
        limit: dict[str, Any] = {self._settings.token_limit_parameter: max_tokens}
        if self.is_embedded:
            limit |= _SMALL
        if schema is not None:
            about = {"name": "answer", "schema": schema, "strict": True}
            limit["response_format"] = {"type": "json_schema", "json_schema": about}
        longest = self._settings.timeout_seconds
        timeout = httpx2.Timeout(longest, connect=min(CONNECT_SECONDS, longest))
        try:
            with (
                # No redirects: the key and the article go to the configured address only.
                openai.DefaultHttpxClient(follow_redirects=False, timeout=timeout) as http,
                openai.OpenAI(
                    base_url=self._base_url,
                    api_key="none" if self.is_embedded else os.environ.get(KEY, ""),
                    max_retries=0,
                    timeout=timeout,
                    http_client=http,
                ) as client,
                _deadline(http, longest),
            ):
                answer = client.chat.completions.create(
                    model=self.name,
                    messages=list(messages),  # type: ignore[arg-type]
                    **limit,
                )
        except openai.OpenAIError as error:
            raise _translated(error) from None
        except ValueError:
            raise ModelUncertainError("the model's server answered something that is no JSON") from None
        found = _completion(answer)
        cost = self.cost(found.prompt_tokens, found.completion_tokens, found.cached_tokens)
        return found._replace(model=self.name, cost=cost)


@contextmanager
def _deadline(http: Any, seconds: float) -> Iterator[None]:
    """Close the client's connections after `seconds`: its own timeouts start again with each byte.

    Raises:
        ModelUncertainError: the time is over, whatever error the client raises for that.
    """
    is_over = threading.Event()

    def end() -> None:
        is_over.set()
        http.close()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception:
        if is_over.is_set():
            raise ModelUncertainError("the model did not answer in time") from None
        raise
    finally:
        timer.cancel()


def _completion(answer: Any) -> Completion:
    choices: Any = getattr(answer, "choices", None) or []
    message = getattr(choices[0], "message", None) if choices else None
    if message is None:
        raise ModelUncertainError("the model's server answered something that is no completion")
    if choices[0].finish_reason == "content_filter" or getattr(message, "refusal", None):
        raise ModelRefusesError("the model's provider refuses this text by its policy")
    # An answer that was cut off is half a text. Make it an empty one, which the guard refuses.
    text = "" if choices[0].finish_reason == "length" else (message.content or "")
    usage = getattr(answer, "usage", None)
    details = getattr(usage, "prompt_tokens_details", None)
    return Completion(
        text.strip(),
        getattr(usage, "prompt_tokens", 0) or 0,
        getattr(usage, "completion_tokens", 0) or 0,
        getattr(details, "cached_tokens", 0) or 0,
    )


def _translated(error: "openai.OpenAIError") -> Exception:  # noqa: PLR0911 (one kind of error a line)
    """Our error for an error of the client, whose own text may quote the key or the article."""
    import httpx2
    import openai

    if isinstance(error, openai.APITimeoutError):  # first: it is also a connection error
        if isinstance(error.__cause__, httpx2.ConnectTimeout):
            return ModelNotRunError("the model's server cannot be reached: no connection in time")
        return ModelUncertainError("the model did not answer in time")
    if isinstance(error, openai.APIConnectionError):
        if isinstance(error.__cause__, httpx2.ConnectError):
            return ModelNotRunError("the model's server cannot be reached")
        return ModelUncertainError("the model's server closed the connection")
    if isinstance(error, openai.APIStatusError):
        return _of_status(error.status_code, _code(error), error.response.headers.get("retry-after"))
    if isinstance(error, openai.APIError):
        return ModelUncertainError("the model's server answered something that is no completion")
    return ModelRefusesError(
        f"no model can be asked: {KEY} is not set, or the client refuses the configuration"
    )


def _of_status(status: int, code: str, retry_after: str | None) -> Exception:
    said = f"status {status}{', ' + code if code else ''}"
    if status == HTTPStatus.TOO_MANY_REQUESTS and code != "insufficient_quota":
        return ModelNotRunError(f"too many requests for the model ({said})", _seconds(retry_after))
    if status in (503, 529):
        return ModelNotRunError(f"the model is not available ({said})", _seconds(retry_after))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in (408, 409):
        return ModelUncertainError(f"the model's server failed ({said})")
    meaning = {
        **dict.fromkeys((301, 302, 307, 308), "its address has moved: set `llm.base_url`"),
        401: f"it does not accept the key in {KEY}",
        403: f"the key in {KEY} may not use it",
        404: "there is no such model or address: check `llm.model` and `llm.base_url`",
        413: "the text is too long for it",
        429: "the account has no quota left",
    }.get(status, "it does not accept the request")
    if code == "context_length_exceeded":
        meaning = "the text is too long for it"
    elif code.startswith("content_"):
        meaning = "its provider refuses this text by its policy"
    return ModelRefusesError(f"the model cannot be used: {meaning} ({said})")


def _code(error: "openai.APIStatusError") -> str:
    code = error.code
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _seconds(retry_after: str | None) -> float | None:
    """RFC 9110, 10.2.3: seconds, or a date."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):
            return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)
