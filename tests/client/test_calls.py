"""What is sent, how often, and what becomes of the answers: the fake is the network."""

import inspect
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from footnote import client as published
from footnote.client import (
    Answer,
    ApiError,
    AsyncFootnote,
    ConnectionLostError,
    DeltaEvent,
    FailureReason,
    Footnote,
    NotFootnoteError,
    RateLimitError,
    RefusedError,
    SearchHit,
    ServerUnavailableError,
    ServerUnreachableError,
    Shape,
    StoredDocument,
    WaitTimeoutError,
)
from tests import ROOT
from tests.client.conftest import URL, Client, Reply, Script

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import assert_type

    def _types_of_both(blocking: Footnote, awaited: AsyncFootnote) -> None:
        assert_type(blocking.ask("Who?"), Answer)
        _ = assert_type(awaited.ask("Who?"), Coroutine[Any, Any, Answer])
        assert_type(blocking.documents.list(limit=1), Generator[StoredDocument, None, None])
        assert_type(blocking.with_patience(1.0), Footnote)


pytestmark = pytest.mark.anyio
DONE = {"status": "ok"}


def problem(status: int, code: str, **headers: str) -> httpx2.Response:
    body = {"status": status, "code": code, "detail": "Not now.", "request_id": "req_1"}
    return httpx2.Response(status, json=body, headers={name.replace("_", "-"): each for name, each in headers.items()})


def ok(**body: Any) -> httpx2.Response:
    return httpx2.Response(200, json=body)


def unreachable() -> Exception:
    return httpx2.ConnectError("refused")


def lost() -> Exception:
    return httpx2.ReadError("reset")


ACCEPTED = ok(document={"id": "doc_1"}, job={"id": "job_1"}, deduplicated=False)
UPLOAD = ("add", {"text": "a"})
CREATE = ("collections.create", {"name": "papers"})
STORED = ("ask", {"question": "Who?", "conversation_id": "cnv_1"})


@pytest.mark.parametrize(
    ("call", "replies", "requests", "pauses"),
    [
        (UPLOAD, [problem(503, "busy", Retry_After="7"), lost(), problem(409, "request_in_flight"), ACCEPTED], 4, [7]),
        (UPLOAD, [problem(502, "bad_gateway"), ACCEPTED], 2, []),
        (CREATE, [problem(429, "rate_limited", Retry_After="3"), ok(id="col_1")], 2, [3]),
        (STORED, [problem(429, "rate_limited", Retry_After="2.5"), ok(id="ans_1")], 2, [2.5]),
        (("ask", {"question": "Who?"}), [lost(), ok(id="ans_1")], 2, []),
    ],
)
async def test_what_may_be_sent_twice_is_tried_again(
    script: Script, call: tuple[str, Any], replies: list[Reply], requests: int, pauses: list[float]
) -> None:
    client, server = script(*replies)
    await client(call[0], **call[1])
    assert len(server.sent) == requests
    assert server.pauses[: len(pauses)] == pauses
    assert all(0.75 <= pause <= 15 for pause in server.pauses)
    assert len({each.headers.get("idempotency-key") for each in server.sent}) == 1
    assert {each.headers["authorization"] for each in server.sent} == {"Bearer fn_key"}


@pytest.mark.parametrize(
    ("call", "reply", "error"),
    [
        (CREATE, problem(503, "busy"), ServerUnavailableError),
        (CREATE, lost(), ConnectionLostError),
        (STORED, lost(), ConnectionLostError),
        (("documents.get", {"document_id": "doc_1"}), unreachable(), ServerUnreachableError),
        (("documents.get", {"document_id": "doc_1"}), problem(404, "document_not_found"), RefusedError),
        (("documents.get", {"document_id": "doc_1"}), problem(429, "rate_limited", Retry_After="600"), RateLimitError),
        (("documents.get", {"document_id": "doc_1"}), httpx2.Response(200, text="<html>"), NotFootnoteError),
    ],
)
async def test_what_may_not_is_sent_once(
    script: Script, call: tuple[str, Any], reply: Reply, error: type[ApiError]
) -> None:
    client, server = script(reply)
    with pytest.raises(error):
        await client(call[0], **call[1])
    assert (len(server.sent), server.pauses) == (1, [])


async def test_a_question_that_was_waited_for_in_vain_is_not_asked_twice(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, server = script(httpx2.ReadTimeout("silence"))
    monkeypatch.setattr("footnote.client.session.monotonic", iter([0.0, 900.0]).__next__)
    with pytest.raises(ConnectionLostError, match="silent for 900 seconds"):
        await client("ask", "Who?")
    assert len(server.sent) == 1


async def test_patience_ends_and_a_server_that_was_there_is_waited_for(script: Script) -> None:
    client, server = script(ok(**DONE), unreachable(), ok(**DONE))
    for _ in range(2):
        assert await client("request", "GET", "/healthz") == DONE
    assert len(server.pauses) == 1
    client, server = script(problem(503, "busy", Retry_After="20"), patience=60)
    with pytest.raises(ServerUnavailableError):
        await client("request", "GET", "/healthz")
    assert server.pauses == [20, 20, 20]
    waits: list[tuple[float, str]] = []
    patient = client.own.with_patience(30, lambda pause, error: waits.append((pause, error.code)))
    with pytest.raises(ServerUnavailableError):
        await Client(patient)("request", "GET", "/healthz")
    assert waits == [(20, "busy"), (20, "busy")]


def frames(*events: tuple[str, Any]) -> httpx2.Response:
    told = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
    return httpx2.Response(200, text=told, headers={"content-type": "text/event-stream"})


async def test_a_stream_that_breaks_off_is_an_error(script: Script) -> None:
    delta = ("delta", {"text": "Half"})
    client, server = script(problem(503, "busy"), frames(delta, ("a later event", {}), ("done", {"id": "ans_1"})))
    assert (await client("stream", "Who?"))[0] == DeltaEvent("Half")
    assert len(server.sent) == 2, "its beginning is tried again"
    client, server = script(frames(delta))
    with pytest.raises(ConnectionLostError):
        await client("stream", "Who?")
    client, server = script(frames(delta, ("error", {"status": 502, "code": "provider_rejected", "detail": "No."})))
    with pytest.raises(ServerUnavailableError, match="No"):
        await client("stream", "Who?")
    assert len(server.sent) == 1


class Endless(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """An answer that never ends; it knows whether the connection was given up."""

    closed = False

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield b'event: delta\ndata: {"text": "and "}\n\n'

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for each in self:
            yield each

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


async def test_a_stream_that_is_closed_early_ends_the_request() -> None:
    answers = [Endless(), Endless()]
    headers = {"content-type": "text/event-stream"}
    network = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, stream=answers[-1]))
    async with aclosing(AsyncFootnote(URL, http=httpx2.AsyncClient(transport=network)).stream("Who?")) as awaited:
        assert await anext(awaited) == DeltaEvent("and ")
    answers.reverse()
    with closing(Footnote(URL, http=httpx2.Client(transport=network)).stream("Who?")) as blocking:
        assert next(blocking) == DeltaEvent("and ")
        assert [each.closed for each in answers] == [True, False]
    assert [each.closed for each in answers] == [True, True]


async def test_lists_are_fetched_as_far_as_they_are_read(script: Script) -> None:
    pages = [ok(data=[{"id": f"doc_{n}"}], next_cursor=f"after_{n}") for n in range(3)]
    client, server = script(*pages)
    assert [each.id for each in await client("documents.list", limit=2, status=["ready", "failed"])] == [
        "doc_0",
        "doc_1",
    ]
    asked = [dict(each.url.params.multi_items()) for each in server.sent]
    assert [each.get("cursor") for each in asked] == [None, "after_0"]
    assert [each["limit"] for each in asked] == ["2", "1"]
    assert server.sent[0].url.params.get_list("status") == ["ready", "failed"]


async def test_waiting_ends_when_it_should(script: Script) -> None:
    client, _ = script(ok(document_id="doc_1", status="running"))
    with pytest.raises(WaitTimeoutError, match="not ready after 0 seconds") as ended:
        await client("wait", "doc_1", timeout=0)
    assert isinstance(ended.value, TimeoutError)


def test_an_address_or_a_key_that_cannot_be_one() -> None:
    for wrong in (("localhost:8000", None), ("http://host:port", None), (URL, "fn_schlüssel"), (URL, "a\nb")):
        with pytest.raises(ValueError, match=r"address|port|key"):
            Footnote(*wrong)


async def test_an_id_is_one_segment_of_the_path(script: Script) -> None:
    client, server = script(ok(id="doc_1"))
    await client("documents.get", "../keys")
    assert server.sent[0].url.raw_path == b"/v1/documents/..%2Fkeys"


def test_objects_survive_fields_that_are_new_or_missing() -> None:
    hit = SearchHit.read({"document_id": "doc_1", "later": 1})
    assert (hit.document_id, hit.raw["later"], hit.context) == ("doc_1", 1, None)
    with pytest.raises(AttributeError):
        hit.document_id = "doc_2"  # type: ignore[misc]  # what is tested
    with pytest.raises(TypeError, match="later"):
        FailureReason(code="a", message="b", later=1)  # type: ignore[call-arg]


def test_methods_show_their_signature_and_what_they_do() -> None:
    with Footnote(URL) as client:
        assert [*inspect.signature(client.documents.get).parameters] == ["document_id"]
    assert "footnotes were checked" in str(AsyncFootnote.ask.__doc__)


def test_types_have_the_fields_of_the_openapi_document() -> None:
    schemas = json.loads((ROOT / "docs" / "openapi.json").read_text())["components"]["schemas"]
    types = [each for each in vars(published).values() if isinstance(each, type) and issubclass(each, Shape)]
    compared = 0
    for each in types:
        schema = schemas.get((each.__doc__ or "").split("`")[1] if each is not Shape else "")
        if schema:
            assert set(each.__annotations__) == set(schema["properties"]), each
            compared += 1
    assert compared > 35
    assert {name for name, each in vars(published).items() if isinstance(each, type)} <= set(published.__all__)


def test_the_import_is_light() -> None:
    code = "import sys, footnote.client; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    heavy = {"sqlalchemy", "celery", "fastapi", "numpy", "pydantic", "httpx2", "langchain_core", "typer"}
    assert loaded & heavy == set()
    own = {name for name in loaded if name.startswith("footnote.")}
    assert {name for name in own if not name.startswith("footnote.client")} == set()
