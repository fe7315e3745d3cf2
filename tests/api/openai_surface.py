"""The API with OpenAI's official client, over a database of a module's own; a worker works when it is asked to."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import httpx2
import openai
import pytest

from api.app import create_app
from footnote.runtime import Runtime
from footnote.tenancy import keys, tenants
from tests import driving
from tests.conftest import committing, new_database, settings_of

BASE = "http://footnote/openai/v1"


@dataclass(frozen=True)
class Caller:
    """A tenant's key: with OpenAI's client, and natively."""

    tenant: str
    client: openai.AsyncOpenAI
    native: httpx2.AsyncClient


@dataclass(frozen=True)
class Surface:
    rt: Runtime
    ours: Caller
    theirs: Caller

    @property
    def client(self) -> openai.AsyncOpenAI:
        return self.ours.client

    @property
    def native(self) -> httpx2.AsyncClient:
        return self.ours.native

    async def send(self, content: str | bytes, filename: str = "notes.txt", **given: Any) -> str:
        """The id of a new file."""
        encoded = content.encode() if isinstance(content, str) else content
        return (await self.client.files.create(file=(filename, encoded), **{"purpose": "assistants"} | given)).id

    async def work(self) -> None:
        await driving.work(self.rt)

    def working(self) -> AbstractAsyncContextManager[None]:
        return driving.working(self.rt)


@pytest.fixture(scope="module")
async def surface(
    migrated_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Surface]:
    directory = tmp_path_factory.mktemp("surface")
    async with new_database(migrated_url) as url, committing(settings_of(url, redis_url, directory)) as rt:
        app = create_app(runtime=rt)
        app.state.runtime = rt
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        callers = []
        for name in ("ours", "theirs"):
            async with rt.transaction() as session:
                tenant = await tenants.create(session, name)
                _, key = await keys.create(session, tenant.id, name)
            headers = {"Authorization": f"Bearer {key}"}
            native = httpx2.AsyncClient(transport=transport, base_url="http://footnote", headers=headers)
            client = openai.AsyncOpenAI(base_url=BASE, api_key=key, http_client=native, max_retries=0)
            callers.append(Caller(tenant.id, client, native))
        yield Surface(rt, *callers)
        for caller in callers:
            await caller.native.aclose()
