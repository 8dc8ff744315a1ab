"""The model behind an OpenAI-compatible endpoint, whoever runs it, and what its errors mean."""

import logging
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
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

# For a model that small; a provider's own defaults suit its models.
_SMALL = {
    "temperature": 0.3,
    "top_p": 0.9,
    "seed": 7,
    "extra_body": {"top_k": 40, "min_p": 0.05, "cache_prompt": True},
}


class ModelRefusesError(PermanentError):
    """Asking again cannot help: a wrong key or address, a text too long or against the policy."""


class ModelNotRunError(ContentWorkerError):
    """The model certainly did not run, so asking again costs nothing twice."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message, retry_after_seconds)
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        return str(self.args[0])


class ModelUncertainError(ContentWorkerError):
    """The model may have run, and be paid for, but gave no answer: too slow, broken, or cut off."""


class Completion(NamedTuple):
    """An answer, and what was counted for it."""

    text: str
    prompt_tokens: int
    completion_tokens: int


class Model:
    """One model at one endpoint. `base_url` is that of the settings, or where the embedded model listens."""

    def __init__(self, settings: LlmSettings, base_url: str | None = None) -> None:
        self._settings = settings
        self._base_url = base_url or settings.base_url
        self.is_embedded = base_url is not None
        local = os.path.basename(settings.local_model) or EMBEDDED_MODEL
        self.name = local if self.is_embedded else settings.model
        self.provider = EMBEDDED if self.is_embedded else (urlsplit(self._base_url).hostname or "")

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """In the unit of the configured prices."""
        if self.is_embedded:
            return 0.0
        settings = self._settings
        return (
            prompt_tokens * settings.input_price_per_million_tokens
            + completion_tokens * settings.output_price_per_million_tokens
        ) / 1e6

    def complete(self, messages: Sequence[Message], max_tokens: int) -> Completion:
        """Ask once; nothing is repeated here.

        Raises:
            ModelRefusesError: asking again cannot help.
            ModelNotRunError: it did not run.
            ModelUncertainError: it may have run.
        """
        import httpx2
        import openai

        for name in ("openai", "httpx2", "httpcore2"):  # at debug level they write the article to the log
            logging.getLogger(name).setLevel(logging.WARNING)
        limit: dict[str, Any] = {self._settings.token_limit_parameter: max_tokens}
        if self.is_embedded:
            limit |= _SMALL
        longest = self._settings.timeout_seconds
        timeout = httpx2.Timeout(longest, connect=min(CONNECT_SECONDS, longest))
        try:
            with (
                # Elsewhere than configured nothing is sent, the key least of all.
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
        return _completion(answer)


@contextmanager
def _deadline(http: Any, seconds: float) -> Iterator[None]:
    """Break the client's connections off after so long: its own time-outs begin anew with each byte.

    Raises:
        ModelUncertainError: in the place of whatever the client makes of that.
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
    # An answer that was cut off is half a text: an empty one, which the guard refuses.
    text = "" if choices[0].finish_reason == "length" else (message.content or "")
    usage = getattr(answer, "usage", None)
    return Completion(
        text.strip(), getattr(usage, "prompt_tokens", 0) or 0, getattr(usage, "completion_tokens", 0) or 0
    )


def _translated(error: "openai.OpenAIError") -> Exception:
    """Our error for one of the client's. Its own text may quote the key, or the article."""
    import httpx2
    import openai

    if isinstance(error, openai.APITimeoutError):  # before the connection error that it is a kind of
        if isinstance(error.__cause__, httpx2.ConnectTimeout):
            return ModelNotRunError("the model's server cannot be reached: no connection in time")
        return ModelUncertainError("the model did not answer in time")
    if isinstance(error, openai.APIConnectionError):
        if isinstance(error.__cause__, httpx2.ConnectError):
            return ModelNotRunError("the model's server cannot be reached")
        return ModelUncertainError("the model's server broke the connection off")
    if isinstance(error, openai.APIStatusError):
        return _of_status(error.status_code, _code(error), error.response.headers.get("retry-after"))
    if isinstance(error, openai.APIError):
        return ModelUncertainError("the model's server answered something that is no completion")
    return ModelRefusesError(
        f"no model can be asked: {KEY} is not set, or the client refuses the configuration"
    )


def _of_status(status: int, code: str, retry_after: str | None) -> Exception:
    said = f"status {status}{', ' + code if code else ''}"
    if status == 429 and code != "insufficient_quota":
        return ModelNotRunError(f"too many requests for the model ({said})", _seconds(retry_after))
    if status in (503, 529):
        return ModelNotRunError(f"the model is not available ({said})", _seconds(retry_after))
    if status >= 500 or status in (408, 409):
        return ModelUncertainError(f"the model's server failed ({said})")
    meaning = {
        301: "its address has moved: set `llm.base_url`",
        302: "its address has moved: set `llm.base_url`",
        307: "its address has moved: set `llm.base_url`",
        308: "its address has moved: set `llm.base_url`",
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
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS) if seconds == seconds else None
