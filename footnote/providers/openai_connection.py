"""How an OpenAI-compatible server is asked: through httpx, or through the SDK."""

import asyncio
from typing import TYPE_CHECKING, Any

import httpx2

from footnote.providers.addresses import BaseUrl
from footnote.providers.dialects import Dialects
from footnote.providers.refusals import ProviderMessage, ProviderRefusal
from footnote.settings import Settings

if TYPE_CHECKING:
    import openai


class OpenAIConnection:
    """Our client and the SDK's, each opened at first use. Models at one address share them: each takes a megabyte."""

    def __init__(self, settings: Settings, address: str) -> None:
        self._settings = settings
        self._address = address
        self._client: openai.AsyncOpenAI | None = None
        self._http: httpx2.AsyncClient | None = None
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

        Raises ProviderRefusal or the SDK's error for a status of an error, and httpx's errors.
        """
        base = BaseUrl.read(self._address)
        if base.azure:
            return await (await self.client()).post(path, cast_to=httpx2.Response, body=body)
        if self._http is None:
            opened = await asyncio.to_thread(self._open_http)
            self._http = self._http or opened
        response = await self._http.post(base.url + path, params=base.query or None, json=body)
        if not response.is_success:
            raise ProviderRefusal(response.status_code, ProviderMessage.read(response.content), response)
        return response

    def _open_http(self) -> httpx2.AsyncClient:
        limits = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)
        return httpx2.AsyncClient(headers=self._headers, timeout=self._timeout, limits=limits, follow_redirects=True)

    @property
    def _headers(self) -> dict[str, str]:
        """Those of the SDK's requests."""
        return {"accept": "application/json", "authorization": f"Bearer {self._key}"}

    @property
    def _key(self) -> str:
        return self._settings.openai_api_key or "none"  # a local server needs no key, but the SDK insists on one

    @property
    def _timeout(self) -> httpx2.Timeout:
        return httpx2.Timeout(self._settings.provider_timeout_seconds, connect=self._settings.provider_connect_seconds)

    def _open(self) -> "openai.AsyncOpenAI":
        import openai

        base = BaseUrl.read(self._address)
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


async def _unauthorized(request: httpx2.Request) -> None:
    """Azure takes the SDK's other header for a token of its directory."""
    request.headers.pop("authorization", None)
