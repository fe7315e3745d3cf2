"""Servers that speak OpenAI's API and refuse a part of it, each in its own words."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from footnote.errors import FootnoteError, ProviderRejected
from footnote.providers import ChatMessage, GenerationRequest, Passage, Token, Usage
from footnote.providers.anthropic import AnthropicGenerator
from footnote.providers.openai import OpenAIEmbedder, OpenAIGenerator
from footnote.settings import Settings
from tests.fakes import FakeServer
from tests.providers.test_openai import DONE, HEAD, delta, vectors

pytestmark = pytest.mark.anyio

PASSAGE = Passage(1, "lamp.txt", "The lamp burns colza oil.")
HISTORY = (ChatMessage("assistant", "Hello."), ChatMessage("user", "Hi."))
REQUEST = GenerationRequest("What?", (PASSAGE,), HISTORY, "Be brief.", temperature=0.2, max_tokens=300)


class Choosy(FakeServer):
    """Refuses a request that `refused` finds something in, which then is the status and the body; answers any other."""

    def choosy(self, refused: Any, *answer: bytes) -> None:
        async def respond(body: dict[str, Any], writer: Any) -> None:
            if found := refused(body):
                self.json(*reversed(found))
            else:
                self.raw(*answer)
            chosen, self.respond = self.respond, respond
            assert chosen is not None
            await chosen(body, writer)

        self.respond = respond


@pytest.fixture
async def server() -> AsyncIterator[Choosy]:
    async with Choosy().listening() as fake:
        yield fake  # type: ignore[misc]


@pytest.fixture
async def generator(server: Choosy) -> AsyncIterator[OpenAIGenerator]:
    base = f"http://127.0.0.1:{server.port}/v1"
    made = OpenAIGenerator(Settings(_env_file=None, openai_api_key="sk-secret", openai_base_url=base))
    yield made
    await made.close()


async def asked(generator: Any, request: GenerationRequest = REQUEST) -> list[Any]:
    return [event async for event in generator.generate(request)]


def forbidden(name: str) -> dict[str, Any]:
    return {"detail": [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}]}


def system(body: dict[str, Any]) -> bool:
    return any(each["role"] == "system" for each in body["messages"])


REFUSALS: list[tuple[str, int, Any]] = [
    ("stream_options", 400, {"error": {"message": "Unrecognized request argument supplied: stream_options"}}),
    ("stream_options", 422, {"message": "Unknown field `include_usage`", "code": 422}),
    ("temperature", 400, {"error": {"message": "Unsupported value", "param": "temperature", "code": "unsupported"}}),
    ("temperature", 400, {"object": "error", "message": "'temperature' does not support 0.2 with this model."}),
    ("max_completion_tokens", 422, {"object": "error", "message": forbidden("max_completion_tokens")}),
    ("max_completion_tokens", 400, {"error": "Property max completion tokens is not supported"}),
    ("system", 400, {"object": "error", "message": "System role not supported", "param": None, "code": 400}),
    ("system", 500, {"error": {"message": "Conversation roles must alternate user/assistant/user/assistant/..."}}),
    ("system", 400, {"error": {"message": "Unsupported value", "param": "messages[0].role"}}),
    ("system", 400, {"error": {"message": "Developer instruction is not enabled for models/x"}}),
    ("system", 422, {"detail": [{"loc": ["body", "messages", 0, "role"], "msg": "Input should be 'user'"}]}),
    ("system", 400, {"error": {"message": "system_instruction is not supported by this model"}}),
    ("system", 400, {"error": "conversations must begin with a user prompt"}),
    (
        "temperature",
        400,
        {
            "error": {
                "message": "Provider returned error",
                "metadata": {"raw": '{"message": "temperature: unsupported"}'},
            }
        },
    ),
    ("temperature", 400, {"errors": [{"message": "must NOT have additional properties", "path": "/temperature"}]}),
    (
        "max_completion_tokens",
        422,
        {"error": {"message": "unknown field `max_completion_tokens`, expected one of `max_tokens`, `temperature`"}},
    ),
    (
        "max_completion_tokens",
        400,
        {"error": "Unknown parameter: max_completion_tokens. Did you mean max_tokens, the maximum number of tokens?"},
    ),
    (
        "stream_options",
        400,
        {"error": "stream_options is not supported. Supported parameters: temperature, max_tokens"},
    ),
]


@pytest.mark.parametrize(("name", "status", "body"), REFUSALS)
async def test_what_a_refusal_names_is_left_out_from_then_on(
    server: Choosy, generator: OpenAIGenerator, name: str, status: int, body: Any
) -> None:
    def refused(sent: dict[str, Any]) -> Any:
        return (status, body) if (system(sent) if name == "system" else name in sent) else None

    server.choosy(refused, HEAD, delta("Oil."), DONE)
    with capture_logs() as logged:
        assert await asked(generator) == [Token("Oil.")]
    assert (len(server.asked), await asked(generator)) == (2, [Token("Oil.")])
    first, *later = server.asked
    assert len(later) == 2, "it is remembered"
    assert [line["left_out"] for line in logged if "left_out" in line] == [
        ["system role" if name == "system" else name]
    ]
    kept = {"stream_options", "temperature", "max_completion_tokens"} - {name}
    for sent in later:
        assert {each: sent.get(each) for each in kept} == {each: first.get(each) for each in kept}
        assert sent.get("max_tokens") == (300 if name == "max_completion_tokens" else None)


async def test_a_system_prompt_goes_into_the_first_message(server: Choosy, generator: OpenAIGenerator) -> None:
    server.choosy(
        lambda body: (400, {"message": "System role not supported"}) if system(body) else None, HEAD, delta("a"), DONE
    )
    await asked(generator)
    first, second = (sent["messages"] for sent in server.asked)
    assert [each["role"] for each in second] == ["user", "assistant", "user", "user"]
    assert second[0]["content"] == first[0]["content"]
    await asked(generator, GenerationRequest("What?", (PASSAGE,), system_prompt="Be brief."))
    [only] = server.asked[-1]["messages"]
    assert only["content"].startswith("Be brief.\n\n")
    assert only["content"].endswith("Question: What?")


async def test_a_word_that_happens_to_be_the_key_is_no_secret(server: Choosy) -> None:
    """A local server needs no key: people write `ollama`, we `none`."""
    base = f"http://127.0.0.1:{server.port}/v1"
    for key in (None, "ollama"):
        generator = OpenAIGenerator(Settings(_env_file=None, openai_api_key=key, openai_base_url=base))
        server.json({"error": {"message": "ollama says none of it is known"}}, 400)
        with pytest.raises(ProviderRejected, match="ollama says none of it is known"):
            await asked(generator)
        await generator.close()


async def test_several_refusals_after_each_other(server: Choosy, generator: OpenAIGenerator) -> None:
    def refused(sent: dict[str, Any]) -> Any:
        for name in ("stream_options", "temperature", "max_completion_tokens", "max_tokens"):
            if name in sent:
                return 422, forbidden(name)
        return (400, {"message": "System role not supported"}) if system(sent) else None

    server.choosy(refused, HEAD, delta("Oil."), DONE)
    assert await asked(generator) == [Token("Oil.")]
    assert sorted(server.asked[-1]) == ["messages", "model", "stream"]
    assert len(server.asked) == 6
    assert await asked(generator) == [Token("Oil.")]
    assert len(server.asked) == 7
    assert await asked(generator, GenerationRequest("What?", (), model="other")) == [Token("Oil.")]
    assert "stream_options" in server.asked[7], "another model is asked as if nothing were known"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "max_completion_tokens is too large: 300. At most 200 are supported."}}),
        (422, {"detail": [{"loc": ["body", "temperature"], "msg": "Input should be less than or equal to 0.1"}]}),
        (400, {"error": {"message": "This model's maximum context length is 512 tokens, temperature or not."}}),
        (422, {"detail": [{"loc": ["body", "user"], "msg": "Field required", "input": {"temperature": 0.2}}]}),
        (404, {"error": {"message": "No model for this temperature"}}),
        (400, {"error": {"message": "Bad request for key sk-secret"}}),
        (400, {"error": {"message": "temperature, stream_options and max_completion_tokens: all are wrong"}}),
    ],
)
async def test_any_other_refusal_reaches_the_caller_in_its_own_words(
    server: Choosy, generator: OpenAIGenerator, status: int, body: Any
) -> None:
    server.json(body, status)
    with capture_logs() as logged, pytest.raises(ProviderRejected) as raised:
        await asked(generator)
    words = json.dumps(body)
    assert all(word in raised.value.message for word in ("400", "422", "404") if word == str(status))
    assert any(part in raised.value.message for part in words.split('"') if len(part) > 12) or "***" in str(
        raised.value
    )
    assert "sk-secret" not in raised.value.message
    assert [line["reason"] for line in logged if line["event"] == "the provider refused"] == [raised.value.message]
    server.choosy(lambda _: None, HEAD, delta("a"), DONE)
    await asked(generator)
    assert {"temperature", "stream_options", "max_completion_tokens"} <= server.asked[-1].keys(), "nothing was learned"


async def test_embeddings_are_asked_for_as_the_server_takes_them(server: Choosy) -> None:
    def refused(sent: dict[str, Any]) -> Any:
        return next(((400, forbidden(name)) for name in ("encoding_format", "dimensions") if name in sent), None)

    base = f"http://127.0.0.1:{server.port}/v1"
    body = json.dumps(vectors([3.0, 4.0])).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + body
    for dimensions, fits in ((2, True), (5, False)):
        embedder = OpenAIEmbedder(Settings(_env_file=None, openai_base_url=base, embedding_dimensions=dimensions))
        server.choosy(refused, answer)
        if fits:
            made = await embedder.embed(["a"])
            assert made.vectors.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)]]
            assert made.estimated
        else:
            with pytest.raises(FootnoteError, match="FOOTNOTE_EMBEDDING_DIMENSIONS=5"):
                await embedder.embed(["a"])
        assert sorted(server.asked[-1]) == ["input", "model"]
        await embedder.close()


async def test_a_server_that_speaks_anthropics_api(server: Choosy) -> None:
    def refused(sent: dict[str, Any]) -> Any:
        return next(
            ((400, {"error": {"message": f"`{name}` is deprecated"}}) for name in ["temperature"] if name in sent), None
        )

    events = [
        {"type": "message_start", "message": {"usage": {"input_tokens": 9}}},
        {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "Let me look."}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Oil."}},
        {"type": "message_delta", "delta": {"stop_reason": "eos"}, "usage": {"output_tokens": None}},
    ]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n: ping\n\n"
    server.choosy(refused, head, *(f"data: {json.dumps(each)}\n\n".encode() for each in events))
    base = f"http://127.0.0.1:{server.port}"
    generator = AnthropicGenerator(Settings(_env_file=None, anthropic_api_key="x", anthropic_base_url=base))
    assert await asked(generator) == [Token("Oil."), Usage(9, None)]
    assert [("temperature" in sent, sent["max_tokens"]) for sent in server.asked] == [(True, 300), (False, 300)]
    await generator.close()
