"""Pages that are pictures: what is read of them, and what becomes of the program that reads."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from ast import literal_eval
from pathlib import Path

import pytest

from footnote.errors import DocumentRejected, ParserUnavailable
from footnote.formats import ParsedPage, Scan, ocr
from footnote.formats.ocr import OcrWord
from footnote.formats.sandbox.parent import read_pages
from footnote.settings import ParseLimits, Settings
from tests import ROOT
from tests.parsers import parser_of, running, servers_of, until
from tests.samples.make_samples import pdf
from tests.scans import ANCHOR, LETTER, SIZE, StandIn, drawn, nowhere, scan

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]
MEMORY = 768 * 1024 * 1024
installed = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")


@pytest.fixture
def tesseract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    return StandIn(tmp_path / "bin", monkeypatch)


@pytest.fixture
def three(tmp_path: Path) -> Path:
    return scan(tmp_path / "scan.pdf", *(drawn(f"Page {number}") for number in (1, 2, 3)))


def limits(languages: str = "eng", *, cpu: int = 20, wall: int = 60) -> ParseLimits:
    return ParseLimits(cpu, wall, MEMORY, languages)


async def pages_of(path: Path, given: ParseLimits | None = None, after: int = 0) -> list[ParsedPage]:
    return [page async for page in read_pages(path, "application/pdf", given or limits(), after=after)]


async def rejection(path: Path, given: ParseLimits | None = None) -> DocumentRejected:
    with pytest.raises(DocumentRejected) as caught:
        await pages_of(path, given)
    return caught.value


def texts(pages: list[ParsedPage]) -> list[str]:
    return [page.text for page in pages]


def words(page: ParsedPage) -> list[str]:
    assert page.scan is not None
    return [page.text[start:end] for start, end, *_ in page.scan.words]


async def test_words_are_read_with_their_places(tesseract: StandIn, three: Path) -> None:
    tesseract.install()
    pages = await pages_of(three)
    assert texts(pages) == ["The lamp of page1", "The lamp of page2", "The lamp of page3"]
    assert words(pages[1]) == ["The", "lamp", "of", "page2"]
    assert pages[1].scan is not None
    assert pages[1].scan.languages == "eng"
    width, height = 850 * 3, 1100 * 3
    expected = [100 / width, 200 / height, 200 / width, 250 / height]
    assert list(pages[1].scan.words[0][2:]) == pytest.approx(expected, rel=0.01)


async def test_how_the_program_is_asked(tesseract: StandIn, three: Path) -> None:
    tesseract.install(
        "import resource\n"
        "limits = [resource.getrlimit(what)[0] for what in (resource.RLIMIT_CPU, resource.RLIMIT_AS)]\n"
        "(here / 'found').write_text(repr((dict(os.environ), limits)))"
    )
    await pages_of(three, limits("eng+osd"))
    _, arguments, head = literal_eval(tesseract.path("asked-1").read_text())
    assert arguments[:4] == ["stdin", "stdout", "-l", "eng+osd"]
    assert arguments[arguments.index("--dpi") + 1] == "300"
    assert re.match(rb"P5\n25\d\d 330\d\n255\n", head), "a picture in shades of grey, 300 dots an inch"
    environment, (cpu, memory) = literal_eval(tesseract.path("found").read_text())
    assert environment["OMP_THREAD_LIMIT"] == "1"
    assert 20 <= cpu <= 26
    assert MEMORY <= memory <= MEMORY + 128 * 1024 * 1024, "the parser's: what it was forked with comes on top"


async def test_lines_become_paragraphs_and_split_words_are_joined(tesseract: StandIn, three: Path) -> None:
    tesseract.install(
        "write(word(1, 'A'), word(1, 'light-'), word(2, 'house'), word(2, 'North-'), word(3, 'East'),"
        " word(4, 'new', paragraph=2), word(5, 'sAs!', confidence=12, paragraph=3), word(6, ' ', paragraph=4),"
        " (5, 'x'), (5, *'abcdefghijk'))\n"
        "sys.exit()"
    )
    first, *_ = await pages_of(three)
    assert first.text == "A lighthouse North-\nEast\n\nnew"
    assert words(first) == ["A", "light", "house", "North-", "East", "new"]


async def test_pages_with_text_are_left_alone(tesseract: StandIn, tmp_path: Path) -> None:
    tesseract.install()
    path = tmp_path / "text.pdf"
    path.write_bytes(pdf([("Title", "The keeper climbs the stairs."), ("Empty", "")]))
    pages = await pages_of(path)
    assert "keeper" in pages[0].text
    assert [page.scan for page in pages] == [None, None]
    assert tesseract.asked() == 0


async def test_a_stamp_on_a_scan_does_not_keep_it_from_being_read(tesseract: StandIn, tmp_path: Path) -> None:
    tesseract.install()
    path = stamped(tmp_path / "stamped.pdf", "Copy", "Scanned by a machine with a name longer")
    first, second = await pages_of(path)
    assert first.text == "The lamp of page1"
    assert (second.text, second.scan) == ("Scanned by a machine with a name longer", None), "it said more than the scan"
    assert tesseract.asked() == 2


def stamped(path: Path, *stamps: str) -> Path:
    """Text over pictures that fill their pages."""
    content = pdf([(stamp, "") for stamp in stamps])
    picture = b"q 595 0 0 842 0 0 cm BI /W 2 /H 2 /CS /G /BPC 8 /F /AHx ID 00FFFF00> EI Q\n"
    # Offsets and lengths are off now; readers mend that.
    path.write_bytes(re.sub(rb"/Length \d+ >>\nstream\nBT", b"/Length 999 >>\nstream\n" + picture + b"BT", content))
    return path


async def test_what_was_read_before_is_not_read_again(tesseract: StandIn, three: Path) -> None:
    tesseract.install()
    assert [page.number for page in await pages_of(three, after=2)] == [3]
    assert tesseract.asked() == 1


async def test_switched_off_nothing_is_started(tesseract: StandIn, three: Path) -> None:
    tesseract.install()
    error = await rejection(three, limits(""))
    assert (error.code, "install" in error.message) == ("no_text", False)
    assert tesseract.asked() == 0


async def test_without_the_program_a_scan_says_what_to_install(
    three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere(monkeypatch, tmp_path / "nothing")
    error = await rejection(three)
    assert error.code == "no_text"
    assert "install tesseract (Debian: tesseract-ocr" in error.message
    empty = tmp_path / "empty.pdf"
    empty.write_bytes(pdf([("", "")]))
    assert "install" not in (await rejection(empty)).message


async def test_pictures_without_text_say_so(tesseract: StandIn, three: Path) -> None:
    tesseract.install("write()\nsys.exit()")
    error = await rejection(three)
    assert error.code == "no_text"
    assert "nor could any be read in its pictures" in error.message


async def test_a_language_without_data_is_named(tesseract: StandIn, three: Path) -> None:
    tesseract.install()
    error = await rejection(three, limits("eng+chi_sim"))
    assert error.code == "ocr_unusable"
    assert "no data for chi_sim" in error.message
    assert "tesseract-ocr-chi-sim" in error.message
    assert tesseract.asked() == 0


@pytest.mark.parametrize("listing", ["sys.exit(1)", "time.sleep(60)"])
async def test_a_program_that_cannot_even_list_its_languages(tesseract: StandIn, three: Path, listing: str) -> None:
    tesseract.install(listing=listing)
    assert (await rejection(three, limits(wall=9))).code == "ocr_unusable"


@pytest.mark.parametrize(
    "behaviour",
    [
        "sys.exit(1)",
        "os.abort()",
        "os.kill(os.getpid(), signal.SIGSEGV)",
        "sys.stdout.buffer.write(os.urandom(100_000))\nsys.exit()",
        "while True: pass",
        "time.sleep(60)",
        "hoard = bytearray(2 * 1024**3)",
    ],
    ids=["fails", "aborts", "crashes", "garbage", "burns", "hangs", "hoards"],
)
async def test_a_page_that_cannot_be_read_is_passed_over(tesseract: StandIn, three: Path, behaviour: str) -> None:
    indented = "\n    ".join(behaviour.splitlines())
    tesseract.install(f"if number == 2:\n    {indented}")
    given = {"while True: pass": limits(cpu=1), "time.sleep(60)": limits(wall=9)}.get(behaviour)
    pages = await pages_of(three, given)
    assert texts(pages) == ["The lamp of page1", "", "The lamp of page3"]
    pid = literal_eval(tesseract.path("asked-2").read_text())[0]
    await until(lambda: not running(pid))


async def test_pages_that_all_hang_are_no_silence(tesseract: StandIn, tmp_path: Path) -> None:
    tesseract.install("time.sleep(60)")
    two = scan(tmp_path / "two.pdf", drawn("Page 1"), drawn("Page 2"))
    assert (await rejection(two, limits(wall=12))).code == "no_text"
    assert tesseract.asked() == 2


async def test_a_program_killed_from_outside_says_nothing_about_the_page(tesseract: StandIn, three: Path) -> None:
    tesseract.install("os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(ParserUnavailable, match="killed"):
        await pages_of(three)


async def hanging(tesseract: StandIn) -> int:
    def pid() -> int:
        with contextlib.suppress(FileNotFoundError, SyntaxError):
            return int(literal_eval(tesseract.path("asked-1").read_text())[0])
        return 0

    return await until(pid)


async def test_cancellation_ends_the_program(tesseract: StandIn, three: Path) -> None:
    tesseract.install("time.sleep(60)")
    task = asyncio.create_task(pages_of(three))
    pid = await hanging(tesseract)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not running(pid))


async def test_the_program_dies_with_the_child(tesseract: StandIn, three: Path) -> None:
    tesseract.install("time.sleep(60)")
    task = asyncio.create_task(pages_of(three))
    pid = await hanging(tesseract)
    os.kill(await parser_of("self"), signal.SIGKILL)
    with pytest.raises(ParserUnavailable, match="killed"):
        await task
    await until(lambda: not running(pid))


async def test_the_program_dies_with_the_fork_server(tesseract: StandIn, three: Path) -> None:
    tesseract.install("time.sleep(60)")
    task = asyncio.create_task(pages_of(three))
    pid = await hanging(tesseract)
    (server,) = servers_of("self")
    os.kill(server, signal.SIGKILL)
    with pytest.raises(ParserUnavailable, match="killed"):
        await task
    await until(lambda: not running(pid))


async def test_the_program_dies_with_the_worker(tesseract: StandIn, three: Path) -> None:
    tesseract.install("time.sleep(60)")
    code = (
        "import asyncio, sys; from pathlib import Path\n"
        "from footnote.formats.sandbox.parent import read_pages; from footnote.settings import ParseLimits\n"
        "async def main():\n"
        "    limits = ParseLimits(20, 60, 2**30, 'eng')\n"
        f"    async for _ in read_pages(Path({str(three)!r}), 'application/pdf', limits): pass\n"
        "asyncio.run(main())"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        pid = await hanging(tesseract)
    finally:
        parent.kill()
        parent.wait()
    await until(lambda: not running(pid))


def test_boxes_cover_the_lines_of_a_quote() -> None:
    scanned = [
        (0, 3, 0.1, 0.1, 0.2, 0.15),
        (4, 8, 0.25, 0.11, 0.4, 0.14),
        (9, 11, 0.1, 0.2, 0.15, 0.25),
        (12, 16, 0.2, 0.2, 0.3, 0.25),
    ]
    text = "The lamp\nis lit."
    lines = [[0.1, 0.1, 0.4, 0.15], [0.1, 0.2, 0.3, 0.25]]
    assert ocr.boxes(scanned, text, 0, 16) == lines
    assert ocr.boxes(scanned, text, 5, 10) == [[0.25, 0.11, 0.4, 0.14], [0.1, 0.2, 0.15, 0.25]], "of words cut, too"
    assert ocr.boxes(scanned, text, 8, 9) == []
    from_the_right = [(0, 3, 0.6, 0.1, 0.7, 0.15), (4, 8, 0.1, 0.1, 0.2, 0.15)]
    assert len(ocr.boxes(from_the_right, "one line", 0, 8)) == 1
    assert len(ocr.boxes(from_the_right, "two\ncols", 0, 8)) == 2, "columns are lines of their own"
    assert len(ocr.boxes([(0, 3, 0.6, 0.1, 0.7, 0.15), (3, 8, 0.1, 0.1, 0.2, 0.15)], "hyphened", 0, 8)) == 2


def test_words_are_found_in_the_stored_text() -> None:
    reader = ocr.Ocr("eng", 1.0)
    reader._words[1] = [OcrWord(text, 0.0, 0.0, 1.0, 1.0) for text in ("a", "b", "a", "gone", "c")]
    page = reader.mark(ParsedPage(1, "a\n\nb a c"))
    assert page.scan == Scan("eng", [(at, at + 1, 0.0, 0.0, 1.0, 1.0) for at in (0, 3, 5, 7)])


@pytest.mark.parametrize("languages", ["eng", "eng+deu", "chi_sim", "script/Latin+osd"])
def test_languages_that_can_be_set(languages: str) -> None:
    settings = Settings(_env_file=None, ocr_languages=languages)
    assert settings.parse_limits.ocr_languages == languages
    assert settings.model_copy(update={"ocr": "off"}).parse_limits.ocr_languages == ""


@pytest.mark.parametrize("languages", ["", "-c", "eng+", "eng deu", "../eng", "eng,deu"])
def test_languages_that_cannot(languages: str) -> None:
    with pytest.raises(ValueError, match="ocr_languages"):
        Settings(_env_file=None, ocr_languages=languages)


@installed
@pytest.mark.parametrize("turned", [0, 90, 180])
async def test_a_real_scan(tmp_path: Path, turned: int) -> None:
    lines = [
        "The keeper of the lighthouse lights the lamp at dusk,",
        "and puts it out when the sun stands over the horizon.",
        "Guillemots nest on the northern cliff below the wall.",
    ] * 4
    path = scan(tmp_path / "scan.pdf", drawn(*lines).rotate(turned, expand=True))
    (page,) = await pages_of(path)
    assert page.text.split() == " ".join(lines).split()
    if turned == 0:
        assert page.scan
        start = page.text.index("puts it out")
        (box,) = ocr.boxes(page.scan.words, page.text, start, start + len("puts it out"))
        left = ANCHOR[0] + LETTER.getlength("and ")
        right = left + LETTER.getlength("puts it out")
        assert (box[0] * SIZE[0], box[2] * SIZE[0]) == pytest.approx((left, right), abs=8)
