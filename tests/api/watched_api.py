"""The API in a process of its own, every step of whose event loop is timed: by the processor time of its own thread.

So nothing that others on the machine do counts. What is slow is printed at once, one JSON object a line.
"""

import asyncio
import json
import os
import sys
import time
from asyncio.events import Handle

import uvicorn

SLOW_SECONDS = 0.05

if __name__ == "__main__":
    config = uvicorn.Config(
        "api.app:create_app",
        factory=True,
        http="api.serving.slow_clients:Connection",
        log_config=None,
        port=int(os.environ["PORT"]),
    )
    server = uvicorn.Server(config)
    run = Handle._run

    def timed(handle: Handle) -> None:
        what = handle._callback  # type: ignore[attr-defined]
        began = time.thread_time()
        run(handle)
        took = time.thread_time() - began
        if took > SLOW_SECONDS and server.started:  # before that, no request is served
            task = getattr(what, "__self__", what)
            sys.stdout.write(json.dumps({"milliseconds": round(1000 * took), "what": f"{what!r} {task!r}"}) + "\n")
            sys.stdout.flush()

    Handle._run = timed  # type: ignore[method-assign, assignment]
    asyncio.run(server.serve())
