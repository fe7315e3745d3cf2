"""What every call needs: retries, errors, pages of lists and streams of events."""

import json
import random
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, closing, contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Any, TypeVar

import httpx2

from footnote.client.calls import ApiCall, given
from footnote.client.errors import (
    NOT_NOW,
    ApiError,
    ConnectionLostError,
    NotFootnoteError,
    RateLimitError,
    RefusedError,
    ServerUnreachableError,
    refusal,
)
from footnote.client.shapes import Json, Shape
from footnote.client.transports import Transport

AnyShape = TypeVar("AnyShape", bound=Shape)
CONNECT_SECONDS = 5.0
LONGEST_PAUSE = 15.0
LARGEST_PAGE = 100


@dataclass(frozen=True)
class Patience:
    """For how many seconds a call is tried again; `on_wait` is called with each pause, and its reason."""

    seconds: float
    on_wait: Callable[[float, ApiError], None] | None = None


@dataclass
class Tries:
    """The tries of one call."""

    patience: Patience
    lost: float = 0.0
    made: int = 0

    def pause(self, error: ApiError, begun: float) -> float:
        """Seconds until the next try. `begun`: when the last one began. Raises the error if it was the last."""
        self.lost += monotonic() - begun
        if self.lost >= self.patience.seconds or (error.retry_after or 0) > self.patience.seconds:
            raise error
        backoff = min(2**self.made, LONGEST_PAUSE) * random.uniform(0.75, 1.25)  # noqa: S311  jitter, no secret
        seconds = error.retry_after or backoff
        self.lost, self.made = self.lost + seconds, min(self.made + 1, 10)
        if self.patience.on_wait:
            self.patience.on_wait(seconds, error)
        return seconds


Send = Callable[[httpx2.Request], Awaitable[httpx2.Response]]


class Session:
    """Calls with a key, over one pool of connections."""

    def __init__(self, transport: Transport, url: str, key: str | None, silence: float, patience: Patience) -> None:
        """Raises ValueError for what is no address, or a key that a header cannot carry."""
        self.transport, self.url, self._silence, self.patience = transport, url.rstrip("/"), silence, patience
        self._headers = {"Authorization": f"Bearer {_checked_key(key)}"} if key else {}
        self._reached = False
        try:
            httpx2.URL(url)
        except httpx2.InvalidURL as error:
            raise ValueError(f"{error}.") from error
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"The address must start with http:// or https://, not {url!r}.")

    def with_patience(self, patience: Patience) -> "Session":
        """The same server, over the same connections."""
        other = copy(self)
        other.patience = patience
        return other

    async def get(self, path: str, **params: Any) -> Json:
        return await self.send(ApiCall("GET", path, params=params))

    async def read(self, shape: type[AnyShape], path: str, **params: Any) -> AnyShape:
        return shape.read(await self.get(path, **params))

    async def send(self, call: ApiCall) -> Json:
        """The reply's JSON object."""
        body = _json_object(await self.response(call))
        if body is None:
            raise NotFootnoteError("not_footnote", f"What answers at {self.url} is not Footnote's API.")
        return body

    async def response(self, call: ApiCall) -> httpx2.Response:
        return await self._tried(call, self.transport.request)

    async def events(self, call: ApiCall) -> AsyncGenerator[tuple[str, Json], None]:
        """The named server-sent events of a reply, as they arrive. Only their beginning is tried again."""
        response = await self._tried(call, self.transport.opened)
        async with aclosing(self.transport.events(response)) as events:
            with self._explained(call):
                async for event in events:
                    yield event.event, json.loads(event.data)

    async def pages(
        self,
        path: str,
        wanted: Mapping[str, Any],
        limit: int | None = None,
        page_size: int = LARGEST_PAGE,
        within: str | None = None,
    ) -> AsyncGenerator[Json, None]:
        """Pages of a list, until it ends or there are `limit` items. `within`: the reply's field that is the page."""
        left, params = limit, given(**wanted)
        while left is None or left > 0:
            params["limit"] = page_size if left is None else min(left, page_size)
            reply = await self.get(path, **params)
            page = reply[within] if within else reply
            yield page
            left = None if left is None else left - len(page["data"])
            params["cursor"] = page["next_cursor"]
            if params["cursor"] is None:
                return

    async def listed(
        self, shape: type[AnyShape], path: str, limit: int | None, within: str | None = None, **wanted: Any
    ) -> AsyncGenerator[AnyShape, None]:
        async with aclosing(self.pages(path, wanted, limit, within=within)) as pages:
            async for page in pages:
                for each in page["data"]:
                    yield shape.read(each)

    async def _tried(self, call: ApiCall, send: Send) -> httpx2.Response:
        tries = Tries(self.patience)
        while True:
            begun = monotonic()
            try:
                with self._explained(call), self._request(call) as request:
                    response = await send(request)
                return self._checked(call, response)
            except ApiError as error:
                if not self._may_repeat(call, error):
                    raise
                await self.transport.sleep(tries.pause(error, begun))

    def _may_repeat(self, call: ApiCall, error: ApiError) -> bool:
        """A server that was never reached is not waited for: its address may be wrong."""
        if isinstance(error, ServerUnreachableError):
            return self._reached
        return isinstance(error, RateLimitError) or (call.repeatable and error.temporary)

    def _checked(self, call: ApiCall, response: httpx2.Response) -> httpx2.Response:
        self._reached = True
        if response.is_success or response.status_code == call.accepted:
            return response
        raise self._refusal(response)

    def _refusal(self, response: httpx2.Response) -> RefusedError:
        problem = _json_object(response) or {}
        if "code" not in problem:  # a proxy's answer, or another server's
            what = "is not ready" if response.status_code in NOT_NOW else "is not Footnote's API"
            problem = {"detail": f"What answers at {self.url} {what} (status {response.status_code})."}
        return refusal(response.status_code, problem, retry_after(response.headers))

    @contextmanager
    def _request(self, call: ApiCall) -> Iterator[httpx2.Request]:
        """A request whose file, if it has one, is open during the block."""
        timeout = httpx2.Timeout(call.silence or self._silence, connect=CONNECT_SECONDS, pool=None)
        with closing(call.file.open()) if call.file else nullcontext() as file:
            yield self.transport.http.build_request(
                *(call.method, self.url + call.path),
                params=dict(call.params),
                json=call.body,
                data=call.form,
                files={"file": (call.file.name, file)} if call.file and file else None,
                headers=self._headers | dict(call.headers),
                timeout=timeout,
            )

    @contextmanager
    def _explained(self, call: ApiCall) -> Iterator[None]:
        try:
            yield
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            message = f"Footnote cannot be reached at {self.url}: {error or 'no connection'}."
            raise ServerUnreachableError("not_running", message) from error
        except httpx2.TimeoutException as error:
            message = f"Footnote at {self.url} was silent for {call.silence or self._silence:.0f} seconds."
            raise ConnectionLostError("connection_lost", message) from error
        except httpx2.HTTPError as error:
            reason = str(error).rstrip(".") or type(error).__name__
            message = f"The connection to {self.url} was lost: {reason}."
            raise ConnectionLostError("connection_lost", message) from error


def _checked_key(key: str) -> str:
    if not re.fullmatch(r"[!-~]+", key):
        raise ValueError("The API key has characters that a header cannot carry.")
    return key


def _json_object(response: httpx2.Response) -> Json | None:
    try:
        body = response.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from a number or an HTTP date (RFC 9110, 10.2.3); None without a usable header."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
