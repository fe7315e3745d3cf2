"""How soon an answer begins: a chat model's first token through Footnote, and from the model alone."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import httpx2
import uvicorn

from api.app import create_app
from footnote.database.redis_client import Shared
from footnote.providers.guarded import guard_generators
from footnote.providers.openai import OpenAIGenerator
from footnote.runtime import Runtime

Work = Callable[[], Awaitable[object]]
FIRST_SECONDS, TOKEN_SECONDS = 0.3, 0.02
TOKENS = ["The ", "lamp ", "burned ", "clear ", '[1: "the lamp burned clear"]', "."]
QUESTION = "How did the lamp burn at 40 knots?"


async def _model(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A chat model at its own pace, whatever it is asked."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
    await asyncio.sleep(FIRST_SECONDS)
    with suppress(ConnectionError):  # the client has seen enough
        for token in [*TOKENS, None]:
            choice = {"index": 0, "delta": {"content": token or ""}, "finish_reason": None if token else "stop"}
            piece = {"id": "1", "object": "chat.completion.chunk", "choices": [choice]}
            writer.write(f"data: {json.dumps(piece)}\n\n".encode())
            await writer.drain()
            await asyncio.sleep(TOKEN_SECONDS)
        writer.write(b"data: [DONE]\n\n")
    writer.close()


async def _until(client: httpx2.AsyncClient, url: str, body: dict[str, object], sign: str) -> None:
    """Until a line of the stream begins so; the connection is closed then."""
    async with client.stream("POST", url, json=body) as response:
        async for line in response.aiter_lines():
            if line.startswith(sign):
                return


@asynccontextmanager
async def first_tokens(rt: Runtime, key: str) -> AsyncIterator[tuple[Work, Work]]:
    """Waiting for the first token: from the model, and for the first `delta` of an answer in the API's stream."""
    async with await asyncio.start_server(_model, "127.0.0.1", 0) as model:
        address = f"http://127.0.0.1:{model.sockets[0].getsockname()[1]}/v1"
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
