"""How an OpenAI-compatible server is asked: through httpx or only its core, or through the SDK."""

import asyncio
import json
import re
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore2
import httpx2

from footnote.outbound.plain_streams import PlainBackend
from footnote.providers.addresses import BaseUrl
from footnote.providers.dialects import Dialects
from footnote.providers.refusals import ProviderRefusal, Said
from footnote.settings import Settings

if TYPE_CHECKING:
    import openai


_PLAIN = re.compile(r"http://[!-?A-~]+")  # no name and password for the server, nothing that must be quoted
MOST_CONNECTIONS, MOST_IDLE, IDLE_SECONDS = 1000, 100, 5.0


class OpenAIConnection:
    """Our clients and the SDK's, each opened at first use. Models at one address share them: each takes a megabyte."""

    def __init__(self, settings: Settings, address: str) -> None:
        self._settings = settings
        self._address = address
        self._client: openai.AsyncOpenAI | None = None
        self._http: httpx2.AsyncClient | None = None
        self._core: httpcore2.AsyncConnectionPool | None = None
        self._plain_url = lru_cache(maxsize=8)(httpcore2.URL)  # it takes longer to read than to send
        self.dialects = Dialects(address)

    async def client(self) -> "openai.AsyncOpenAI":
        """The SDK's. Raises ProviderRejected for an address that cannot be asked."""
        if self._client is None:
            # In a thread: on a busy machine it takes seconds, while heartbeats and other requests must continue.
            opened = await asyncio.to_thread(self._open)
            self._client = self._client or opened
        return self._client

    async def post(self, path: str, body: dict[str, Any]) -> httpx2.Response:
        """The answer. Only Azure is asked through the SDK: to import it takes 30 MiB and half a second.

        Raises ProviderRefusal or the SDK's error for a status of an error, and httpx's or httpcore's errors.
        """
        if self._base.azure:
            return await (await self.client()).post(path, cast_to=httpx2.Response, body=body)
        query = f"?{urlencode(self._base.query)}" if self._base.query else ""
        url, content = (
            f"{self._base.url}{path}{query}",
            json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
        )
        response = await self._post_plainly(url, content) if self._is_plain else None
        if response is None or response.is_redirect:
            response = await self._post(url, content)
        if not response.is_success:
            raise ProviderRefusal(response.status_code, Said.read(response.content), response)
        return response

    @cached_property
    def _base(self) -> BaseUrl:
        return BaseUrl.read(self._address)

    @cached_property
    def _is_plain(self) -> bool:
        """Whether the server is asked in the clear, without a proxy, and its address needs no translation."""
        parts = urlsplit(self._base.url)
        proxied = getproxies().keys() & {"http", "all"} and not proxy_bypass(parts.hostname or "")
        return _PLAIN.fullmatch(self._base.url) is not None and not proxied

    async def _post(self, url: str, content: bytes) -> httpx2.Response:
        if self._http is None:
            opened = await asyncio.to_thread(self._open_http)
            self._http = self._http or opened
        return await self._http.post(url, content=content)

    async def _post_plainly(self, url: str, content: bytes) -> httpx2.Response:
        """As `_post`, in two thirds of the processor time: what httpx adds to its core is not needed here."""
        if self._core is None:
            self._core = httpcore2.AsyncConnectionPool(
                max_connections=MOST_CONNECTIONS,
                max_keepalive_connections=MOST_IDLE,
                keepalive_expiry=IDLE_SECONDS,
                network_backend=PlainBackend(),
            )
        length = (b"content-length", str(len(content)).encode())
        timeout = {"timeout": self._timeout.as_dict()}
        sent = {"headers": [*self._plain_headers, length], "content": content, "extensions": timeout}
        answer = await self._core.request(b"POST", self._plain_url(url), **sent)
        request = httpx2.Request("POST", url, headers=self._headers) if answer.status >= 400 else None
        return httpx2.Response(answer.status, headers=answer.headers, content=answer.content, request=request)

    @cached_property
    def _plain_headers(self) -> list[tuple[bytes, bytes]]:
        own = {"host": urlsplit(self._base.url).netloc, "accept-encoding": "identity"}
        return [(name.encode(), value.encode("ascii")) for name, value in (self._headers | own).items()]

    def _open_http(self) -> httpx2.AsyncClient:
        limits = httpx2.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=MOST_IDLE)
        return httpx2.AsyncClient(headers=self._headers, timeout=self._timeout, limits=limits, follow_redirects=True)

    @property
    def _headers(self) -> dict[str, str]:
        """Those of the SDK's requests."""
        return {
            "accept": "application/json",
            "authorization": f"Bearer {self._key}",
            "content-type": "application/json",
        }

    @property
    def _key(self) -> str:
        return self._settings.openai_api_key or "none"  # a local server needs no key, but the SDK insists on one

    @property
    def _timeout(self) -> httpx2.Timeout:
        return httpx2.Timeout(self._settings.provider_timeout_seconds, connect=self._settings.provider_connect_seconds)

    def _open(self) -> "openai.AsyncOpenAI":
        import openai

        base = self._base
        options: dict[str, Any] = {
            "api_key": self._key,
            "base_url": base.url,
            "timeout": self._timeout,
            "max_retries": 0,  # the job waits and retries, so that no worker sleeps while it holds a document
            "default_query": base.query,
        }
        if base.by_deployment:
            return openai.AsyncAzureOpenAI(**options, api_version=base.query["api-version"])
        if base.azure:
            options["default_headers"] = {"api-key": self._key}
            options["http_client"] = openai.DefaultAsyncHttpxClient(event_hooks={"request": [_unauthorized]})
        return openai.AsyncOpenAI(**options)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
        if self._http is not None:
            await self._http.aclose()
        if self._core is not None:
            await self._core.aclose()


async def _unauthorized(request: httpx2.Request) -> None:
    """Azure takes the SDK's other header for a token of its directory."""
    request.headers.pop("authorization", None)
