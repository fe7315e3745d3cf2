"""The API in a process of its own, every step of whose event loop is timed: by the processor time of its own thread.

So nothing that others on the machine do counts. A step that is slow or imports a module is printed at once, as one JSON
object a line: an import takes longer on another machine, or where its bytecode is not stored yet.
"""

import asyncio
import json
import os
import sys
import time
from asyncio.events import Handle
from threading import current_thread, main_thread

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
    imported: list[str] = []

    class Imports:
        """Finds nothing: notes what the thread of the loop asks for. Other threads may import."""

        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if current_thread() is main_thread():
                imported.append(name)

    sys.meta_path.insert(0, Imports)

    def timed(handle: Handle) -> None:
        what = handle._callback  # type: ignore[attr-defined]
        imported.clear()
        began = time.thread_time()
        run(handle)
        took = time.thread_time() - began
        if (imported or took > SLOW_SECONDS) and server.started:  # before that, no request is served
            step = {"milliseconds": round(1000 * took), "imported": imported, "what": repr(what)}
            sys.stdout.write(json.dumps(step) + "\n")
            sys.stdout.flush()

    Handle._run = timed  # type: ignore[method-assign, assignment]
    asyncio.run(server.serve())
