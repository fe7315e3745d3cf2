"""The HTTP API as the command line sees it: one connection pool, and errors a person can act on."""

import io
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from time import sleep as pause
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2

from footnote.cli.target import target, target_with_key
from footnote.errors import FootnoteError, Invalid, Unavailable
from footnote.outbound.retry_after import retry_after
from footnote.settings import Settings

Json = dict[str, Any]
Result = TypeVar("Result")

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 120.0
ANSWER_SECONDS = 900.0  # a model may have to be loaded, and then the next one asked
PATIENCE_SECONDS = 300.0  # long enough for a restart or an upgrade of the server
LONGEST_PAUSE = 15.0
LARGEST_PAGE = 100
_NOT_NOW = {429, 502, 503, 504}


class NotRunning(Unavailable):
    """Nothing listens at the API's address."""


class ConnectionLost(Unavailable):
    """The connection ended, or timed out, before the answer was complete."""


class ApiRefused(FootnoteError):
    """The API answered with a problem; `status` is the HTTP status, `detail` the message without the code."""

    def __init__(self, status: int, problem: Json, retry_after: float | None) -> None:
        super().__init__(str(problem.get("code") or status), problem_message(problem), retry_after=retry_after)
        self.status = status
        self.detail = _detail(problem)


class ApiRefusedForNow(ApiRefused):
    """A refusal that passes with time: a rate limit, or a part of the server is unavailable."""

    retryable = True


class Api:
    """Calls with a key. Raises `NotRunning`, `ConnectionLost` or `ApiRefused`; may be used from several threads."""

    def __init__(self, url: str, key: str | None, origin: str = "FOOTNOTE_API_URL") -> None:
        """`origin`: where the address was configured, for messages."""
        self.url = url.rstrip("/")
        self._origin = origin
        try:
            self.is_local = is_loopback(self.url)
            self._http = httpx2.Client(
                base_url=self.url,
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=httpx2.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS, pool=None),
                trust_env=not self.is_local,
            )
        except httpx2.InvalidURL as error:
            raise Invalid("invalid_setting", f"{origin}: {error}.") from error

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, *, also: int | None = None, **params: Any) -> Json:
        """The reply's JSON object. `also` is a status beside 2xx that is an answer and no error."""
        return self._call("GET", path, also=also, params=params)

    def post(self, path: str, body: Json | None = None) -> Json:
        return self._call("POST", path, json=body)

    def ask(self, path: str, body: Json) -> Json:
        """Like `post`, with the patience that a model may need."""
        return self._call("POST", path, silence=ANSWER_SECONDS, json=body)

    def send(self, method: str, path: str, body: Json | None = None) -> Json:
        return self._call(method, path, json=body)

    def delete(self, path: str) -> Json:
        return self._call("DELETE", path)

    def listed(self, path: str, limit: int, **params: Any) -> Json:
        """The first `limit` items of a paged list, and the cursor of what follows."""
        found: list[Json] = []
        cursor: str | None = None
        while len(found) < limit:
            if cursor:
                params["cursor"] = cursor
            page = self.get(path, limit=min(limit - len(found), LARGEST_PAGE), **params)
            found += page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        return {"data": found, "next_cursor": cursor}

    def upload(self, path: Path, fields: dict[str, str], key: str, on_bytes: Callable[[int], None]) -> Json:
        """Streams a file from the disk; `on_bytes` is told how many of its bytes are sent. Raises `OSError` too.

        Calls with the same idempotency `key` add the file once.
        """
        name = path.name.encode("utf-8", "replace").decode()
        headers = {"Idempotency-Key": key}
        with _CountedFile(path, on_bytes) as file:
            return self._call("POST", "/v1/documents", data=fields, files={"file": (name, file)}, headers=headers)

    def estimate(self, path: Path, fields: dict[str, str]) -> Json:
        """What adding the file would take; nothing of it is stored. Raises `OSError` too."""
        name = path.name.encode("utf-8", "replace").decode()
        with path.open("rb") as file:
            return self._call("POST", "/v1/documents/estimate", data=fields, files={"file": (name, file)})

    def events(self, path: str, body: Json) -> Iterator[tuple[str, Json]]:
        """The named server-sent events of a reply, as they arrive."""
        with self._connected(), self._http.stream("POST", path, json=body) as response:
            if not response.is_success:
                response.read()
                raise self._refusal(response)
            # The sources of an answer may be larger than any fixed limit on one event.
            for event in httpx2.EventSource(response, max_event_size=None):
                yield event.event, json.loads(event.data)

    def _call(
        self, method: str, path: str, *, also: int | None = None, silence: float = SILENCE_SECONDS, **request: Any
    ) -> Json:
        timeout = httpx2.Timeout(silence, connect=CONNECT_SECONDS, pool=None)
        with self._connected(silence):
            response = self._http.request(method, path, timeout=timeout, **request)
        if not response.is_success and response.status_code != also:
            raise self._refusal(response)
        body = _json_object(response)
        if body is None:
            raise FootnoteError("not_footnote", f"What answers at {self.url} is not Footnote's API.")
        return body

    def _refusal(self, response: httpx2.Response) -> ApiRefused:
        problem = _json_object(response) or {}
        if "code" not in problem:  # a proxy's answer, or another server's
            what = "is not ready" if response.status_code in _NOT_NOW else "is not Footnote's API"
            problem = {"detail": f"What answers at {self.url} {what} (status {response.status_code})."}
        passes = response.status_code in _NOT_NOW or problem.get("code") == "request_in_flight"
        kind = ApiRefusedForNow if passes else ApiRefused
        return kind(response.status_code, problem, retry_after(response.headers, PATIENCE_SECONDS))

    @contextmanager
    def _connected(self, silence: float = SILENCE_SECONDS) -> Iterator[None]:
        try:
            yield
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise self._not_running(error) from error
        except httpx2.TimeoutException as error:
            message = f"Footnote at {self.url} was silent for {silence:.0f} seconds."
            raise ConnectionLost("connection_lost", message) from error
        except httpx2.HTTPError as error:
            reason = str(error).rstrip(".") or type(error).__name__
            message = f"The connection to {self.url} was lost: {reason}."
            raise ConnectionLost("connection_lost", message) from error

    def _not_running(self, error: Exception) -> NotRunning:
        if self.is_local:
            how = "Start it with `footnote up`, or name another server with `footnote login`."
            return NotRunning("not_running", f"Footnote is not running at {self.url} ({self._origin}). {how}")
        where = f"{self.url} ({self._origin})"
        return NotRunning("not_running", f"Footnote cannot be reached at {where}: {error or 'no connection'}.")


@contextmanager
def open_api() -> Iterator[Api]:
    """The server of the environment, or the stack of the data directory, or the server of the per-user file."""
    settings = Settings()
    found = target(settings)
    api = Api(found.url, found.key, found.origin)
    try:
        if not found.key:
            api.get("/healthz")  # a server that was never started is the likelier reason
        target_with_key(settings)
        yield api
    finally:
        api.close()


def patiently(call: Callable[[], Result], on_wait: Callable[[float, FootnoteError], None]) -> Result:
    """Retries while the error is temporary, after the pause that the server asks for; five minutes in all."""
    lost, tries = 0.0, 0
    while True:
        begun = monotonic()
        try:
            return call()
        except (NotRunning, ConnectionLost, ApiRefusedForNow) as error:
            if lost >= PATIENCE_SECONDS:
                raise
            backoff = min(2**tries, LONGEST_PAUSE) * random.uniform(0.75, 1.25)  # noqa: S311  jitter, no secret
            seconds = error.retry_after or backoff
            lost, tries = lost + monotonic() - begun + seconds, min(tries + 1, 10)
            on_wait(seconds, error)
            pause(seconds)


class _CountedFile(io.BufferedReader):
    """A file that reports how far it has been read; rewinding starts the count again."""

    def __init__(self, path: Path, on_bytes: Callable[[int], None]) -> None:
        super().__init__(io.FileIO(path))
        self._on_bytes = on_bytes

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        self._on_bytes(self.tell())
        return piece


def is_loopback(url: str) -> bool:
    """Whether the address is this machine's own, which no proxy of the environment can reach."""
    host = httpx2.URL(url).host
    return host in ("localhost", "::1") or host.startswith("127.")


def _json_object(response: httpx2.Response) -> Json | None:
    try:
        body = response.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def problem_message(problem: Json) -> str:
    """`detail (code, request id)` of RFC 9457's object, with the fields that are wrong."""
    origin = ", ".join(str(problem[name]) for name in ("code", "request_id") if problem.get(name))
    return f"{_detail(problem)} ({origin})" if origin else _detail(problem)


def _detail(problem: Json) -> str:
    """The problem's own words: its title is only HTTP's."""
    fields = [f"{field.get('field')}: {field.get('message')}" for field in problem.get("errors") or ()]
    return "; ".join(fields) or str(problem.get("detail") or "The server gave no reason.")


def segment(identifier: str) -> str:
    """An id as one segment of a path: a slash in it must not reach another route."""
    return quote(identifier, safe="")
