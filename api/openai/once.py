"""Requests with an `Idempotency-Key`: the same key and request get the same reply and are processed once."""

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from api.openai.routing import POLL_MILLISECONDS
from footnote.documents import idempotency
from footnote.documents.idempotency import Once
from footnote.runtime import Runtime

# Does the work in the transaction; gives the reply, and the document or file that it shows.
Work = Callable[[AsyncSession], Awaitable[tuple[BaseModel, str | None]]]


async def once(rt: Runtime, key: str | None, asked: Any, work: Work) -> JSONResponse:
    """The reply to a request that is the same as an earlier one if `asked` is. Raises Conflict and Invalid."""
    async with idempotency.once(rt, key) if key else nullcontext() as held:
        return replayed(held, asked) or await done(rt, held, asked, work)


def replayed(held: Once | None, asked: Any) -> JSONResponse | None:
    """The earlier reply to the same request, if there is one. Raises Invalid."""
    earlier = held.replay(asked) if held else None
    return None if earlier is None else _sent(earlier, {"Idempotent-Replayed": "true"})


async def done(rt: Runtime, held: Once | None, asked: Any, work: Work) -> JSONResponse:
    """Does the work and stores its reply in one transaction, again if others rolled it back."""

    async def write() -> dict[str, Any]:
        async with rt.transaction() as session:
            made, shown = await work(session)
            reply = made.model_dump(mode="json")
            if held:
                await idempotency.finish(session, held, asked, reply, shown)
        return reply

    return _sent(await rt.again_while_busy(write), {})


def _sent(reply: dict[str, Any], headers: dict[str, str]) -> JSONResponse:
    """Clients read the pause before they ask again as an integer."""
    waits = {"openai-poll-after-ms": str(POLL_MILLISECONDS)} if reply.get("status") == "in_progress" else {}
    return JSONResponse(reply, headers=headers | waits)
