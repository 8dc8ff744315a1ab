"""What a model's client makes of a server that misbehaves."""

import traceback
from collections.abc import Iterator

import pytest

from contentworker.editorial.rewriting.model import (
    Completion,
    Model,
    ModelNotRunError,
    ModelRefusesError,
    ModelUncertainError,
)
from contentworker.editorial.rewriting.prompts import messages
from contentworker.editorial.settings import LlmSettings
from tests.llm_server import COMPLETION_TOKENS, KEY, PROMPT_TOKENS, LlmServer, llm_server
from tests.support import PATIENCE, free_port, wait_until

TEXT = "A secret sentence of the article that is in no error."


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LlmServer]:
    """A server, and its key in the environment."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with llm_server() as found:
        yield found


def ask(url: str, model: str, **more: float) -> Completion:
    """One question."""
    settings = LlmSettings(base_url=url, model=model, **more)
    return Model(settings).complete(messages("edit", TEXT), 100)


def test_an_answer(server: LlmServer) -> None:
    """Text and tokens; the request has the model, the limit and the article between fences."""
    assert ask(server.url, "good") == Completion(TEXT, PROMPT_TOKENS, COMPLETION_TOKENS, model="good")
    (request,) = server.requests
    assert request["model"] == "good"
    assert request["max_tokens"] == 100
    assert "top_k" not in request


@pytest.mark.parametrize(
    ("model", "error", "words"),
    [
        ("unknown-model", ModelRefusesError, "no such model"),
        ("too-long", ModelRefusesError, "too long"),
        ("policy", ModelRefusesError, "policy"),
        ("refusal", ModelRefusesError, "policy"),
        ("no-quota", ModelRefusesError, "no quota"),
        ("moved", ModelRefusesError, "has moved"),
        ("busy-for-long", ModelNotRunError, "too many requests"),
        ("unavailable", ModelNotRunError, "not available"),
        ("broken", ModelUncertainError, "status 500, server_error"),
        ("nonsense", ModelUncertainError, "no completion|no JSON"),
        ("nonsense-json", ModelUncertainError, "no completion|no JSON"),
        ("no-completion", ModelUncertainError, "no completion"),
        ("cut-off", ModelUncertainError, "closed the connection"),
    ],
)
def test_each_misbehaviour_is_its_error(
    server: LlmServer, model: str, error: type[Exception], words: str
) -> None:
    """Permanent, not run, or uncertain; asked once, and neither key nor article is in what is said."""
    with pytest.raises(error, match=words) as caught:
        ask(server.url, model)
    assert len(server.requests) == 1
    said = "".join(traceback.format_exception(caught.value))
    for secret in (KEY, TEXT):
        assert secret not in said


def test_when_to_ask_again(server: LlmServer) -> None:
    """Retry-After in seconds and as a date, at most an hour."""
    with pytest.raises(ModelNotRunError) as busy:
        ask(server.url, "busy-for-long")
    assert busy.value.retry_after_seconds == 1000
    with pytest.raises(ModelNotRunError) as away:
        ask(server.url, "unavailable")
    assert away.value.retry_after_seconds == 3600


def test_a_wrong_key(server: LlmServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permanent; the server quotes the key, the error does not."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    with pytest.raises(ModelRefusesError, match="does not accept the key in OPENAI_API_KEY") as caught:
        ask(server.url, "good")
    assert "sk-wrong" not in str(caught.value)


def test_no_key(server: LlmServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permanent, and nothing is sent."""
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ModelRefusesError, match="OPENAI_API_KEY is not set"):
        ask(server.url, "good")
    assert not server.requests


def test_no_server(server: LlmServer) -> None:
    """Nothing ran."""
    with pytest.raises(ModelNotRunError, match="cannot be reached"):
        ask(f"http://127.0.0.1:{free_port()}/v1", "good")


def test_one_that_hangs(server: LlmServer) -> None:
    """It may have run."""
    with pytest.raises(ModelUncertainError, match="in time"):
        ask(server.url, "hangs", timeout_seconds=0.3)
    wait_until(lambda: len(server.requests) == 1, "the server to read the question")


def test_one_that_trickles(server: LlmServer) -> None:
    """The time is that of the whole answer, however often a byte comes."""
    with pytest.raises(ModelUncertainError, match="in time"):
        ask(server.url, "trickles", timeout_seconds=0.5)
    assert server.hung_up.wait(PATIENCE)


@pytest.mark.parametrize("model", ["empty", "cut-short"])
def test_half_an_answer_is_none(server: LlmServer, model: str) -> None:
    """What was cut at the limit is not taken for a text."""
    assert ask(server.url, model).text == ""
