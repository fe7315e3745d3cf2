"""How soon an answer begins: a chat model's first token through Footnote, and from the model alone."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx2
import uvicorn

from api.app import create_app
from benchmarks.provider import Provider
from footnote.database.redis_client import Shared
from footnote.providers.guarded import guard_generators
from footnote.providers.openai import OpenAIGenerator
from footnote.runtime import Runtime

Work = Callable[[], Awaitable[object]]
TOKENS = ["The ", "lamp ", "burned ", "clear ", '[1: "the lamp burned clear"]', "."]
MODEL = Provider(lambda _asked: TOKENS, first_seconds=0.3, token_seconds=0.02)
QUESTION = "How did the lamp burn at 40 knots?"


async def _until(client: httpx2.AsyncClient, url: str, body: dict[str, object], sign: str) -> None:
    """Until a line of the stream begins so; the connection is closed then."""
    async with client.stream("POST", url, json=body) as response:
        async for line in response.aiter_lines():
            if line.startswith(sign):
                return


@asynccontextmanager
async def first_tokens(rt: Runtime, key: str) -> AsyncIterator[tuple[Work, Work]]:
    """Waiting for the first token: from the model, and for the first `delta` of an answer in the API's stream."""
    async with MODEL.serving() as address:
        settings = rt.settings.model_copy(update={"openai_base_url": address, "answer_cache_seconds": 0.0})
        generator = guard_generators([OpenAIGenerator(settings)], Shared(rt.redis), settings, interactive=True)
        app = create_app(runtime=replace(rt, settings=settings, generator=generator))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none"))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            ours = f"http://127.0.0.1:{listening.getsockname()[1]}/v1/query"
            headers = {"Authorization": f"Bearer {key}"}
            async with httpx2.AsyncClient(headers=headers, timeout=30, trust_env=False) as client:
                asked = {"model": "m", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
                yield (
                    lambda: _until(client, f"{address}/chat/completions", asked, "data:"),
                    lambda: _until(client, ours, {"question": QUESTION, "stream": True}, "event: delta"),
                )
            server.should_exit = True
            await serving
