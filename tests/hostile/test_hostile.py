"""Each hostile file in the limited child: one of the outcomes that are right, and nothing else."""

from pathlib import Path

import pytest

from footnote.errors import FootnoteError
from footnote.formats import is_container
from footnote.formats.sandbox.parent import read_files, read_pages
from footnote.formats.sniffing import HEAD_BYTES, sniff
from footnote.settings import MIB, ParseLimits
from tests.hostile.files import Hostile, everything

pytestmark = pytest.mark.anyio
LIMITS = ParseLimits(cpu_seconds=30, wall_seconds=120, memory_bytes=768 * MIB)


async def outcome(path: Path) -> str:
    try:
        with path.open("rb") as file:
            media_type = sniff(file.read(HEAD_BYTES), path.name)
        async for page in read_pages(path, media_type, LIMITS):
            page.text.encode()
        if is_container(media_type):
            taken = 0
            async for _, pieces in read_files(path, media_type, LIMITS):
                taken += sum([len(piece) async for piece in pieces])
    except FootnoteError as error:
        return error.code
    return "ready"


@pytest.mark.parametrize("file", [file for file in everything() if not file.heavy], ids=lambda file: file.name)
async def test_it_costs_itself_and_nothing_else(file: Hostile, tmp_path: Path) -> None:
    path = tmp_path / file.name
    path.write_bytes(file.make())
    # An archive is read; that nothing in it becomes a document is told where they would be made.
    right = file.outcomes | ({"ready"} if file.name.endswith(".zip") else set())
    assert await outcome(path) in right


def test_there_are_enough_of_them() -> None:
    names = [file.name for file in everything()]
    assert len(names) == len(set(names))
    assert len(names) >= 48
