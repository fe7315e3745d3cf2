"""The parser's process: what comes out of it, and what is left of it."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvloop

from footnote.errors import DocumentRejected, ParserUnavailable
from footnote.formats import ParsedPage, module_for, paginate
from footnote.formats.sandbox import frames, parent, process, starting
from footnote.formats.sandbox.parent import read_pages
from footnote.formats.sniffing import DOCX, sniff
from footnote.settings import ParseLimits
from tests import ROOT, SAMPLES
from tests.parsers import parser_of, parsers_of, running, servers_of, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]

LIMITS = ParseLimits(cpu_seconds=20, wall_seconds=60, memory_bytes=768 * 1024 * 1024)


async def pages_of(path: Path, media_type: str = "text/plain", limits: ParseLimits = LIMITS) -> list[ParsedPage]:
    return [page async for page in read_pages(path, media_type, limits)]


async def rejection(path: Path, media_type: str = "text/plain", limits: ParseLimits = LIMITS) -> DocumentRejected:
    with pytest.raises(DocumentRejected) as caught:
        await pages_of(path, media_type, limits)
    return caught.value


async def test_a_text_in_which_there_is_nothing_to_see_has_no_text(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("\u200b\u200d \n\ufeff\u00ad\u2060" * 20, encoding="utf-8")
    assert (await rejection(path)).code == "no_text"


async def test_a_guessed_encoding_comes_with_the_page(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(("Der Wärter prüft täglich das Öl in der Küche. " * 3).encode("cp850"))
    (page,) = await pages_of(path)
    assert [guess.encoding for guess in page.guesses] == ["cp850"]


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("name", ["handbook.pdf", "boats.docx", "weather.md", "visitors.html", "log_cp1252.txt"])
async def test_pages_are_those_of_the_parser(name: str) -> None:
    path = SAMPLES / name
    media_type = sniff(path.read_bytes(), name)
    read = [replace(page, guesses=()) for page in await pages_of(path, media_type)]
    assert read == list(paginate(module_for(media_type).parse(path)))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("encrypted.pdf", "encrypted"),
        ("truncated.pdf", "corrupt_file"),
        ("no_text.pdf", "no_text"),
        ("not_a_pdf.pdf", "corrupt_file"),
    ],
)
async def test_the_parsers_verdict_arrives(name: str, code: str) -> None:
    assert (await rejection(SAMPLES / name, "application/pdf")).code == code


async def test_a_file_without_text(tmp_path: Path) -> None:
    path = tmp_path / "blank.txt"
    path.write_text(" \n\t\n")
    assert (await rejection(path)).code == "no_text"


async def test_an_unexpected_exception_is_the_documents_fault(tmp_path: Path) -> None:
    error = await rejection(tmp_path / "gone.txt")
    assert error.code == "corrupt_file"
    assert "FileNotFoundError" in error.__notes__[0]


async def test_a_page_larger_than_any_buffer(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("lamp ö " * 2_000_000)
    (page,) = await pages_of(path)
    assert len(page.text) == 14_000_000


@pytest.mark.usefixtures("either")
async def test_silence_is_ended(endless: Path) -> None:
    limits = ParseLimits(cpu_seconds=20, wall_seconds=3, memory_bytes=LIMITS.memory_bytes)
    assert (await rejection(endless, limits=limits)).code == "too_complex"


@pytest.mark.usefixtures("either")
async def test_cpu_time_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "slow.md"
    path.write_text("> a\n\n" * 2_000_000)
    limits = ParseLimits(cpu_seconds=1, wall_seconds=60, memory_bytes=4 * LIMITS.memory_bytes)
    assert (await rejection(path, "text/markdown", limits)).code == "too_complex"


async def test_cpu_time_grows_with_pages() -> None:
    out = subprocess.run([sys.executable, "-c", GROWING], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.split() == ["5", "7", "11"], "a second for 20 pages, two for each that was drawn"


GROWING = """
import resource, sys
from pathlib import Path
from typing import TypeVar
from footnote.formats import Block
from footnote.formats.sandbox import child
from footnote.formats.ocr import Ocr

def drawn(path, ocr):
    for page in range(1, 4):
        ocr.read(page, "", None)
        yield Block("x", page)

class Scans:
    parse, render = staticmethod(drawn), None

child.module_for = lambda _: type("", (), {"parse": lambda path: (Block("x", page) for page in range(1, 46))})
resource.setrlimit(resource.RLIMIT_CPU, (5, resource.getrlimit(resource.RLIMIT_CPU)[1]))
print(resource.getrlimit(resource.RLIMIT_CPU)[0])
list(child._pages("x", Path("x"), 5, Ocr("", 1.0)))
print(resource.getrlimit(resource.RLIMIT_CPU)[0])
child.module_for = lambda _: Scans
list(child._pages("x", Path("x"), 5, Ocr("", 1.0)))
print(resource.getrlimit(resource.RLIMIT_CPU)[0])
"""


async def test_memory_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "wide.txt"
    path.write_text("lamp " * 12_000_000)
    limits = ParseLimits(cpu_seconds=20, wall_seconds=60, memory_bytes=128 * 1024 * 1024)
    assert (await rejection(path, limits=limits)).code == "too_complex"


@pytest.mark.usefixtures("either")
async def test_a_child_killed_from_outside_says_nothing_about_the_document(endless: Path) -> None:
    task = asyncio.create_task(pages_of(endless))
    os.kill(await parser_of("self"), signal.SIGKILL)
    with pytest.raises(ParserUnavailable, match="killed"):
        await task


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGABRT, "too_complex"), (signal.SIGSEGV, "corrupt_file")])
async def test_a_killed_child(
    endless: Path, number: signal.Signals, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, frame = asyncio.Event(), process._frame

    async def noted(*given: Any) -> Any:
        found = await frame(*given)
        begun.set()
        return found

    monkeypatch.setattr(process, "_frame", noted)
    task = asyncio.create_task(rejection(endless))
    child = await parser_of("self")
    await begun.wait()
    os.kill(child, number)
    assert (await task).code == code


@pytest.mark.usefixtures("either")
async def test_a_child_that_cannot_start_says_nothing_about_the_document(
    endless: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starting.stop()
    monkeypatch.setattr("footnote.formats.sandbox.starting.sys.executable", "/bin/false")
    with pytest.raises(ParserUnavailable, match=r"did not start.* ended with status 1"):
        await pages_of(endless)


@pytest.fixture(scope="module")
def server_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    """The event loop that uvicorn chooses."""
    uvloop.new_event_loop().close()  # the first one of a process opens a pipe for signals, which stays
    return uvloop.new_event_loop


@pytest.mark.usefixtures("either")
def test_the_event_loop_of_the_server_starts_and_ends_it_too(
    server_loop: Callable[[], asyncio.AbstractEventLoop], endless: Path
) -> None:
    impatient = replace(LIMITS, wall_seconds=1)
    with asyncio.Runner(loop_factory=server_loop) as runner:
        assert len(runner.run(pages_of(SAMPLES / "handbook.pdf", "application/pdf"))) > 1
        assert runner.run(rejection(endless, limits=impatient)).code == "too_complex"


@pytest.mark.usefixtures("either")
async def test_cancellation_ends_the_child(endless: Path) -> None:
    task = asyncio.create_task(pages_of(endless))
    await parser_of("self")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancel_scope_that_cancels_every_await(endless: Path) -> None:
    with anyio.move_on_after(0.5):
        await pages_of(endless)
    await until(lambda: not parsers_of("self"))


@pytest.mark.usefixtures("either")
async def test_leaving_early_ends_the_child(tmp_path: Path) -> None:
    async with contextlib.aclosing(read_pages(SAMPLES / "handbook.pdf", "application/pdf", LIMITS)) as pages:
        async for page in pages:
            assert page.number == 1
            break


async def test_the_child_dies_with_its_parent(endless: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path\n"
        "from footnote.formats.sandbox.parent import read_pages; from footnote.settings import ParseLimits\n"
        "async def main():\n"
        f"    async for _ in read_pages(Path({str(endless)!r}), 'text/plain', ParseLimits(20, 60, 2**30)): pass\n"
        "asyncio.run(main())"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        child = await parser_of(parent.pid)
        (server,) = servers_of(parent.pid)
        parent.kill()
    finally:
        parent.kill()
        parent.wait()
    await until(lambda: not running(child) and not running(server))


async def test_an_ended_child_is_no_surprise_to_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(20):
        await pages_of(SAMPLES / "log_utf8.txt")
    assert caplog.messages == []


@pytest.mark.usefixtures("either")
async def test_the_environment_is_not_handed_on(monkeypatch: pytest.MonkeyPatch, endless: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    task = asyncio.create_task(pages_of(endless))
    environment = Path(f"/proc/{await parser_of('self')}/environ")
    assert b"sk-secret" not in await until(environment.read_bytes)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_xml_that_does_not_fit_memory_is_not_called_damaged(tmp_path: Path) -> None:
    paragraphs = "".join(f"<w:p><w:r><w:t>{number}</w:t></w:r></w:p>" for number in range(200_000))
    path = tmp_path / "wide.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", f'<w:document xmlns:w="w"><w:body>{paragraphs}</w:body></w:document>')
    limits = ParseLimits(cpu_seconds=20, wall_seconds=60, memory_bytes=160 * 1024 * 1024)
    assert (await rejection(path, DOCX, limits)).code == "too_complex"


TAKEN_OVER = """
import sys
from footnote.formats.sandbox import child, fork_server
def answer(out, request):
    out.write(open(request.path, "rb").read())
    out.flush()
child._answer = answer
fork_server.main(int(sys.argv[1]))
"""


@pytest.mark.parametrize(
    "sent",
    [
        frames._LENGTHS.pack(LIMITS.memory_bytes, 1),
        frames._LENGTHS.pack(2, 2**63),
        frames._LENGTHS.pack(4, 0) + b"what",
        frames._LENGTHS.pack(1, 0) + b"\xff",
        frames._LENGTHS.pack(2, 0) + b"[]",
    ],
)
async def test_what_a_parser_sends_is_not_trusted(sent: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spawn(module: str, *, descriptors: tuple[int, ...]) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", TAKEN_OVER, *map(str, descriptors)]
        return subprocess.Popen(command, env=starting.environment(), pass_fds=descriptors, start_new_session=True)

    starting.stop()
    monkeypatch.setattr(starting, "_spawn", spawn)
    path = tmp_path / "sent"
    path.write_bytes(sent)
    error = await rejection(path)
    starting.stop()
    assert error.code == "corrupt_file"
    assert "what it should not" in error.__notes__[0]


@pytest.mark.parametrize(("headings", "beside"), [(20, False), (20_000, True)])
async def test_a_page_with_many_headings_is_made_beside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, headings: int, beside: bool
) -> None:
    """It would hold the loop up for seconds, and on a busy machine the worker's lease would end."""
    path = tmp_path / "many.md"
    path.write_text("".join(f"{'#' * (n % 6 + 1)} H{n}\n" for n in range(headings)))
    beside_it: list[bool] = []
    make = parent._page

    def making(*given: Any) -> ParsedPage:
        beside_it.append(threading.current_thread() is not threading.main_thread())
        return make(*given)

    monkeypatch.setattr(parent, "_page", making)
    (page,) = await pages_of(path, "text/markdown")
    assert len(page.sections) >= headings
    assert beside_it == [beside]
