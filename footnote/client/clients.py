"""The clients: blocking, and awaited."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from os import PathLike
from time import monotonic
from typing import TYPE_CHECKING, Any, Self, Unpack
from urllib.parse import urlsplit
from uuid import uuid4

from footnote import __version__
from footnote.client.calls import ANSWER_SECONDS, ApiCall, form_of, given, path_of, upload_of
from footnote.client.errors import ApiError, ConnectionLostError, DocumentFailedError, WaitTimeoutError, refusal
from footnote.client.methods import Awaited, Blocking, Bound, Way, iterator, method, run_now
from footnote.client.resources import Collections, Conversations, Documents, Jobs
from footnote.client.shapes import Json
from footnote.client.types.answers import (
    Answer,
    AnswerCitation,
    DocumentOptions,
    QuestionOptions,
    SearchHits,
    SearchOptions,
    SourcesEvent,
)
from footnote.client.types.documents import AddedDocument, CostEstimate, DocumentPage, DocumentStatus, StoredDocument

PAGE = "/v1/documents/{}/pages/{}"
if TYPE_CHECKING:  # httpx2 is imported by the first client, not by programs that only name the types
    import httpx2

    from footnote.client.session import Session
    from footnote.client.transports import Transport

_HEADERS = {"user-agent": f"footnote-python/{__version__}"}
LOCAL = "http://127.0.0.1:8000"
SILENCE_SECONDS = 120.0
PATIENCE_SECONDS = 60.0
FIRST_LOOK, LONGEST_LOOK = 0.1, 2.0  # seconds between two looks at a document that is waited for


@dataclass(frozen=True)
class DeltaEvent:
    """More of the answer's text."""

    text: str


@dataclass(frozen=True)
class CitationEvent:
    """A footnote whose marker has just been sent, checked against its page."""

    citation: AnswerCitation


@dataclass(frozen=True)
class DoneEvent:
    """The whole answer; the last event."""

    answer: Answer


AnswerEvent = SourcesEvent | DeltaEvent | CitationEvent | DoneEvent


class _Calls(Bound[Way]):
    """The methods of both clients."""

    def __init__(self, session: Any) -> None:
        super().__init__(session)
        self.documents: Documents[Way] = Documents(session)
        self.collections: Collections[Way] = Collections(session)
        self.conversations: Conversations[Way] = Conversations(session)
        self.jobs: Jobs[Way] = Jobs(session)

    @property
    def url(self) -> str:
        return str(self._session.url)

    def with_patience(self, seconds: float, on_wait: Callable[[float, ApiError], None] | None = None) -> Self:
        """The same client with another patience, over the same connections; `on_wait` is called with each pause."""
        from footnote.client.session import Patience

        other = object.__new__(type(self))
        _Calls.__init__(other, self._session.with_patience(Patience(seconds, on_wait)))
        return other

    @method
    async def add(
        self,
        path: str | PathLike[str] | None = None,
        *,
        content: bytes | None = None,
        text: str | None = None,
        url: str | None = None,
        filename: str | None = None,
        idempotency_key: str | None = None,
        on_sent: Callable[[int], None] | None = None,
        **options: Unpack[DocumentOptions],
    ) -> AddedDocument:
        """Stores one file by its path, bytes with a filename, a text, or what is at an address; ingestion is queued.

        The same content again costs nothing: see `deduplicated`. `on_sent` gets the bytes of a file sent so far.
        Raises ValueError unless there is one source; OSError for a file that cannot be read.
        """
        if sum(each is not None for each in (path, content, text, url)) != 1:
            raise ValueError("Give one of path, content, text and url.")
        headers = {"Idempotency-Key": idempotency_key or uuid4().hex}
        if path is not None or content is not None:
            file = upload_of(path, content, filename, on_sent)
            call = ApiCall("POST", "/v1/documents", form=form_of(options), file=file, headers=headers)
        else:
            source = "text" if text is not None else "url"
            body = given(text=text, url=url, filename=filename, **options)
            call = ApiCall("POST", f"/v1/documents/{source}", body=body, headers=headers)
        return AddedDocument.read(await self._session.send(call))

    @method
    async def estimate(
        self,
        path: str | PathLike[str] | None = None,
        *,
        content: bytes | None = None,
        filename: str | None = None,
        **options: Unpack[DocumentOptions],
    ) -> CostEstimate:
        """What adding a file would take; nothing of it is stored."""
        file = upload_of(path, content, filename, None)
        call = ApiCall("POST", "/v1/documents/estimate", form=form_of(options), file=file)
        return CostEstimate.read(await self._session.send(call))

    @method
    async def wait(
        self,
        document: str | StoredDocument | AddedDocument,
        *,
        timeout: float | None = None,
        on_progress: Callable[[DocumentStatus], None] | None = None,
    ) -> StoredDocument:
        """The document when it is ready. `on_progress` is called with its status at each look.

        Raises DocumentFailedError with the reason; WaitTimeoutError after `timeout` seconds, and ingestion continues.
        """
        document_id = _id_of(document)
        path = path_of("/v1/documents/{}", document_id)
        begun, pause = monotonic(), FIRST_LOOK
        while True:
            status = await self._session.read(DocumentStatus, f"{path}/status")
            if on_progress:
                on_progress(status)
            if status.status == "ready":
                return await self._session.read(StoredDocument, path)
            if status.status in ("failed", "cancelled"):
                raise _failure(status)
            left = None if timeout is None else begun + timeout - monotonic()
            if left is not None and left <= 0:
                raise WaitTimeoutError("wait_timeout", f"{document_id} is not ready after {timeout:g} seconds.")
            await self._session.transport.sleep(pause if left is None else min(pause, left))
            pause = min(pause * 1.5, LONGEST_LOOK)

    @method
    async def ask(self, question: str, **options: Unpack[QuestionOptions]) -> Answer:
        """An answer whose footnotes were checked against the pages that they quote.

        With `conversation_id` it belongs to that conversation, which stores it.
        """
        return Answer.read(await self._session.send(_question(question, options, stream=False)))

    @iterator
    async def stream(self, question: str, **options: Unpack[QuestionOptions]) -> AsyncGenerator[AnswerEvent, None]:
        """The answer while it is written: its sources, pieces of text and footnotes; last, all of it.

        If you stop reading early, close the generator: the model is stopped then.
        """
        call = _question(question, options, stream=True)
        async with aclosing(self._session.events(call)) as events:
            async for name, data in events:
                event = _event(name, data)
                if event:
                    yield event
                if isinstance(event, DoneEvent):
                    return
        raise ConnectionLostError("connection_lost", "The connection was lost before the answer was complete.")

    @method
    async def search(self, query: str, *, explain: bool = False, **options: Unpack[SearchOptions]) -> SearchHits:
        """The passages that fit best, each with its place on a page. `explain` adds how it was found."""
        body = given(query=query, **options)
        params = {"explain": True} if explain else {}
        return SearchHits.read(await self._session.send(ApiCall("POST", "/v1/search", params=params, body=body)))

    @method
    async def page(
        self,
        document_id: str,
        number: int,
        *,
        version: int | None = None,
        char_start: int | None = None,
        char_end: int | None = None,
        around: int | None = None,
    ) -> DocumentPage:
        """The stored text of a page, or of a part of it with `around` characters at both sides.

        Offsets count Unicode code points, as Python's do: a citation's quote is at `text[char_start:char_end]`.
        """
        path = path_of(PAGE, document_id, str(number))
        wanted = given(version=version, char_start=char_start, char_end=char_end, around=around)
        return await self._session.read(DocumentPage, path, **wanted)

    @iterator
    async def pages(self, document_id: str, *, version: int | None = None) -> AsyncGenerator[DocumentPage, None]:
        """Every page, in order, of one version."""
        number, last = 1, 1
        while number <= last:
            path = path_of(PAGE, document_id, str(number))
            page = await self._session.read(DocumentPage, path, **given(version=version))
            number, last, version = number + 1, page.pages, page.version
            yield page

    @method
    async def request(
        self,
        method: str,
        path: str,
        *names: str,
        body: Json | None = None,
        params: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        accepted: int | None = None,
    ) -> Json:
        """The JSON of any route. Each `{}` of the path stands for a name. A POST is not repeated.

        `timeout`: seconds of silence; `accepted`: a further status, in addition to 2xx, that is no error.
        """
        known: Any = {"repeatable": method != "POST", "silence": timeout, "accepted": accepted}
        call = ApiCall(method, path_of(path, *names), params or {}, body, **known)
        return await self._session.send(call)

    @iterator
    async def request_pages(
        self,
        path: str,
        *names: str,
        limit: int | None = None,
        page_size: int = 100,
        params: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[Json, None]:
        """The pages of any list as JSON: `data`, and the `next_cursor` of what follows."""
        async with aclosing(self._session.pages(path_of(path, *names), params or {}, limit, page_size)) as pages:
            async for page in pages:
                yield page


class Footnote(_Calls[Blocking]):
    """A server's API. May be used from several threads.

        with Footnote("http://127.0.0.1:8000", api_key="fn_...") as footnote:
            footnote.wait(footnote.add("report.pdf"))
            print(footnote.ask("What was decided?").answer)

    `timeout`: seconds of silence after which a call fails. `patience`: for how many seconds a call that may safely be
    repeated is, while the server restarts or asks to wait; 0: never. Calls raise `ApiError`. `http`: a client of httpx2
    with settings of its own, which stays open.
    """

    def __init__(
        self,
        url: str = LOCAL,
        api_key: str | None = None,
        *,
        timeout: float = SILENCE_SECONDS,
        patience: float = PATIENCE_SECONDS,
        http: "httpx2.Client | None" = None,
    ) -> None:
        import httpx2

        from footnote.client.transports import BlockingTransport

        made = http or httpx2.Client(headers=_HEADERS, trust_env=not is_loopback(url))
        super().__init__(_session(BlockingTransport(made, owned=http is None), url, api_key, timeout, patience))

    def close(self) -> None:
        run_now(self._session.transport.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncFootnote(_Calls[Awaited]):
    """As `Footnote`, with methods that are awaited, and asynchronous iterators."""

    def __init__(
        self,
        url: str = LOCAL,
        api_key: str | None = None,
        *,
        timeout: float = SILENCE_SECONDS,
        patience: float = PATIENCE_SECONDS,
        http: "httpx2.AsyncClient | None" = None,
    ) -> None:
        import httpx2

        from footnote.client.transports import AwaitedTransport

        made = http or httpx2.AsyncClient(headers=_HEADERS, trust_env=not is_loopback(url))
        super().__init__(_session(AwaitedTransport(made, owned=http is None), url, api_key, timeout, patience))

    async def close(self) -> None:
        await self._session.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def is_loopback(url: str) -> bool:
    """Whether the address is this machine's own, which no proxy of the environment can reach."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _session(transport: "Transport", url: str, api_key: str | None, timeout: float, patience: float) -> "Session":
    from footnote.client.session import Patience, Session

    return Session(transport, url, api_key, timeout, Patience(patience))


def _question(question: str, options: Mapping[str, Any], *, stream: bool) -> ApiCall:
    """In a conversation it is stored, and so it is not sent again."""
    body = given(question=question, **options) | {"stream": stream}
    alone = options.get("conversation_id") is None
    return ApiCall("POST", "/v1/query", body=body, repeatable=alone, silence=ANSWER_SECONDS)


def _event(name: str, data: Json) -> AnswerEvent | None:
    """None for an event of a later version of the server."""
    match name:
        case "sources":
            return SourcesEvent.read(data)
        case "delta":
            return DeltaEvent(data["text"])
        case "citation":
            return CitationEvent(AnswerCitation.read(data))
        case "done":
            return DoneEvent(Answer.read(data))
        case "error":
            raise refusal(int(data.get("status") or 0), data)
    return None


def _id_of(document: str | StoredDocument | AddedDocument) -> str:
    if isinstance(document, AddedDocument):
        return document.document.id
    return document if isinstance(document, str) else document.id


def _failure(status: DocumentStatus) -> DocumentFailedError:
    if status.error:
        return DocumentFailedError(status.document_id, status.error.code, status.error.message)
    return DocumentFailedError(status.document_id, status.status, f"The ingestion is {status.status}.")
