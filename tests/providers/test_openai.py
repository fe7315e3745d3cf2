"""The OpenAI provider against a server on loopback that answers as real ones do, and as broken ones do."""

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from footnote.database.redis_client import Shared
from footnote.errors import FootnoteError, ProviderRejected, RateLimited, TimedOut, Unavailable
from footnote.providers import GenerationRequest, Generator, Passage, Token, Truncated, Uncounted, Usage
from footnote.providers.guarded import guard_generators
from footnote.providers.openai import OpenAIEmbedder, OpenAIGenerator
from footnote.runtime import import_early
from footnote.settings import Settings
from tests.fakes import FakeServer

pytestmark = pytest.mark.anyio
Send = Callable[[bytes], Awaitable[None]]


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer().listening() as fake:
        yield fake


def settings(server: FakeServer, **options: Any) -> Settings:
    return Settings(
        _env_file=None,
        openai_api_key="sk-test",
        openai_base_url=f"http://127.0.0.1:{server.port}/v1",
    ).model_copy(update=options)


IMPATIENT = {"provider_timeout_seconds": 0.5, "first_token_seconds": 0.3}


@pytest.fixture
async def embedder(server: FakeServer) -> AsyncIterator[OpenAIEmbedder]:
    embedder = OpenAIEmbedder(settings(server))
    yield embedder
    await embedder.close()


@pytest.fixture
async def generator(server: FakeServer) -> AsyncIterator[OpenAIGenerator]:
    generator = OpenAIGenerator(settings(server))
    yield generator
    await generator.close()


@pytest.fixture
async def impatient(server: FakeServer) -> AsyncIterator[Generator]:
    generator = timed(server, **IMPATIENT)
    yield generator
    await generator.close()


def timed(server: FakeServer, **options: Any) -> Generator:
    """As in the product: the guard of a generator also times it."""
    chosen = settings(server, **options)
    return guard_generators([OpenAIGenerator(chosen)], Shared(None), chosen, interactive=True).generators[0]


def vectors(*rows: Any, order: list[int] | None = None, usage: Any = None) -> dict[str, Any]:
    data = [{"object": "embedding", "index": at, "embedding": row} for at, row in enumerate(rows)]
    body = {"object": "list", "model": "m", "data": [data[at] for at in order or range(len(rows))]}
    return body if usage is None else {**body, "usage": usage}


USAGE = {"prompt_tokens": 5, "total_tokens": 5}


# -- embeddings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coded", [False, True])
async def test_vectors_come_back_in_the_order_of_the_texts(
    server: FakeServer, embedder: OpenAIEmbedder, coded: bool
) -> None:
    rows: list[Any] = [[3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]]
    if coded:
        rows = [base64.b64encode(np.array(row, np.float32).tobytes()).decode() for row in rows]
    server.json(vectors(*rows, order=[2, 0, 1], usage=USAGE))
    answer = await embedder.embed(["a", "b", "c"])
    assert answer.vectors.dtype == np.float32
    assert np.allclose(answer.vectors, np.array([[0.6, 0.8], [0, 1], [-1, 0]]))
    assert answer.tokens == 5
    assert server.asked[0]["input"] == ["a", "b", "c"]


async def test_vectors_are_asked_for_without_the_sdk(
    server: FakeServer, embedder: OpenAIEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To import it takes half a second and 30 MiB: only a process that writes answers with it does so."""
    monkeypatch.delitem(sys.modules, "openai", raising=False)
    server.json(vectors([1.0, 0.0], usage=USAGE))
    imported: list[str] = []
    monkeypatch.setattr("footnote.runtime.import_module", imported.append)
    assert (await embedder.embed(["a"])).vectors.shape[0] == 1
    assert "openai" not in sys.modules
    import_early(settings(server, generator="extractive"))
    assert "openai" not in imported
    import_early(settings(server, generator="openai"))
    assert "openai" in imported


async def test_a_server_that_counts_the_prompt_only(server: FakeServer, embedder: OpenAIEmbedder) -> None:
    server.json(vectors([1.0, 0.0], usage={"prompt_tokens": 7}))
    answer = await embedder.embed(["a"])
    assert (answer.tokens, answer.estimated) == (7, False)


@pytest.mark.parametrize("usage", [None, {}, {"total_tokens": None}])
async def test_a_server_that_counts_no_tokens(server: FakeServer, embedder: OpenAIEmbedder, usage: Any) -> None:
    server.json(vectors([1.0, 0.0], usage=usage))
    assert (await embedder.embed(["some text"])).tokens > 0


@pytest.mark.parametrize(
    "body",
    [
        vectors([1.0, 0.0], usage=USAGE),
        vectors([1.0, 0.0], [1.0, 0.0], [1.0, 0.0], usage=USAGE),
        vectors(usage=USAGE),
        vectors([1.0, 0.0], [1.0], usage=USAGE),
        vectors([1.0, 0.0], [float("nan"), 1.0], usage=USAGE),
        vectors([1.0, 0.0], [float("inf"), 1.0], usage=USAGE),
        vectors([1.0, 0.0], [0.0, 0.0], usage=USAGE),
        vectors([1.0, 0.0], [1e300, 0.0], usage=USAGE),
        vectors([], [], usage=USAGE),
        vectors([1.0, 0.0], None, usage=USAGE),
        vectors([1.0, 0.0], ["a", "b"], usage=USAGE),
        vectors("AAAA", "!!!!", usage=USAGE),
        vectors("AACAPwAAAAA=", "AACAPwAA", usage=USAGE),
        {**vectors(), "data": None},
        {**vectors(), "data": "text"},
        {**vectors(), "data": [1, 2]},
        {"error": {"message": "loading"}},
        {},
        [],
        "text",
        None,
    ],
)
async def test_vectors_that_cannot_be_used(server: FakeServer, embedder: OpenAIEmbedder, body: Any) -> None:
    server.json(body)
    with pytest.raises(Unavailable) as raised:
        await embedder.embed(["a", "b"])
    assert raised.value.code == "provider_bad_response"


@pytest.mark.parametrize(
    ("indexes", "order"),
    [
        ([0, 1, 2], [0, 1, 2]),
        ([2, 0, 1], [1, 2, 0]),
        ([None, None, None], [0, 1, 2]),
        (["absent", "absent", "absent"], [0, 1, 2]),
        ([0, 0, 0], [0, 1, 2]),
        (["absent", 1, 2], [0, 1, 2]),  # zeros are left out
        ([2, "absent", 1], [1, 2, 0]),
        (["absent", 1, "absent"], [0, 1, 2]),
        ([0, 1, None], [0, 1, 2]),
    ],
)
async def test_rows_without_an_index_are_in_the_order_of_the_texts(
    server: FakeServer, embedder: OpenAIEmbedder, indexes: list[Any], order: list[int]
) -> None:
    rows = [{"embedding": [1.0, float(place)]} for place in range(3)]
    data = [row | ({} if index == "absent" else {"index": index}) for row, index in zip(rows, indexes, strict=True)]
    server.json({"object": "list", "model": "m", "data": data})
    answer = await embedder.embed(["a", "b", "c"])
    assert [round(float(vector[1] / vector[0])) for vector in answer.vectors] == order


@pytest.mark.parametrize(
    ("indexes", "said"),
    [
        ([0, 1, 1], "2 vectors with the index 1"),
        ([0, 1, 3], "the index 3 for 3 texts"),
        ([-1, 0, 1], "the index -1 for 3 texts"),
        ([1, 2, 3], "the index 3 for 3 texts"),
        ([0, 1], "2 vectors for 3 texts"),
        ([0, 1, 2, 3], "4 vectors for 3 texts"),
        ([None, 0, 1], "out of their order"),
        ([None, None, 1], "out of their order"),
        ([0, "1", 2], "index '1', which is not a whole number"),
    ],
)
async def test_indexes_that_contradict_each_other_are_refused_with_the_cause(
    server: FakeServer, embedder: OpenAIEmbedder, indexes: list[Any], said: str
) -> None:
    data = [{"index": index, "embedding": [1.0, 2.0]} for index in indexes]
    server.json({"object": "list", "model": "m", "data": data})
    with pytest.raises(Unavailable, match=said) as raised:
        await embedder.embed(["a", "b", "c"])
    assert raised.value.code == "provider_bad_response"


async def test_a_page_instead_of_an_answer(server: FakeServer, embedder: OpenAIEmbedder) -> None:
    for kind in ("text/html", "application/json"):
        server.text("<html>Bad gateway</html>", 200, kind)
        with pytest.raises(Unavailable) as raised:
            await embedder.embed(["a"])
        assert raised.value.code == "provider_bad_response"


def failure(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "x", "param": None, "code": code}}


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "retry_after"),
    [
        (401, failure("Incorrect API key provided"), {}, ProviderRejected, None),
        (403, failure("Country not supported"), {}, ProviderRejected, None),
        (404, failure("The model does not exist", "model_not_found"), {}, ProviderRejected, None),
        (400, failure("Too many tokens"), {}, ProviderRejected, None),
        (429, failure("Slow down", "rate_limit_exceeded"), {"Retry_After": "7"}, RateLimited, 7.0),
        (429, failure("Slow down"), {"retry_after_ms": "1500", "Retry_After": "2"}, RateLimited, 1.5),
        (429, failure("Slow down"), {}, RateLimited, None),
        (429, failure("Slow down"), {"Retry_After": "Wed, 21 Oct 2015 07:28:00 GMT"}, RateLimited, 0.0),
        (429, failure("Slow down"), {"Retry_After": "nan"}, RateLimited, None),
        (429, failure("Slow down"), {"Retry_After": "inf"}, RateLimited, None),
        (429, failure("Slow down"), {"Retry_After": "-5"}, RateLimited, None),
        (429, failure("Slow down"), {"Retry_After": "99999999999"}, RateLimited, 3600.0),
        (429, failure("Pay first", "insufficient_quota"), {"Retry_After": "7"}, ProviderRejected, None),
        (408, failure("Too slow"), {}, Unavailable, None),
        (500, failure("Oops"), {}, Unavailable, None),
        (503, failure("Overloaded"), {"Retry_After": "3"}, Unavailable, 3.0),
        (502, "<html>Bad gateway</html>", {}, Unavailable, None),
        (429, "Too many", {"Retry_After": "1"}, RateLimited, 1.0),
    ],
)
async def test_refusals(
    server: FakeServer,
    embedder: OpenAIEmbedder,
    generator: OpenAIGenerator,
    status: int,
    body: Any,
    headers: dict[str, str],
    kind: type[FootnoteError],
    retry_after: float | None,
) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    server.text(text, status, "text/html" if isinstance(body, str) else "application/json", **headers)
    for call in (lambda: embedder.embed(["a"]), lambda: collect(generator)):
        with pytest.raises(kind) as raised:
            await call()
        assert raised.value.retry_after == retry_after
        assert str(status) in raised.value.message
        if isinstance(body, dict):
            assert body["error"]["message"] in raised.value.message
    assert len(server.asked) == 2, "it must not try again by itself"


async def test_a_server_that_is_not_there(embedder: OpenAIEmbedder, server: FakeServer) -> None:
    gone = OpenAIEmbedder(settings(server, openai_base_url="http://127.0.0.1:1/v1"))
    with pytest.raises(Unavailable) as raised:
        await gone.embed(["a"])
    assert raised.value.code == "provider_unavailable"
    await gone.close()


async def test_a_connection_that_breaks(server: FakeServer, embedder: OpenAIEmbedder) -> None:
    for pieces in ((), (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{",)):
        server.raw(*pieces, reset=True)
        with pytest.raises(Unavailable) as raised:
            await embedder.embed(["a"])
        assert raised.value.code == "provider_unavailable"


async def test_a_server_that_never_answers(server: FakeServer) -> None:
    embedder = OpenAIEmbedder(settings(server, **IMPATIENT))
    server.raw(30.0)
    with pytest.raises(TimedOut) as raised:
        await embedder.embed(["a"])
    assert (raised.value.code, raised.value.retry_after) == ("provider_timeout", 5)


# -- answers -------------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
UNFRAMED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
REQUEST = GenerationRequest("Who?", [Passage(1, "a.txt", "Agnes Tolmie did.\n--- end 0 ---")], temperature=0.0)


def event(data: Any) -> bytes:
    text = f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()
    return f"{len(text):x}\r\n".encode() + text + b"\r\n"


def delta(text: str | None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return event({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})


COUNTED = event({"id": "1", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}})
STOPPED = event({"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
DONE = STOPPED + event("[DONE]") + b"0\r\n\r\n"


async def collect(generator: Generator, request: GenerationRequest = REQUEST) -> list[Any]:
    return [each async for each in generator.generate(request)]


async def test_an_answer_is_streamed_with_its_usage(server: FakeServer, generator: OpenAIGenerator) -> None:
    server.raw(HEAD, delta(None), delta("Agnes"), 0.05, delta(" did [1]."), COUNTED, DONE)
    assert await collect(generator) == [Token("Agnes"), Token(" did [1]."), Usage(9, 2)]
    [asked] = server.asked
    assert (asked["stream"], asked["temperature"]) == (True, 0.0)
    assert "max_completion_tokens" not in asked


async def test_an_answer_that_is_cut_and_counted_piece_by_piece(server: FakeServer, generator: OpenAIGenerator) -> None:
    so_far = COUNTED.replace(b'"completion_tokens": 2', b'"completion_tokens": 1')
    for reason in ("length", "content_filter", "tool_calls"):
        ended = event({"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        server.raw(HEAD, delta("Agnes"), so_far, COUNTED, ended, event("[DONE]") + b"0\r\n\r\n")
        assert await collect(generator) == [Token("Agnes"), Usage(9, 2), Truncated()]


def ended(reason: str | None) -> bytes:
    return event({"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})


ENDED = event("[DONE]") + b"0\r\n\r\n"


@pytest.mark.parametrize(
    "end",
    [
        *((ended(reason), ENDED) for reason in (None, "", "stop", "STOP", "eos", "eos_token", "end_turn", "COMPLETE")),
        *((ended(reason), ENDED) for reason in ("stop_sequence", "FINISH_REASON_STOP", "stop_str", "done")),
        (ENDED,),
        (b"0\r\n\r\n",),
        (ended("eos"), b"0\r\n\r\n"),
    ],
)
async def test_an_answer_is_whole_however_its_end_is_told(
    server: FakeServer, generator: OpenAIGenerator, end: tuple[bytes, ...]
) -> None:
    server.raw(HEAD, delta("Agnes"), *end)
    assert await collect(generator) == [Token("Agnes")]


@pytest.mark.parametrize(
    "reason",
    [
        "length",
        "max_tokens",
        "MAX_TOKENS",
        "model_length",
        "content_filter",
        "SAFETY",
        "RECITATION",
        "PROHIBITED_CONTENT",
    ],
)
async def test_an_answer_is_cut_however_that_is_told(
    server: FakeServer, generator: OpenAIGenerator, reason: str
) -> None:
    server.raw(HEAD, delta("Agnes"), ended(reason), ENDED)
    assert await collect(generator) == [Token("Agnes"), Truncated()]


def thinking(**delta: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": None}]})


LIFE = [
    thinking(content=None, reasoning_content="Let me look."),
    thinking(reasoning="Let me look."),
    thinking(content=""),
    thinking(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Let me look."}]}]),
    event({"choices": []}),
    event({}),
    b"10\r\n: OPENROUTER...\n\r\n",
]


@pytest.mark.parametrize("sign", LIFE)
async def test_any_sign_of_life_counts_and_is_no_answer(
    server: FakeServer, generator: OpenAIGenerator, sign: bytes
) -> None:
    alive = asyncio.Event()
    server.raw(HEAD, sign, 30.0)
    asking = asyncio.create_task(collect(generator, replace(REQUEST, alive=alive.set)))
    await asyncio.wait_for(alive.wait(), 60)
    asking.cancel()
    server.raw(HEAD, sign, delta("Agnes"), DONE)
    assert await collect(generator) == [Token("Agnes")]


@pytest.mark.parametrize("sign", [*LIFE[:2], LIFE[3], thinking(thinking="Let me look.")])
async def test_thoughts_without_an_answer_are_an_error(server: FakeServer, sign: bytes) -> None:
    generator = timed(server)
    server.raw(HEAD, sign, DONE)
    with pytest.raises(Unavailable, match="wrote thoughts but no answer"):
        await collect(generator)


async def test_an_answer_that_is_not_streamed_all_the_same(server: FakeServer, generator: OpenAIGenerator) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Agnes"}, "finish_reason": "stop"}
    server.json({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 2}})
    assert await collect(generator) == [Token("Agnes"), Usage(9, 2)]
    server.json({"error": {"message": "the model is being loaded"}})
    with pytest.raises(Unavailable, match="the model is being loaded"):
        await collect(generator)


async def test_events_without_data_keep_the_connection_open(server: FakeServer, generator: OpenAIGenerator) -> None:
    server.raw(HEAD, b"7\r\ndata:\n\n\r\n", b"8\r\ndata: \n\n\r\n", delta("Agnes"), DONE)
    assert await collect(generator) == [Token("Agnes")]


@pytest.mark.parametrize(
    "last",
    [
        {"choices": [{"index": 0, "delta": {}, "usage": {"prompt_tokens": 9, "completion_tokens": 2}}]},
        {"choices": [], "x_groq": {"usage": {"prompt_tokens": 9, "completion_tokens": 2}}},
        {"choices": [], "usage": {"prompt_tokens": 9, "total_tokens": 11}},
        {"choices": [], "usage": {"prompt_tokens": 9.0, "completion_tokens": 2.0}},
    ],
)
async def test_tokens_are_counted_in_many_places(
    server: FakeServer, generator: OpenAIGenerator, last: dict[str, Any]
) -> None:
    server.raw(HEAD, delta("Agnes"), event(last), DONE)
    assert await collect(generator) == [Token("Agnes"), Usage(9, 2)]


async def test_a_model_that_thinks_longer_than_the_first_sign_may_take(server: FakeServer) -> None:
    patient = timed(server, first_token_seconds=1.0, provider_timeout_seconds=20.0)
    server.raw(HEAD, LIFE[0], 1.1, delta("Agnes"), COUNTED, DONE)
    assert await collect(patient) == [Token("Agnes"), Usage(9, 2)]
    await patient.close()


async def test_signs_of_life_alone_come_to_an_end(server: FakeServer) -> None:
    endless = timed(server, answer_seconds=0.3)
    signs: list[bytes | float] = [LIFE[0], 0.05]
    server.raw(HEAD, *signs * 1000)
    with pytest.raises(TimedOut, match=r"within 0.3 seconds \(FOOTNOTE_ANSWER_SECONDS\)"):
        await collect(endless)
    await asyncio.wait_for(server.closed.wait(), 30)
    await endless.close()


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        (None, Usage(None, None)),
        ({}, Usage(None, None)),
        ({"prompt_tokens": None, "completion_tokens": 0}, Usage(None, None)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(None, None)),
        ({"prompt_tokens": 9}, Usage(9, None)),
        ({"completion_tokens": 2}, Usage(None, 2)),
        ("none", Usage(None, None)),
    ],
)
async def test_what_is_not_counted_is_estimated_and_said_to_be_unknown(
    server: FakeServer, usage: Any, told: Usage
) -> None:
    generator = timed(server)
    server.raw(HEAD, delta("Agnes Tolmie did."), event({"choices": [], "usage": usage}), DONE)
    answer, uncounted = await collect(generator)
    assert isinstance(uncounted, Uncounted)
    assert (answer, uncounted.counted) == (Token("Agnes Tolmie did."), told)
    assert uncounted.prompt_tokens == told.prompt_tokens or uncounted.prompt_tokens > 100, "the rules are read, too"
    assert uncounted.completion_tokens == told.completion_tokens or uncounted.completion_tokens in range(3, 9)
    await generator.close()


async def test_the_first_token_is_waited_for_only_so_long(server: FakeServer, impatient: Generator) -> None:
    for pieces in ((30.0,), (HEAD, 30.0), (HEAD, b"3\r\n:\n\n\r\n", 30.0)):
        server.raw(*pieces)
        server.closed.clear()
        server.asked.clear()
        while not server.asked:  # on a busy machine the time may be over before the request is sent
            with pytest.raises(TimedOut) as raised:
                await collect(impatient)
        assert (raised.value.code, raised.value.retry_after) == ("provider_timeout", 5)
        await asyncio.wait_for(server.closed.wait(), 60)


async def test_later_tokens_may_take_longer(server: FakeServer, impatient: Generator) -> None:
    patient = timed(server, provider_timeout_seconds=20, first_token_seconds=3)
    server.raw(HEAD, delta("a"), 3.0, delta("b"), COUNTED, DONE)
    assert await collect(patient) == [Token("ab"), Usage(9, 2)]
    await patient.close()
    server.raw(HEAD, delta("a"), 30.0)
    with pytest.raises(TimedOut):
        await collect(impatient)


async def test_a_whole_answer_may_take_only_so_long(server: FakeServer) -> None:
    endless = timed(server, answer_seconds=0.5)
    endlessly: list[bytes | float] = [delta("a"), 0.05] * 1000
    server.raw(HEAD, *endlessly)
    with pytest.raises(TimedOut) as raised:
        await collect(endless)
    assert raised.value.code == "answer_timeout"
    await asyncio.wait_for(server.closed.wait(), 60)
    await endless.close()


async def test_a_slow_reader_is_not_the_providers_fault(server: FakeServer) -> None:
    generator = timed(server, provider_timeout_seconds=3, answer_seconds=6)
    server.raw(HEAD, delta("A"), COUNTED, DONE)
    await collect(generator)  # from the second answer on, pieces are passed on as they come
    server.raw(HEAD, delta("A"), 3.3, delta("b"), COUNTED, DONE)
    events = generator.generate(REQUEST)
    assert await anext(events) == Token("A")
    await asyncio.sleep(3.0)
    assert [each async for each in events] == [Token("b"), Usage(9, 2)]
    await generator.close()


@pytest.mark.parametrize(
    ("pieces", "code"),
    [
        ((HEAD, delta("a"), event(failure("overloaded"))), "provider_bad_response"),
        ((HEAD, delta("a"), event("{not json"), DONE), "provider_bad_response"),
        ((HEAD, delta("a")), "provider_unavailable"),
        ((HEAD, event("[DONE]") + b"0\r\n\r\n"), "provider_bad_response"),
        ((UNFRAMED, b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'), "provider_bad_response"),
    ],
)
async def test_an_answer_that_breaks_off(
    server: FakeServer, generator: OpenAIGenerator, pieces: tuple[bytes, ...], code: str
) -> None:
    server.raw(*pieces, 0.05, reset=pieces[0] != UNFRAMED)
    with pytest.raises(Unavailable) as raised:
        await collect(generator)
    assert raised.value.code == code


async def test_a_reader_who_leaves_stops_the_model(server: FakeServer, generator: OpenAIGenerator) -> None:
    server.raw(HEAD, delta("a"), delta("b"), 30.0)
    events = generator.generate(REQUEST)
    assert await anext(events) == Token("a")
    assert not server.closed.is_set()
    await events.aclose()
    await asyncio.wait_for(server.closed.wait(), 60)


async def test_a_reader_who_is_cancelled_stops_the_model(server: FakeServer, generator: OpenAIGenerator) -> None:
    server.raw(HEAD, delta("a"), 30.0)
    task = asyncio.create_task(collect(generator))
    while not server.asked:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(server.closed.wait(), 60)
