"""Rerankers against a server on loopback that answers as real ones do, and as broken ones do."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from footnote.database.redis_client import Shared, open_redis
from footnote.errors import (
    BatchTooLarge,
    CircuitOpen,
    FootnoteError,
    Invalid,
    ProviderRejected,
    RateLimited,
    TimedOut,
    Unavailable,
)
from footnote.providers import Reranker, open_reranker
from footnote.providers.guarded import GuardedReranker, circuits, guard_reranker
from footnote.settings import MIB, Settings
from tests.fakes import FakeServer

pytestmark = pytest.mark.anyio
SHAPES = ("cohere", "tei")
SECRET = "a secret key of the tests"


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer().listening() as fake:
        yield fake


Open = Callable[..., Reranker]


@pytest.fixture
async def opened(server: FakeServer, redis_url: str) -> AsyncIterator[Open]:
    """Rerankers as processes of their own would open them."""
    made: list[tuple[Reranker, Any]] = []

    def another(shape: str = "cohere", **options: Any) -> Reranker:
        url = f"http://127.0.0.1:{server.port}/v2"
        given: dict[str, Any] = {
            "reranker": shape,
            "rerank_url": url,
            "rerank_api_key": "rk-test",
            "redis_url": redis_url,
        }
        given["rerank_seconds"] = 20.0  # a busy machine is no slow reranker
        settings = Settings(_env_file=None).model_copy(update=given | options)
        redis = open_redis(settings)
        reranker = guard_reranker(open_reranker(settings), Shared(redis), settings)
        assert isinstance(reranker, GuardedReranker)
        made.append((reranker, redis))
        return reranker

    yield another
    for reranker, redis in made:
        await reranker.close()
        if redis is not None:
            await redis.delete(reranker.endpoint.key)  # type: ignore[attr-defined]
            await redis.aclose()


def rows(shape: str, *scores: Any, places: list[Any] | None = None) -> Any:
    """An answer in the server's order: the best first."""
    name = {"cohere": "relevance_score", "tei": "score"}[shape]
    found = [{"index": place, name: score} for place, score in zip(places or range(len(scores)), scores, strict=True)]
    found.sort(key=lambda row: -row[name] if isinstance(row[name], float) else 0)
    return {"id": "x", "results": found, "meta": {}} if shape == "cohere" else found


def answering(server: FakeServer, shape: str = "cohere", score: Callable[[str], float] = float) -> None:
    """The server gives each text its score."""

    async def respond(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        text = json.dumps(rows(shape, *map(score, texts_of(body))))
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}".encode())
        await writer.drain()

    server.respond = respond


def texts_of(body: dict[str, Any]) -> list[str]:
    texts: list[str] = body["documents"] if "documents" in body else body["texts"]
    return texts


# -- questions and answers -----------------------------------------------------------------------------------


async def test_the_question_as_cohere_has_it(server: FakeServer, opened: Open) -> None:
    server.json(rows("cohere", 0.25, 0.75))
    assert await opened("cohere", rerank_model="m-1").rerank("why?", ["a", "b"]) == [0.25, 0.75]
    assert server.asked == [{"model": "m-1", "query": "why?", "documents": ["a", "b"], "top_n": 2}]
    assert server.heads[0].startswith("POST /v2/rerank HTTP/1.1")
    assert "authorization: bearer rk-test" in server.heads[0].lower()


async def test_the_question_as_tei_has_it(server: FakeServer, opened: Open) -> None:
    server.json(rows("tei", 0.25, 0.75))
    assert await opened("tei", rerank_api_key=None).rerank("why?", ["a", "b"]) == [0.25, 0.75]
    assert server.asked == [{"query": "why?", "texts": ["a", "b"], "truncate": True}]
    assert "authorization" not in server.heads[0].lower()


@pytest.mark.parametrize("shape", SHAPES)
async def test_scores_are_those_of_the_texts_in_as_many_calls_as_it_takes(
    server: FakeServer, opened: Open, shape: str
) -> None:
    answering(server, shape)
    texts = [str(number * 37 % 70 - 20.5) for number in range(70)]
    assert await opened(shape).rerank("?", texts) == [float(text) for text in texts]
    assert [len(texts_of(body)) for body in server.asked] == ([70] if shape == "cohere" else [32, 32, 6])


@pytest.mark.parametrize("shape", SHAPES)
async def test_answers_that_cannot_be_used(server: FakeServer, opened: Open, shape: str) -> None:
    broken = [
        rows(shape, 0.5),
        rows(shape, 0.5, 0.25, 0.125),
        rows(shape, 0.5, 0.25, places=[0, 0]),
        rows(shape, 0.5, 0.25, places=[0, 2]),
        rows(shape, 0.5, 0.25, places=[0, -1]),
        rows(shape, 0.5, 0.25, places=[0, None]),
        rows(shape, 0.5, 0.25, places=[0, [1]]),
        rows(shape, 0.5, 0.25, places=[False, True]),
        rows(shape, 0.5, float("nan")),
        rows(shape, 0.5, float("inf")),
        rows(shape, 0.5, 10**400),
        rows(shape, 0.5, None),
        rows(shape, 0.5, True),
        rows(shape, 0.5, SECRET),
        rows({"cohere": "tei", "tei": "cohere"}[shape], 0.5, 0.25),
        rows(shape),
        {"results": None},
        {"results": "text"},
        {"results": [1, 2]},
        [[0, 0.5], [1, 0.25]],
        {"error": {"message": SECRET}},
        {},
        [],
        "text",
        None,
        1,
    ]
    for body in broken:
        server.json(body)
        # One that no other failed before: the circuit is not what is asked about here.
        reranker = opened(shape, redis_url=None)
        with pytest.raises(Unavailable) as raised:
            await reranker.rerank("?", [SECRET, SECRET])
        assert raised.value.code == "provider_bad_response", body
        assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("<html>Bad gateway</html>", "text/html"),
        ("<html>Bad gateway</html>", "application/json"),
        ("", "application/json"),
        ('{"results": [', "application/json"),
        ("[" * 200_000, "application/json"),
        ("\udcff", "application/json"),
        ("[" + " " * 9 * MIB + "]", "application/json"),
    ],
    ids=["page", "page said to be JSON", "nothing", "half", "nested", "no UTF-8", "huge"],
)
async def test_what_is_no_answer_at_all(server: FakeServer, opened: Open, text: str, kind: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n".encode()
    server.raw(head + text.encode(errors="surrogateescape"))
    with pytest.raises(Unavailable) as raised:
        await opened(rerank_seconds=20.0).rerank("?", ["a"])
    assert raised.value.code == "provider_bad_response"


async def test_what_is_compressed_unasked_for_is_not_unpacked(server: FakeServer, opened: Open) -> None:
    bomb = gzip.compress(json.dumps(rows("cohere", 0.5)).encode() + b" " * 4 * MIB)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    server.raw(head + bomb)
    with pytest.raises(Unavailable) as raised:
        await opened(rerank_seconds=20.0).rerank("?", ["a"])
    assert raised.value.code == "provider_bad_response"
    assert "identity" in server.heads[0]


# -- refusals and failures -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "headers", "kind", "retry_after"),
    [
        (400, {}, ProviderRejected, None),
        (401, {}, ProviderRejected, None),
        (404, {}, ProviderRejected, None),
        (413, {}, BatchTooLarge, None),
        (422, {}, ProviderRejected, None),
        (301, {"Location": "http://127.0.0.1:1/"}, ProviderRejected, None),
        (204, {}, ProviderRejected, None),
        (429, {"Retry_After": "7"}, RateLimited, 7.0),
        (500, {}, Unavailable, None),
        (503, {"Retry_After": "3"}, Unavailable, 3.0),
    ],
)
async def test_refusals(
    server: FakeServer,
    opened: Open,
    status: int,
    headers: dict[str, str],
    kind: type[FootnoteError],
    retry_after: float | None,
) -> None:
    body = "" if status == 204 else json.dumps({"detail": [{"input": SECRET}]})
    server.text(body, status, "application/json", **headers)
    with pytest.raises(kind) as raised:
        await opened().rerank(SECRET, [SECRET])
    assert raised.value.retry_after == retry_after
    assert str(status) in raised.value.message
    assert SECRET not in str(raised.value)
    assert len(server.asked) == 1, "it must not try again by itself"


async def test_a_server_that_is_not_there_or_breaks_off(server: FakeServer, opened: Open) -> None:
    with pytest.raises(Unavailable, match="provider_unavailable"):
        await opened(rerank_url="http://127.0.0.1:1").rerank("?", ["a"])
    for pieces in ((), (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",), (b"\x16\x03\x01 no HTTP\r\n\r\n",)):
        server.raw(*pieces, reset=True)
        with pytest.raises(Unavailable, match="provider_unavailable"):
            await opened().rerank("?", ["a"])


@pytest.mark.parametrize(
    "pieces",
    [
        (30.0,),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[", 30.0),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[", *(0.05, b" ") * 400),
    ],
    ids=["silent", "stuck", "dripping"],
)
async def test_a_server_that_takes_too_long_is_left(
    server: FakeServer, opened: Open, pieces: tuple[bytes | float, ...]
) -> None:
    server.raw(*pieces)
    async with asyncio.timeout(60):
        with pytest.raises(TimedOut):
            await opened(rerank_seconds=0.2).rerank("?", ["a"])
        await server.closed.wait()


# -- the circuit ---------------------------------------------------------------------------------------------


async def test_one_that_keeps_failing_is_not_asked_by_anybody(server: FakeServer, opened: Open) -> None:
    broken: list[Callable[[], None]] = [
        lambda: server.raw(30.0),
        lambda: server.json({}, 500),
        lambda: server.json(rows("cohere", float("nan"))),
        lambda: server.text("<html></html>"),
        lambda: server.raw(reset=True),
    ]
    first, second = opened(rerank_seconds=0.2), opened(rerank_seconds=0.2)
    assert await circuits(first, None) == {"cohere/default": "closed"}
    for place, fail in enumerate(broken):
        fail()
        with pytest.raises((Unavailable, TimedOut)):
            await (first, second)[place % 2].rerank("?", ["a"])
    for reranker in (first, second):
        with pytest.raises(CircuitOpen):
            await reranker.rerank("?", ["a"])
    assert len(server.asked) <= 5, "fewer where a fifth of a second is too short even to ask"
    assert (await circuits(first))["cohere/default"] != "closed"
    answering(server)
    await asyncio.sleep(5.1)  # the shortest time that a circuit is open
    assert await opened().rerank("?", ["1.5"]) == [1.5]
    assert await circuits(first) == {"cohere/default": "closed"}


async def test_a_pause_is_not_waited_for(server: FakeServer, opened: Open) -> None:
    server.json({}, 429, Retry_After="1")
    for _ in range(3):
        with pytest.raises(RateLimited):
            await opened().rerank("?", ["a"])
    assert len(server.asked) == 1


# -- settings ------------------------------------------------------------------------------------------------


def test_there_is_none_unless_one_is_configured() -> None:
    settings = Settings(_env_file=None)
    assert open_reranker(settings) is None
    assert guard_reranker(None, Shared(None), settings) is None


def test_settings_that_do_not_do() -> None:
    for shape in SHAPES:
        with pytest.raises(Invalid, match="FOOTNOTE_RERANK_URL"):
            open_reranker(Settings(_env_file=None, reranker=shape))
    with pytest.raises(Invalid, match="There is no reranker 'openai'"):
        open_reranker(Settings(_env_file=None, reranker="openai", rerank_url="http://x"))
    for url in ("api.cohere.com", "ftp://x", "http://", "http:// x"):
        with pytest.raises(ValueError, match="rerank_url"):
            Settings(_env_file=None, rerank_url=url)


@pytest.mark.parametrize(("status", "words"), [(413, "No."), (422, "batch size {} > maximum allowed batch size 5")])
async def test_too_many_texts_for_one_call_are_halved(
    server: FakeServer, opened: Open, status: int, words: str
) -> None:
    answering(server, "tei")
    answer = server.respond
    assert answer is not None

    async def respond(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        count = len(texts_of(body))
        if count <= 5:
            await answer(body, writer)
            return
        said = json.dumps({"error": words.format(count)})
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(said)}\r\nConnection: close\r\n\r\n{said}".encode())
        await writer.drain()

    server.respond = respond
    reranker = opened("tei")
    texts = [str(number) for number in range(12)]
    assert await reranker.rerank("q", texts) == [float(text) for text in texts]
    assert [len(texts_of(body)) for body in server.asked] == [12, 6, 3, 3, 3, 3]
    await reranker.rerank("q", texts)
    assert [len(texts_of(body)) for body in server.asked[6:]] == [3, 3, 3, 3], "it is remembered"
