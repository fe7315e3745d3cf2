"""The generator without a model: quotes the sentences that answer a question best."""

import asyncio
import re
from collections.abc import AsyncGenerator

from footnote.extracts import tables
from footnote.extracts.choosing import choose
from footnote.extracts.pieces import Piece
from footnote.extracts.question import understood
from footnote.providers import GenerationRequest, GeneratorEvent, Nearest, Statement, Usage
from footnote.settings import Settings

EXTRACTIVE = "extractive"

_ASK_VALUES = frozenset(("value", "compare", "fact"))  # kinds of questions
_BULLET = re.compile(r"^(?:[#>*•-]+\s+)+")


class ExtractiveGenerator:
    provider = EXTRACTIVE
    address = None
    model = EXTRACTIVE

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        # In a thread: ten long passages take a tenth of a second.
        statements, answers = await asyncio.to_thread(_statements, request)
        if statements and (request.not_mentioned or not answers):
            yield Nearest()
        for statement in statements:
            yield statement
        yield Usage(0, 0)

    async def close(self) -> None: ...


def open_generator(settings: Settings) -> ExtractiveGenerator:  # noqa: ARG001  every provider is opened alike
    return ExtractiveGenerator()


def _statements(request: GenerationRequest) -> tuple[list[Statement], bool]:
    """What is quoted, and whether it answers the question: rows of tables if they hold the value, or else sentences."""
    asks_value = understood(request.question).kind in _ASK_VALUES
    rows = tables.rows(request.question, request.passages) if asks_value else []
    if rows and rows[0].score >= tables.ANSWERS:
        return [Statement(row.text, row.marker, row.quote) for row in rows], True
    found = choose(request.question, request.passages)
    return [Statement(_said(piece), piece.marker, piece.text) for piece in found.pieces], found.answers


def _said(piece: Piece) -> str:
    label = f"{piece.label}: " if piece.is_line and piece.label else ""
    return label + _readable(piece.text)


def _readable(sentence: str) -> str:
    """One line, ended by a full stop; the quote keeps the original."""
    line = _BULLET.sub("", " ".join(sentence.split()))
    return line if line.endswith((".", "!", "?", "。", "！", "？", ":", "…")) else line + "."
