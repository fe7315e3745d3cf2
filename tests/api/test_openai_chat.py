"""Chat completions through the official client: what it reads, streamed and not, and what it may ask."""

import json
from typing import Any

import openai
import pytest

from footnote import errors
from footnote.providers import ChatMessage
from footnote.runtime import Runtime
from tests import driving
from tests.api.openai_client import ASKED, FOG, LAMP, Quoting, client, page_text, refused, writer
from tests.conftest import Person

__all__ = ["client", "writer"]  # fixtures
pytestmark = pytest.mark.anyio

ASKING: list[Any] = [{"role": "user", "content": ASKED}]
CHAT, RESPONSES = "/openai/v1/chat/completions", "/openai/v1/responses"
# What programs send and an answer is not changed by.
WITHOUT_EFFECT: dict[str, Any] = {
    **{"top_p": 0.9, "stop": ["x"], "seed": 1, "user": "u", "safety_identifier": "s", "presence_penalty": 0.1},
    **{"frequency_penalty": 0.1, "logit_bias": {"1": 2}, "service_tier": "flex", "parallel_tool_calls": False},
    **{"prompt_cache_key": "k", "prompt_cache_retention": "24h", "reasoning_effort": "low", "verbosity": "low"},
    **{"reasoning": {"effort": "low"}, "truncation": "auto", "store": True, "n": 1, "logprobs": False},
    **{"response_format": {"type": "text"}, "tools": [{"type": "function", "function": {"name": "f"}}]},
    **{"tool_choice": "auto", "metadata": {"a": "b"}, "mystery": {"of": "another program"}, "max_tokens": None},
    **{"temperature": None, "stream_options": None, "modalities": ["text"], "audio": None},
}
FORCED = {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required"}
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("n", {"n": 2}),
    ("logprobs", {"logprobs": True}),
    ("top_logprobs", {"top_logprobs": 2}),
    ("response_format", {"response_format": {"type": "json_object"}}),
    ("audio", {"audio": {"voice": "ash", "format": "mp3"}}),
    ("tool_choice", FORCED),
    ("tool_choice", FORCED | {"tool_choice": {"type": "function", "function": {"name": "f"}}}),
    ("tool_choice", {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{}]}}}),
    ("tool_choice", {"tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom"}]}}),
]
INVALID: list[tuple[str, str, str | None, dict[str, Any]]] = [
    ("missing_required_parameter", "Missing required parameter: 'model'.", "model", {"model": None}),
    ("missing_required_parameter", "Missing required parameter: 'messages'.", "messages", {"messages": None}),
    ("invalid_value", "at least 1 item", "messages", {"messages": []}),
    ("invalid_value", "no user message", "messages", {"messages": [{"role": "system", "content": "a"}]}),
    ("invalid_value", "'system'", "messages.0.role", {"messages": [{"role": "boss", "content": "a"}]}),
    ("invalid_value", "empty", "messages", {"messages": [{"role": "user", "content": " \0"}]}),
    ("invalid_value", "8192", "messages", {"messages": [{"role": "user", "content": "a" * 8193}]}),
    (
        "invalid_value",
        "only text",
        "messages.0.content.0",
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,x"}}]}]},
    ),
    ("invalid_value", "less than or equal to 2", "temperature", {"temperature": 7}),
    ("invalid_value", "integer", "max_tokens", {"max_tokens": "many"}),
]


@pytest.fixture
async def lamp(rt: Runtime, alice: Person) -> str:
    await driving.ready(rt, alice.tenant_id, FOG, "fog.txt", collection="sound", metadata={"of": "sound"})
    return await driving.ready(rt, alice.tenant_id, LAMP, "lamp.txt", collection="light", metadata={"of": "light"})


async def store_of(person: Person, name: str) -> str:
    found = (await person.client.get(f"/v1/collections/{name}")).json()
    return f"vs_{found['id'].removeprefix('col_')}"


async def test_an_answer_is_a_completion_with_its_footnotes(
    client: openai.AsyncOpenAI, alice: Person, lamp: str
) -> None:
    made = await client.chat.completions.create(model="footnote", messages=ASKING)
    assert made.id.startswith("chatcmpl-")
    assert (made.object, made.model, made.choices[0].finish_reason) == ("chat.completion", "footnote", "stop")
    assert made.usage is not None
    assert (made.usage.prompt_tokens, made.usage.completion_tokens, made.usage.total_tokens) == (11, 7, 18)
    message = made.choices[0].message
    assert (message.role, message.refusal, made.choices[0].logprobs) == ("assistant", None, None)
    assert message.content is not None
    assert message.annotations
    cited: Any = next(each.url_citation for each in message.annotations if each.url_citation.title == "lamp.txt")
    assert message.content[cited.start_index : cited.end_index] == f"[{cited.marker}]"
    assert (cited.verified, cited.document_id, cited.page_start, cited.version) == (True, lamp, 1, 1)
    assert await page_text(alice, cited) == cited.quote == LAMP[:40].strip()
    assert cited.url == f"http://footnote/d/{lamp}/p/1?v=1&from={cited.char_start}&to={cited.char_end}"
    assert cited.highlights_url is None
    assert {each.type for each in message.annotations} == {"url_citation"}


async def test_a_stream_adds_up_to_the_same_answer(client: openai.AsyncOpenAI, alice: Person, lamp: str) -> None:
    whole = await client.chat.completions.create(model="footnote", messages=ASKING)
    asked: dict[str, Any] = {"model": "footnote", "messages": ASKING, "stream": True}
    streamed = await alice.client.post(CHAT, json=asked | {"stream_options": {"include_usage": True}})
    assert streamed.headers["content-type"].startswith("text/event-stream")
    frames = [each.removeprefix("data: ") for each in streamed.text.split("\n\n") if each]
    assert frames[-1] == "[DONE]"
    chunks = [json.loads(each) for each in frames[:-1]]
    assert len({(each["id"], each["created"], each["model"], each["object"]) for each in chunks}) == 1
    deltas = [each["choices"][0]["delta"] for each in chunks[:-1]]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert [each.keys() for each in deltas[1:-2]] == [{"content"}] * (len(deltas) - 3)
    assert [deltas[-2].keys(), deltas[-1].keys()] == [{"annotations"}, set()]
    assert [each["choices"][0]["finish_reason"] for each in chunks[:-1]] == [None] * (len(deltas) - 1) + ["stop"]
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 18)
    assert {each["usage"] for each in chunks[:-1]} == {None}
    async with client.chat.completions.stream(model="footnote", messages=ASKING) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == whole.choices[0].message.content
    assert final.choices[0].message.annotations is not None
    assert [each.to_dict() for each in final.choices[0].message.annotations] == deltas[-2]["annotations"]
    plain = (await alice.client.post(CHAT, json=asked)).text
    assert "usage" not in plain, "nothing that was not asked for"


async def test_where_it_looks_is_the_tools_or_the_models(
    client: openai.AsyncOpenAI, writer: Quoting, alice: Person, charlie: Person, lamp: str
) -> None:
    async def titles(model: str, question: str = ASKED, **search: Any) -> set[str]:
        tools: Any = [{"type": "file_search", **search}] if search else []
        made = await client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": question}], tools=tools
        )
        return {each.url_citation.title for each in made.choices[0].message.annotations or ()}

    light, sound = await store_of(alice, "light"), await store_of(alice, "sound")
    both = "Who lit the zircon lamp, and where does the fog siren stall?"
    assert await titles("footnote", both) == await titles("gpt-5", both) == {"lamp.txt", "fog.txt"}
    assert await titles(f"footnote:{light}", both) == {"lamp.txt"}
    assert await titles(f"footnote:{light}", "Where does the fog siren stall?", vector_store_ids=[sound]) == {"fog.txt"}
    assert await titles("footnote", both, vector_store_ids=[light, sound]) == {"lamp.txt", "fog.txt"}
    only = {"type": "eq", "key": "of", "value": "light"}
    assert await titles("footnote", both, vector_store_ids=[light, sound], filters=only) == {"lamp.txt"}
    few = {"vector_store_ids": [light, sound], "max_num_results": 1}
    assert await titles("footnote", ASKED, **few) == {"lamp.txt"}
    sure = {"score_threshold": 1.0, "hybrid_search": {"embedding_weight": 1, "text_weight": 0}, "ranker": "none"}
    assert await titles("footnote", ASKED, vector_store_ids=[light], ranking_options=sure) == set()

    async def told(model: str, person: Person = alice, **search: Any) -> Any:
        tools = [{"type": "file_search", **search}] if search else []
        return await person.client.post(CHAT, json={"model": model, "messages": ASKING, "tools": tools})

    unknown = "vs_" + "0" * 26
    for person, store in ((alice, unknown), (charlie, light)):
        answer = await told("footnote", person, vector_store_ids=[store])
        assert store in refused(answer, 404, "not_found")
        refused(await told(f"footnote:{store}", person), 404, "model_not_found")
    for model in ("footnote:light", "footnote:", f"footnote:vs_{'a' * 200}"):
        refused(await told(model), 404, "model_not_found")
    streamed = {"model": f"footnote:{unknown}", "messages": ASKING, "stream": True}
    refused(await alice.client.post(CHAT, json=streamed), 404, "model_not_found")  # before any byte of a stream
    refused(await told("footnote", vector_store_ids=["col_x"]), 400, "invalid_value", "tools.0.vector_store_ids")
    refused(await told("footnote", filters={}), 400, "missing_required_parameter", "tools.0.vector_store_ids")
    wrong: Any = {"vector_store_ids": [light], "filters": {"type": "like", "key": "a", "value": 1}}
    refused(await told("footnote", **wrong), 400, "invalid_filter", "tools.0.filters.type")


async def test_what_was_said_before_is_the_history(
    client: openai.AsyncOpenAI, writer: Quoting, alice: Person, lamp: str
) -> None:
    long = "Speak as a sailor. " * 2000
    messages: list[Any] = [
        {"role": "system", "content": long},
        {
            "role": "user",
            "content": [{"type": "text", "text": "What burns"}, {"type": "text", "text": "paraffin oil?"}],
        },
        {"role": "assistant", "content": "The zircon lamp [1].", "tool_calls": None},
        {"role": "tool", "tool_call_id": "c", "content": "42"},
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Who lit it?"},
        {"role": "assistant", "content": "begun"},
    ]
    made = await client.chat.completions.create(
        model="fake-chat", messages=messages, temperature=0.5, max_tokens=5, max_completion_tokens=99_999
    )
    request = writer.requests[-1]
    assert request.history == [
        ChatMessage("user", "What burns\nparaffin oil?"),
        ChatMessage("assistant", "The zircon lamp."),
    ]
    assert request.system_prompt == f"{long.strip()}\n\nBe brief."
    assert (request.model, request.temperature, request.max_tokens) == ("fake-chat", 0.5, 32_768)
    assert made.model == "fake-chat"
    writer.truncated = True
    made = await client.chat.completions.create(model="gpt-5", messages=ASKING)
    assert (made.model, writer.requests[-1].model, made.choices[0].finish_reason) == ("gpt-5", None, "length")
    nothing = await client.chat.completions.create(
        model="footnote", messages=[{"role": "user", "content": "How do tulips bloom?"}]
    )
    assert nothing.choices[0].message.content.startswith("The documents do not contain an answer")  # type: ignore[union-attr]
    assert (nothing.choices[0].message.annotations, nothing.choices[0].finish_reason) == ([], "stop")


async def test_what_is_ignored_and_what_is_refused(client: openai.AsyncOpenAI, alice: Person, lamp: str) -> None:
    body = {"model": "footnote", "messages": ASKING}
    assert (await alice.client.post(CHAT, json=body | WITHOUT_EFFECT)).status_code == 200
    asked = {"model": "footnote", "input": ASKED}
    every = {name: value for name, value in WITHOUT_EFFECT.items() if name not in ("n", "logprobs", "response_format")}
    assert (await alice.client.post(RESPONSES, json=asked | every)).status_code == 200
    for param, given in REFUSED:
        refused(await alice.client.post(CHAT, json=body | given), 400, "unsupported_parameter", param)
    for param, given in (
        ("background", {"background": True}),
        ("conversation", {"conversation": "conv_1"}),
        ("text.format", {"text": {"format": {"type": "json_schema", "name": "a", "schema": {}}}}),
        ("top_logprobs", {"top_logprobs": 1}),
        ("tool_choice", {"tools": [{"type": "function", "name": "f"}], "tool_choice": "required"}),
        ("tool_choice", {"tool_choice": {"type": "function", "name": "f"}}),
    ):
        refused(await alice.client.post(RESPONSES, json=asked | given), 400, "unsupported_parameter", param)
    for code, words, wrong, given in INVALID:
        message = refused(await alice.client.post(CHAT, json=body | given), 400, code, wrong)
        assert words in message
        assert "many" not in message, "never what was sent"
    headers = {"content-type": "application/json"}
    for content in (b"{", b'{"model": ' + b"[" * 100_000):
        refused(await alice.client.post(CHAT, content=content, headers=headers), 400, "invalid_json", None)
    refused(await alice.client.post(CHAT, content=b"a" * 300_000, headers=headers), 413, "too_large")


async def test_an_error_is_told_as_the_client_reads_it(
    client: openai.AsyncOpenAI, writer: Quoting, alice: Person, lamp: str
) -> None:
    for streamed in (False, True):
        writer.fails = errors.RateLimited("provider_unavailable", retry_after=7.2)
        body = {"model": "footnote", "messages": ASKING, "stream": streamed}
        answer = await alice.client.post(CHAT, json=body)
        if streamed:  # the passages were found, so that the answer has begun
            assert '"code": "provider_unavailable"' in answer.text
            continue
        refused(answer, 503, "provider_unavailable")
        assert answer.headers["retry-after"] == "8"
        writer.fails = errors.ProviderRejected("provider_rejected", "No.")
        answer = await alice.client.post(CHAT, json=body)
        refused(answer, 502, "provider_rejected")
        assert answer.headers["x-should-retry"] == "false"
    writer.fails, writer.fails_late = None, errors.TimedOut("answer_timeout")
    text = (await alice.client.post(CHAT, json=body)).text
    assert "[DONE]" not in text
    last = json.loads(text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert last["error"].keys() == {"message", "type", "param", "code"}
    assert (last["error"]["type"], last["error"]["code"]) == ("server_error", "answer_timeout")
    stream = await client.chat.completions.create(model="footnote", messages=ASKING, stream=True)
    with pytest.raises(openai.APIError, match="did not complete its answer"):
        async for _ in stream:
            pass
