"""Work for somebody who may leave before it is done."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

Result = TypeVar("Result")


async def while_there(request: Request, work: Awaitable[Result]) -> Result:
    """What the work gives; it is cancelled as soon as the client closes the connection.

    The request's body must have been read: nothing but the end of the connection is still to come. Raises
    ClientDisconnect.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return await working
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def to_its_end(work: Awaitable[Result]) -> Result:
    """What the work gives, also if the request is cut off meanwhile: for what is brief and must not be half done."""
    working = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        raise
