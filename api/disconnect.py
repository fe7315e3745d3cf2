"""Work for a client that may disconnect before it is done."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from anyio import CancelScope
from fastapi import Request
from starlette.requests import ClientDisconnect

Result = TypeVar("Result")


async def while_connected(request: Request, work: Awaitable[Result]) -> Result:
    """Returns the result of the work, which is cancelled as soon as the client closes the connection.

    The request's body must have been read before. Raises ClientDisconnect.
    """
    working, disconnected = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({working, disconnected}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return await working
    finally:
        for task in (working, disconnected):
            task.cancel()
        await asyncio.gather(working, disconnected, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def to_completion(work: Awaitable[Result]) -> Result:
    """Returns the result of the work, which runs to its end even if the request is cancelled. For short work only."""
    working = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        raise


async def in_own_task(work: Awaitable[Result]) -> Result:
    """Returns the result of the work. A cancellation of the caller cancels the work, which has ended when this returns.

    The shield is needed because a task group of anyio cancels repeatedly whatever waits in it; the work is cancelled
    once, so that it can roll back and close what it opened.
    """
    working = asyncio.ensure_future(work)
    try:
        await asyncio.wait({working})
    finally:
        if not working.done():
            working.cancel()
            with CancelScope(shield=True):
                await asyncio.wait({working})
    return working.result()
