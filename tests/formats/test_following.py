"""Parsers that read several plain documents of one owner, one after another."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from footnote.formats.sandbox import process
from footnote.formats.sandbox.parent import read_pages
from tests import SAMPLES
from tests.formats.test_parent import LIMITS
from tests.parsers import parser_of, parsers_of, running, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]
TEXT, OTHER = SAMPLES / "log_utf8.txt", SAMPLES / "handbook.pdf"


@pytest.fixture(autouse=True)
async def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_TURN_SECONDS", 5.0)


async def read(path: Path = TEXT, owner: str = "one", media_type: str = "text/plain") -> str:
    return "".join([page.text async for page in read_pages(path, media_type, LIMITS, owner=owner)])


async def gone() -> None:
    """Waits until the parsers have ended by themselves; the sockets of those that waited are closed with them."""
    await until(lambda: not parsers_of("self"))
    for line in process._lines.pop(asyncio.get_running_loop()).values():
        if parser := line.take():
            process._finish(parser)
    await asyncio.gather(*process._ending)


def allowed_seconds(pid: int) -> int:
    """Of the processor."""
    [line] = [each for each in Path(f"/proc/{pid}/limits").read_text().splitlines() if "cpu time" in each]
    return int(line.split()[3])


async def test_plain_documents_of_an_owner_are_read_by_one_process(tmp_path: Path) -> None:
    second = tmp_path / "second.txt"
    second.write_text("Another text.")
    first = await read()
    parser = await parser_of("self")
    assert await read(second) == "Another text."
    assert list(await asyncio.gather(read(), read(second), read())) == [first, "Another text.", first]
    assert parsers_of("self") == {parser}
    await gone()  # by itself


async def test_each_document_has_its_own_time_on_the_processor() -> None:
    await read()
    parser = await parser_of("self")
    assert allowed_seconds(parser) == LIMITS.cpu_seconds
    await read()
    assert allowed_seconds(parser) == LIMITS.cpu_seconds + 1, "what was spent is rounded up"
    await gone()


async def test_no_process_reads_for_two_owners_nor_after_a_file_that_libraries_in_c_read() -> None:
    await read(owner="one")
    first = await parser_of("self")
    await read(owner="two")
    assert len(parsers_of("self") - {first}) == 1
    await gone()
    await read(OTHER, media_type="application/pdf")
    assert not parsers_of("self")
    await read(owner="")
    assert not parsers_of("self")


async def test_a_parser_that_was_killed_while_it_waited_is_replaced() -> None:
    first = await read()
    killed = await parser_of("self")
    os.kill(killed, signal.SIGKILL)
    await until(lambda: not running(killed))
    assert await read() == first
    assert killed not in parsers_of("self")
    await gone()


async def test_a_document_that_is_given_up_takes_its_parser_along_and_none_waits_for_it(endless: Path) -> None:
    process._TURN_SECONDS = 0.05
    endlessly = asyncio.create_task(read(endless))
    parser = await parser_of("self")
    begun = time.monotonic()
    assert await read() == await read(owner="")
    assert time.monotonic() - begun < 30
    endlessly.cancel()
    await asyncio.wait({endlessly})
    assert not running(parser)
    await gone()


async def test_few_parsers_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_MOST_IDLE", 2)
    for owner in "abcd":
        await read(owner=owner)
    await until(lambda: len(parsers_of("self")) == 2)
    await gone()
