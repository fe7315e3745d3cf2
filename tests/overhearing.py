"""Records the commands that Redis gets."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from redis.asyncio import Redis

BODY = re.compile(r'(?<="body": ")([A-Za-z0-9+/=]+)(?=")')  # of a message or an event of Celery, as base64


@asynccontextmanager
async def overheard(redis: Redis) -> AsyncIterator[list[str]]:
    """Every command that Redis gets during the block, with its arguments; complete after the block."""
    passed: list[str] = []
    last = uuid4().hex

    async with redis.monitor() as monitor:

        async def listen() -> None:
            async for each in monitor.listen():
                passed.append(BODY.sub(lambda body: base64.b64decode(body[1]).decode(), each["command"]))
                if last in passed[-1]:
                    return

        listening = asyncio.create_task(listen())
        yield passed
        await redis.echo(last)
        await listening
