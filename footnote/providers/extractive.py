"""The generator without a model: quotes what answers a question best."""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace

from footnote.extracts import Passage, statement_rows, tables
from footnote.extracts.choosing import choose
from footnote.extracts.constraints import misses
from footnote.extracts.cutting import Extract
from footnote.extracts.question import SUPERLATIVE
from footnote.providers import GenerationRequest, GeneratorEvent, Nearest, Statement, Usage
from footnote.settings import Settings

EXTRACTIVE = "extractive"
MOST_OF_A_PART = 2  # statements

_CODE = re.compile(r"```[^\n`]*\n(?P<code>[^`]+?)\n\s*```")
_BULLET = re.compile(r"^(?:[#>*•-]+\s+)+")


class ExtractiveGenerator:
    provider = EXTRACTIVE
    address = None
    model = EXTRACTIVE

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        """A question in parts is answered part by part; what answers two of them is said once."""
        said: set[tuple[int, str]] = set()
        for part in request.parts or [request.question]:
            # In a thread: ten long passages take a tenth of a second.
            statements, answers = await asyncio.to_thread(_statements, part, request.passages, request.related)
            unlike = [each for each in statements if (each.marker, each.quote) not in said]
            said.update((each.marker, each.quote) for each in unlike)
            if unlike and (request.not_mentioned or request.near_only or not answers):
                yield Nearest(part if request.parts else "")
            for statement in unlike[: MOST_OF_A_PART if request.parts else None]:
                yield statement
        yield Usage(0, 0)

    async def close(self) -> None: ...


def open_generator(settings: Settings) -> ExtractiveGenerator:  # noqa: ARG001  every provider is opened alike
    return ExtractiveGenerator()


def _statements(
    question: str, passages: Sequence[Passage], related: Mapping[str, float]
) -> tuple[list[Statement], bool]:
    """What is quoted, and whether it answers the question: rows of tables if they hold the value, or else extracts."""
    if stated := statement_rows.passages_of(question, passages):
        rows, answers = statement_rows.rows(question, stated)
        if rows:
            return [Statement(row.text, row.marker, row.quote) for row in rows], answers
        return _extracts(choose(statement_rows.core(question), stated).found), False
    rows = tables.rows(question, passages)
    if rows and rows[0].score >= tables.ANSWERS and not SUPERLATIVE.search(question):
        [of] = [each for each in passages if each.marker == rows[0].marker]
        said = replace(of, text=f"{rows[0].text}\n{of.text}")  # with the names of its columns, wherever they stand
        return [Statement(row.text, row.marker, row.quote) for row in rows], not misses(question, said)
    chosen = choose(question, passages, related)
    return _extracts(chosen.found), chosen.answers


def _extracts(found: Sequence[Extract]) -> list[Statement]:
    return [Statement(_readable(each), each.marker, each.text) for each in found]


def _readable(extract: Extract) -> str:
    """One line, ended by a full stop, after the heading of a lone line or an entry; the quote keeps the original.

    Each line of a block of code is marked as code.
    """
    heading, text = extract.label if extract.form == "line" else "", extract.text
    heading = "" if _same(text) in _same(heading) else heading
    if extract.form == "entry":
        heading, _, text = text.partition("\n")
    text = _CODE.sub(_marked, text)
    line = ": ".join(_BULLET.sub("", " ".join(each.split())) for each in (heading.rstrip(" :"), text) if each.strip())
    return line if line.endswith((".", "!", "?", "。", "！", "？", ":", "…")) else line + "."


def _same(text: str) -> str:
    """Its letters and figures: what a heading repeats, perhaps in lines."""
    return re.sub(r"[\W_]+", " ", text).strip()


def _marked(block: re.Match[str]) -> str:
    lines = (line.strip() for line in block["code"].splitlines())
    return " ".join(f"`{line}`" for line in lines if line)
