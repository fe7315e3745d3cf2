"""Providers behind shared limits: a server on loopback that misbehaves, a real Valkey between the processes."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import httpx2
import numpy as np
import pytest
from sqlalchemy import func

from api.app import create_app
from footnote.database.redis_client import Shared, open_redis
from footnote.embeddings.vector_lengths import PROBE
from footnote.errors import BatchTooLarge, CircuitOpen, ProviderRejected, RateLimited, Unavailable
from footnote.providers import Embedder, GenerationRequest, GeneratorEvent, Token, Usage, open_embedder, open_generators
from footnote.providers.guarded import MOST_MODELS, Embedders, guard_embedder, guard_generators
from footnote.providers.guarded_embedder import GuardedEmbedder
from footnote.providers.guarded_generator import GuardedGenerator
from footnote.providers.throttle import INTERACTIVE, PIPELINE, Endpoint
from footnote.runtime import Runtime
from footnote.settings import Settings
from tests import driving, metrics
from tests.api.test_errors import problem
from tests.conftest import Person
from tests.driving import paragraphs, set_job
from tests.fakes import FakeGenerator
from tests.programs import Reply, serving, vectors

pytestmark = pytest.mark.anyio


@dataclass
class Server:
    """Answers as `answer` says, or well; notes down the texts of every call."""

    port: int = 0
    calls: list[list[str]] = field(default_factory=list)
    answer: Callable[[list[str]], Reply | None] = lambda _texts: None

    def __call__(self, texts: list[str], _port: int) -> Reply:
        self.calls.append(texts)
        return self.answer(texts) or vectors(texts)

    @property
    def sizes(self) -> list[int]:
        return [len(texts) for texts in self.calls]


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    with serving(server) as server.port:
        yield server


def failure(status: int, message: str = "No.", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(json.dumps({"error": {"message": message}}).encode(), status, named)


Open = Callable[..., GuardedEmbedder]


@pytest.fixture
async def process(server: Server, redis_url: str) -> AsyncIterator[Open]:
    """Embedders as processes of their own would open them."""
    made: list[tuple[Embedder, Any]] = []

    def another(interactive: bool = False, **options: Any) -> GuardedEmbedder:
        settings = Settings(
            _env_file=None,
            redis_url=redis_url,
            embedder="openai",
            openai_base_url=f"http://127.0.0.1:{server.port}/{id(server)}",
        ).model_copy(update={"provider_timeout_seconds": 3.0, **options})
        redis = open_redis(settings)
        embedder = guard_embedder(open_embedder(settings), Shared(redis), settings, interactive=interactive)
        assert isinstance(embedder, GuardedEmbedder)
        made.append((embedder, redis))
        return embedder

    yield another
    for embedder, redis in made:
        await redis.delete(embedder.endpoint.key)  # type: ignore[attr-defined]
        await embedder.close()
        await redis.aclose()


def expected(text: str) -> "np.ndarray[Any, Any]":
    """The server's vector for the text, of length 1."""
    vector = np.array([byte - 127.5 for byte in hashlib.sha256(text.encode()).digest()[:16]], np.float32)
    unit: np.ndarray[Any, Any] = vector / np.linalg.norm(vector)
    return unit


TEXTS = [f"text {number}" for number in range(16)]


# -- who is guarded ------------------------------------------------------------------------------------------


def test_what_runs_in_this_process_is_not_guarded() -> None:
    settings = Settings(_env_file=None, embedder="local", generator="extractive")
    embedder, [generator] = open_embedder(settings), open_generators(settings)
    assert guard_embedder(embedder, Shared(None), settings, interactive=True) is embedder
    assert guard_generators([generator], Shared(None), settings, interactive=True).generators == (generator,)


def test_configured_limits_and_urgency_reach_the_endpoints() -> None:
    limits = {"embedding_rpm": 1, "embedding_tpm": 200, "chat_rpm": 3, "chat_tpm": 4}
    settings = Settings(_env_file=None, embedder="openai", generator="openai,openai:x").model_copy(update=limits)
    embedder = guard_embedder(open_embedder(settings), Shared(None), settings, interactive=False)
    opened = open_generators(settings)
    generator, second = guard_generators(opened, Shared(None), settings, interactive=True).generators
    in_worker, _ = guard_generators(opened, Shared(None), settings, interactive=False).generators
    assert isinstance(embedder, GuardedEmbedder)
    assert isinstance(generator, GuardedGenerator)
    assert isinstance(second, GuardedGenerator)
    assert isinstance(in_worker, GuardedGenerator)
    assert (second.endpoint.configured, second.endpoint.model) == ({}, "x")
    assert embedder.endpoint.configured == {"requests": 1, "tokens": 200}
    assert generator.endpoint.configured == {"requests": 3, "tokens": 4}
    assert embedder.max_tokens == 100
    assert generator.endpoint.urgency is INTERACTIVE
    assert embedder.endpoint.urgency is in_worker.endpoint.urgency is PIPELINE
    assert embedder.endpoint.key != generator.endpoint.key


# -- other models --------------------------------------------------------------------------------------------


async def test_models_beyond_number_take_one_client_and_little_else(
    server: Server, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    class Counted(httpx2.AsyncClient):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            opened.append(self)

    monkeypatch.setattr("httpx2.AsyncClient", Counted)
    base_url = f"http://127.0.0.1:{server.port}/{id(server)}"
    settings = Settings(_env_file=None, redis_url=redis_url, embedder="local", openai_base_url=base_url)
    embedders = Embedders(settings, Shared(None), interactive=True)
    first = embedders["openai", "model 0"]
    await first.embed(["a"])
    for number in range(1, 2 * MOST_MODELS):
        assert embedders["openai", f"model {number}"].model == f"model {number}"
    assert len(embedders) == MOST_MODELS
    assert ("openai", "model 0") not in embedders
    for embedder in (first, *list(embedders.values())[-2:]):
        assert (await embedder.embed(["a"])).vectors.shape == (1, 16)
    assert embedders["local", ""] is embedders["local", "all-MiniLM-L6-v2"], "loaded once"
    [client] = opened
    await embedders.close()
    assert client.is_closed


# -- batches -------------------------------------------------------------------------------------------------


async def test_a_batch_that_is_too_large_is_halved_and_the_size_remembered(server: Server, process: Open) -> None:
    server.answer = lambda texts: failure(413) if len(texts) > 5 else None
    embedder = process()
    answer = await embedder.embed(TEXTS)
    assert np.allclose(answer.vectors, [expected(text) for text in TEXTS], atol=1e-5)
    assert answer.tokens == 16
    assert server.sizes == [16, 8, 4, 4, 4, 4]
    assert embedder.max_texts == 4
    server.calls.clear()
    await embedder.embed(TEXTS[:8])
    assert server.sizes == [4, 4]


async def test_a_single_text_that_is_too_large_is_refused_for_good_and_spoils_nothing(
    server: Server, process: Open
) -> None:
    server.answer = lambda texts: failure(413, "It is too long.") if "text 11" in texts else None
    embedder = process()
    before = embedder.max_texts
    with pytest.raises(BatchTooLarge, match=r"The provider answered 413: .*It is too long") as raised:
        await embedder.embed(TEXTS)
    assert isinstance(raised.value, ProviderRejected)
    assert not raised.value.retryable
    assert ["text 11"] in server.calls
    assert embedder.max_texts == before
    server.calls.clear()
    await embedder.embed(TEXTS[:8])
    assert server.sizes == [8]


@pytest.mark.parametrize(
    ("status", "words", "sizes"),
    [
        (422, "batch size {} > maximum allowed batch size 5", [16, 4, 4, 4, 4]),
        (400, "Value error, batch size is invalid, it should not be larger than 5.: input.contents", [16, 4, 4, 4, 4]),
        (413, "input batch size {} > maximum allowed batch size 5", [16, 4, 4, 4, 4]),
        (
            400,
            "array too long. Expected an array with maximum length 5, but got an array with length {}",
            [16, 4, 4, 4, 4],
        ),
        (422, "List should have at most 5 items after validation, not {}", [16, 4, 4, 4, 4]),
        (400, "* BatchEmbedContentsRequest.requests: at most 5 requests can be in one batch", [16, 4, 4, 4, 4]),
        (400, "Too many inputs in request, split into more batches.", [16, 8, 4, 4, 4, 4]),
        (400, "input数组最大不得超过5条", [16, 4, 4, 4, 4]),
        (413, "Request Entity Too Large", [16, 8, 4, 4, 4, 4]),
    ],
)
async def test_too_many_texts_told_in_words_are_halved_and_the_limit_is_shared(
    server: Server, process: Open, status: int, words: str, sizes: list[int]
) -> None:
    server.answer = lambda texts: failure(status, words.format(len(texts))) if len(texts) > 5 else None
    answer = await process().embed(TEXTS)
    assert np.allclose(answer.vectors, [expected(text) for text in TEXTS], atol=1e-5)
    assert (server.sizes, answer.split) == (sizes, frozenset())
    server.calls.clear()
    other = process()
    await other.embed(TEXTS)
    assert server.sizes == [4, 4, 4, 4], "another process does not pay again"
    assert other.max_texts == max(sizes[-1], 5 if sizes[1] == 4 else 4)


LONG = "The keeper trims the lamp at dusk and again at midnight. " * 40


def too_long(status: int, words: str, most: int = 60) -> Callable[[list[str]], Reply | None]:
    """Refuses texts of more words than the model reads."""

    def answer(texts: list[str]) -> Reply | None:
        longest = max(len(text.split()) for text in texts)
        return failure(status, words.format(longest)) if longest > most else None

    return answer


@pytest.mark.parametrize(
    ("status", "words", "most_calls"),
    [
        (400, "This model's maximum context length is 60 tokens. However, you requested {} tokens in the input.", 9),
        (413, "`inputs` must have less than 60 tokens. Given: {}", 9),
        (400, "Input id 3 has {} tokens, exceeding max 60 tokens.", 9),
        (500, "the input length exceeds the context length", 16),
        (
            500,
            "input ({} tokens) is too large to process. increase the physical batch size (current batch size: 60)",
            9,
        ),
        (413, "Payload too large", 20),
    ],
)
async def test_a_text_longer_than_the_model_reads_is_embedded_in_pieces_and_the_others_whole(
    server: Server, process: Open, status: int, words: str, most_calls: int
) -> None:
    server.answer = too_long(status, words)
    texts = [*TEXTS[:3], LONG, *TEXTS[3:]]
    embedder = process()
    answer = await embedder.embed(texts)
    assert answer.split == {3}
    assert answer.vectors.shape == (17, 16)
    for place, text in enumerate(texts):
        if place != 3:
            assert np.allclose(answer.vectors[place], expected(text), atol=1e-5)
    accepted = [text for texts in server.calls if not server.answer(texts) for text in texts]
    pieces = [text for text in accepted if text not in TEXTS]
    assert "".join(pieces) == LONG, "nothing is lost"
    mean = sum(embedder.count_tokens(piece) * expected(piece) for piece in pieces)
    assert np.allclose(answer.vectors[3], mean / np.linalg.norm(mean), atol=1e-5)
    assert len(server.calls) <= most_calls
    server.calls.clear()
    assert (await process().embed(texts)).split == {3}
    assert [texts for texts in server.calls if server.answer(texts)] == [], "another process does not pay again"
    assert embedder.max_texts > 16, "it is not their number"
    assert await embedder.endpoint.circuit() == "closed"


@pytest.mark.parametrize(("status", "words"), [(400, "the input length exceeds the context length"), (413, "")])
async def test_texts_that_are_all_too_long_by_another_length_each(
    server: Server, process: Open, status: int, words: str
) -> None:
    """Each is shorter than what was refused before it, which says little about it."""
    server.answer = too_long(status, words)
    texts = [" ".join(f"{number}-{word}" for word in range(124 - number)) for number in range(64)]
    embedder = process()
    answer = await embedder.embed(texts)
    assert answer.split >= {*range(60)}
    assert len(server.calls) <= 40
    assert embedder.max_texts > 64, "it is not their number"


async def test_a_question_longer_than_the_model_reads_is_embedded_in_pieces(server: Server, process: Open) -> None:
    server.answer = too_long(500, "the input length exceeds the context length")
    answer = await process(interactive=True).embed([LONG])
    assert answer.vectors.shape == (1, 16)
    assert answer.split == {0}


async def test_a_provider_that_finds_every_text_too_long_is_given_up_soon(server: Server, process: Open) -> None:
    server.answer = lambda _texts: failure(400, "the input length exceeds the context length")
    with pytest.raises(BatchTooLarge):
        await process().embed([LONG] * 16)
    assert len(server.calls) <= 50


async def test_a_call_takes_no_more_than_half_a_minutes_tokens(server: Server, process: Open) -> None:
    embedder = process(embedding_tpm=120)
    await embedder.embed(["x" * 40] * 8)  # 11 tokens each, by our estimate
    assert server.sizes == [4, 4]
    assert embedder.max_texts > 8, "it is not their number"


async def test_limits_learned_by_one_process_divide_the_first_call_of_the_next(server: Server, process: Open) -> None:
    told = {"x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "990"}
    server.answer = lambda texts: replace(vectors(texts), headers=told)
    await process().embed(["some text"])
    server.calls.clear()
    second = process()
    await second.embed(["x" * 400] * 8)
    assert server.sizes == [4, 4]
    assert second.max_tokens == 500
    assert second.max_texts > 8, "it is not their number"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_other_refusals_are_not_asked_again(server: Server, process: Open, status: int) -> None:
    server.answer = lambda _texts: failure(status, "Never.")
    with pytest.raises(ProviderRejected, match="Never"):
        await process().embed(TEXTS)
    assert server.sizes == [16]


# -- pauses --------------------------------------------------------------------------------------------------


async def test_a_short_pause_is_waited_for_in_place(server: Server, process: Open) -> None:
    clock = asyncio.get_running_loop().time
    server.answer = lambda _texts: failure(429, Retry_After="1") if len(server.calls) == 1 else None
    started = clock()
    await process().embed(["a"])
    assert clock() - started >= 1
    assert len(server.calls) == 2


async def test_a_long_pause_is_for_all_to_come_back_after(server: Server, process: Open) -> None:
    server.answer = lambda _texts: failure(429, "Slow down.", Retry_After="30")
    with pytest.raises(RateLimited, match="Slow down") as raised:
        await process().embed(["a"])
    assert raised.value.retry_after == 30
    for interactive in (False, True):
        with pytest.raises(RateLimited) as raised:
            await process(interactive=interactive).embed(["a"])
        assert 15 < (raised.value.retry_after or 0) <= 30
    assert len(server.calls) == 1


async def test_a_429_that_names_the_time_only_in_its_limits(server: Server, process: Open) -> None:
    told = {
        "x_ratelimit_limit_requests": "60",
        "x_ratelimit_remaining_requests": "0",
        "x_ratelimit_reset_requests": "17s",
    }
    server.answer = lambda _texts: failure(429, **told)
    embedder = process()
    with pytest.raises(RateLimited) as raised:
        await embedder.embed(["a"])
    assert raised.value.retry_after == 17
    assert embedder.endpoint.known == {"requests": 60}


async def test_a_question_does_not_wait_long_for_its_turn(server: Server, process: Open) -> None:
    # Many more than questions may run ahead and than are let through meanwhile, however slow the machine is.
    processes = [process(interactive=True, embedding_rpm=60) for _ in range(4)]
    asked = (processes[number % 4].embed(["a"]) for number in range(100))
    refused = [each for each in await asyncio.gather(*asked, return_exceptions=True) if isinstance(each, RateLimited)]
    assert refused
    assert all(each.retry_after for each in refused)


async def test_without_redis_a_pause_is_kept_by_whoever_was_told(server: Server, process: Open) -> None:
    clock = asyncio.get_running_loop().time
    server.answer = lambda _texts: failure(429, Retry_After="1") if len(server.calls) == 1 else None
    embedder = process()
    alone = GuardedEmbedder(embedder._inner, replace(embedder.endpoint, shared=Shared(None)))
    started = clock()
    await alone.embed(["a"])
    assert clock() - started >= 1


# -- answers that cannot be used -----------------------------------------------------------------------------


async def test_the_halves_of_a_batch_have_vectors_of_one_length(server: Server, process: Open) -> None:
    short = {"index": 0, "embedding": [1.0, 0.0]}
    server.answer = lambda texts: answering([short]) if texts == ["b"] else failure(413) if len(texts) > 1 else None
    with pytest.raises(Unavailable, match="vectors of 16 and of 2 dimensions"):
        await process().embed(["a", "b"])


def rows(texts: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(vectors(texts).body)["data"]
    return found


def answering(data: Any) -> Reply:
    return Reply(json.dumps({"object": "list", "model": "m", "data": data}).encode())


def hanging(_texts: list[str]) -> Reply:
    time.sleep(3.5)
    return failure(500)


FAULTS: list[Callable[[list[str]], Reply]] = [
    lambda _texts: failure(429, Retry_After="1"),
    lambda _texts: failure(429),
    lambda _texts: failure(500),
    lambda _texts: failure(503, Retry_After="1"),
    hanging,
    lambda _texts: Reply(b"<html>Bad gateway</html>"),
    lambda texts: answering(rows(texts)[:-1]),
    lambda texts: answering([*rows(texts), *rows(texts)]),
    lambda texts: answering([{**row, "embedding": [float("nan")] * 16} for row in rows(texts)]),
    lambda texts: answering([{**row, "embedding": [0.0] * 16} for row in rows(texts)]),
    lambda texts: answering([{**row, "embedding": row["embedding"][:8]} for row in rows(texts)]),
    lambda texts: answering([{**row, "index": 0} for row in rows(texts)]),
    lambda texts: answering(rows(texts)[::-1]),  # in another order, which is no fault
    lambda _texts: Reply(b""),
    lambda _texts: failure(413),
]


async def test_whatever_a_provider_sends_no_wrong_vector_is_stored_and_every_document_arrives(
    rt: Runtime, server: Server, process: Open
) -> None:
    """Every second call goes wrong, each time in another way."""
    faults = iter(FAULTS)
    odd = iter(range(10_000))
    server.answer = lambda texts: next(faults, vectors)(texts) if next(odd) % 2 else None
    rt = replace(rt, embedder=process())
    tenant = await driving.new_tenant(rt)
    made = [await driving.accept(rt, tenant, paragraphs(24, f"topic{n}"), f"{n}.txt") for n in range(6)]
    ids = [each.details.job.id for each in made]
    async with asyncio.timeout(60):
        while unfinished := [job_id for job_id in ids if (await driving.job_of(rt, job_id)).state != "succeeded"]:
            for job_id in unfinished:
                await set_job(rt, job_id, next_attempt_at=func.now())
                job = await driving.run(rt, job_id)
                assert job.state in ("waiting", "succeeded"), (job.error_code, job.error_message)
            await asyncio.sleep(0.2)
    assert next(faults, None) is None, "all of them happened"
    asked = {text for texts in server.calls for text in texts} - {PROBE}
    wanted = {hashlib.sha256(text.encode()).digest(): expected(text) for text in asked}
    stored = await driving.vectors_of_texts(rt)
    assert len(stored) == len(wanted) == 6 * 24
    for (_tenant, _space, key), vector in stored.items():
        assert np.allclose(np.array(json.loads(vector)), wanted[key], atol=1e-3)
    assert len(server.calls) <= 5 * 6 * 3, "three batches a document, undisturbed"


# -- the circuit ---------------------------------------------------------------------------------------------


async def test_a_provider_that_fails_is_left_alone_and_everybody_is_told(
    rt: Runtime, alice: Person, server: Server, process: Open
) -> None:
    await driving.ready(replace(rt, embedder=process()), alice.tenant_id, "The lamp burns paraffin oil.", "lamp.txt")
    server.calls.clear()
    server.answer = lambda _texts: failure(500, "Out of order.")
    rt = replace(rt, embedder=process())
    job_id = (await driving.accept(rt, alice.tenant_id, paragraphs(3))).details.job.id
    for _ in range(8):
        await set_job(rt, job_id, next_attempt_at=func.now())
        job = await driving.run(rt, job_id)
    assert (job.state, job.step, job.retries, len(server.calls)) == ("waiting", "embed", 5, 5)
    name = f"openai/{process().model}"
    assert (job.waiting_for or "").startswith(f"the provider to recover: {name} failed 5 times in a row and is not as")

    working = replace(rt, embedder=process(interactive=True))
    circuit = f'footnote_provider_circuit_open{{provider="{name}"}}'
    app = create_app(runtime=working)
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=alice.client.headers) as http:
            answer = await http.post("/v1/search", json={"query": "lamp"})
            problem(answer, 503, "provider_unavailable")
            assert 1 <= int(answer.headers["retry-after"]) <= 5
            ready = await http.get("/readyz")
            assert ready.status_code == 200
            assert ready.json()["providers"][name].startswith("failing, not called before 2")
            assert (await metrics.of_the_installation(working))[circuit] == 1
            assert len(server.calls) == 5

            server.answer = lambda _texts: None
            await asyncio.sleep(5.1)  # the shortest time that a circuit is open
            assert (await http.post("/v1/search", json={"query": "lamp"})).status_code == 200
            assert (await http.get("/readyz")).json()["providers"] == {name: "ok"}
            assert (await metrics.of_the_installation(working))[circuit] == 0
    await set_job(rt, job_id, next_attempt_at=func.now())
    assert (await driving.run(rt, job_id)).state == "succeeded"


# -- answers -------------------------------------------------------------------------------------------------


@dataclass
class Model(FakeGenerator):
    """A generator at an address."""

    address: str  # type: ignore[assignment]
    error: Exception | None = None

    def __post_init__(self) -> None:
        super().__init__()
        self.pieces = ["A", "b"]

    async def generate(self, request: GenerationRequest) -> Any:
        if self.error:
            raise self.error
        async for event in super().generate(request):
            yield event


@pytest.fixture
async def chat(redis_url: str) -> AsyncIterator[tuple[Model, GuardedGenerator, Endpoint]]:
    settings = Settings(_env_file=None, redis_url=redis_url)
    redis = open_redis(settings)
    model = Model(f"http://{uuid4()}")
    [generator] = guard_generators([model], Shared(redis), settings, interactive=True).generators
    assert isinstance(generator, GuardedGenerator)
    yield model, generator, generator.endpoint
    assert redis is not None
    await redis.aclose()


Chat = tuple[Model, GuardedGenerator, Endpoint]


async def collect(generator: GuardedGenerator, **options: Any) -> list[GeneratorEvent]:
    return [event async for event in generator.generate(GenerationRequest("Why?", (), **options))]


async def test_an_answer_passes_as_it_comes(chat: Chat) -> None:
    assert await collect(chat[1]) == [Token("Ab"), Usage(11, 7)], "unless it is the first of a model"
    assert await collect(chat[1]) == [Token("A"), Token("b"), Usage(11, 7)]


async def test_a_chat_model_that_fails_is_left_alone_until_its_first_piece(chat: Chat) -> None:
    model, generator, endpoint = chat
    await collect(generator)
    model.error = Unavailable("provider_unavailable")
    for _ in range(5):
        with pytest.raises(Unavailable):
            await collect(generator)
    with pytest.raises(CircuitOpen):
        await collect(generator)
    model.error = None
    await asyncio.sleep(5.1)  # the shortest time that a circuit is open
    events = generator.generate(GenerationRequest("Why?", ()))
    assert await anext(events) == Token("A")
    assert await endpoint.circuit() == "closed", "though the answer is not at its end"
    await events.aclose()
    assert await endpoint.circuit() == "closed"


async def test_a_chat_model_of_the_callers_choice_has_limits_of_its_own(chat: Chat) -> None:
    model, generator, _ = chat
    model.error = RateLimited("provider_unavailable", retry_after=30)
    with pytest.raises(RateLimited):
        await collect(generator, model="other")
    model.error = None
    with pytest.raises(RateLimited, match="fake/other asked for a pause"):
        await collect(generator, model="other")
    assert await collect(generator) == [Token("Ab"), Usage(11, 7)]
