"""The generator without a model: quotes the sentences that answer a question best."""

import asyncio
import re
from collections.abc import AsyncGenerator

from footnote.extracts.choosing import choose
from footnote.extracts.question import STOP as STOP
from footnote.providers import GenerationRequest, GeneratorEvent, Statement, Usage
from footnote.settings import Settings

_BULLET = re.compile(r"^(?:[#>*•-]+\s+)+")


class ExtractiveGenerator:
    provider = "extractive"
    address = None
    model = "extractive"

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        # In a thread: ten long passages take a tenth of a second.
        found = await asyncio.to_thread(choose, request.question, request.passages)
        for piece in found.pieces:
            yield Statement(_readable(piece.text), piece.marker, piece.text)
        yield Usage(0, 0)

    async def close(self) -> None: ...


def open_generator(settings: Settings) -> ExtractiveGenerator:  # noqa: ARG001  every provider is opened alike
    return ExtractiveGenerator()


def _readable(sentence: str) -> str:
    """One line, ended by a full stop; the quote keeps the original."""
    line = _BULLET.sub("", " ".join(sentence.split()))
    return line if line.endswith((".", "!", "?", "。", "！", "？", ":", "…")) else line + "."
