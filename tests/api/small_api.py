"""Processes of a server as `python -m api` has them, over an application that needs no database.

`/` answers with the process's number; `/slow` when the file SLOW is gone; `/hang` stops the whole process.
"""

import asyncio
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import anyio
import uvicorn
from starlette.types import Receive, Scope, Send

from api.serving.processes import Processes
from api.serving.server import ApiServer


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        assert (await receive())["type"] == "lifespan.startup"
        settings = SimpleNamespace(drain_notice_seconds=0)
        scope["state"]["runtime"] = SimpleNamespace(stopping=asyncio.Event(), settings=settings)
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/hang":
        time.sleep(1000)
    while scope["path"] == "/slow" and Path(os.environ["SLOW"]).exists():
        await anyio.sleep(0.02)
    body = str(os.getpid()).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    if scope["state"]["runtime"].stopping.is_set():
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    config = uvicorn.Config(
        "tests.api.small_api:app",
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        workers=int(os.environ["WEB_CONCURRENCY"]),
        http="api.serving.slow_clients:Connection",
        ws="none",
        access_log=False,
        timeout_keep_alive=1,
        timeout_graceful_shutdown=int(os.environ["DRAIN"]),
        timeout_worker_healthcheck=30,
    )
    if config.workers == 1:
        ApiServer(config).run()
    else:
        sys.exit(Processes(config, [config.bind_socket()]).run())
