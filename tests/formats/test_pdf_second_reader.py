"""Pages of which PDFium reads less than is drawn are read by pypdf, and only those."""

from collections import Counter
from pathlib import Path

import pypdf
import pytest

from footnote.formats import paginate
from footnote.formats.pdf import _second_reader, pdf
from tests.hostile.pdfs import pdf as written
from tests.hostile.pdfs import stream

COLUMNS = ["灯台の見学は四月から無料です。", "夏の間は毎日九時に開きます。"]
# A Chinese or Japanese font by its name only. No machine has this one, nor is it replaced by another.
CID_FONT = (
    b"<< /Type /Font /Subtype /Type0 /BaseFont /Skerrow-W3 /Encoding /UniJIS-UCS2-H /DescendantFonts [ << /Type /Font "
    b"/Subtype /CIDFontType0 /BaseFont /Skerrow-W3 /DW 1000 /CIDSystemInfo << /Registry (Adobe) /Ordering (Japan1) "
    b"/Supplement 2 >> /FontDescriptor << /Type /FontDescriptor /FontName /Skerrow-W3 /Flags 6 /Ascent 723 /Descent "
    b"-241 /CapHeight 709 /StemV 69 /ItalicAngle 0 /FontBBox [-123 -257 1001 910] >> >> ] >>"
)
LATIN_FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
PICTURE = b"q 500 0 0 700 50 50 cm BI /W 2 /H 2 /CS /G /BPC 8 /F /AHx ID 00FFFF00> EI Q"


def vertical(*columns: str) -> bytes:
    return b"".join(
        b"BT /J 16 Tf %d %d Td <%b> Tj ET\n" % (500 - 30 * x, 760 - 18 * y, letter.encode("utf-16-be").hex().encode())
        for x, column in enumerate(columns)
        for y, letter in enumerate(column)
    )


def latin(*lines: str) -> bytes:
    return b"".join(
        b"BT /L 12 Tf 50 %d Td (%b) Tj ET\n" % (700 - 20 * y, line.encode()) for y, line in enumerate(lines)
    )


def document(path: Path, *pages: bytes) -> Path:
    kids = b" ".join(b"%d 0 R" % (5 + 2 * number) for number in range(len(pages)))
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [%b] /Count %d >>" % (kids, len(pages)),
        3: CID_FONT,
        4: LATIN_FONT,
    }
    for number, content in enumerate(pages):
        objects[5 + 2 * number] = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Resources << /Font << /J 3 0 R /L 4 0 R >> >> "
            b"/Contents %d 0 R >>" % (6 + 2 * number)
        )
        objects[6 + 2 * number] = stream(content)
    path.write_bytes(written(objects))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.pdf"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How often pypdf was asked for each page."""
    pages: Counter[int] = Counter()
    read = _second_reader.SecondReader._text

    def counted(self: _second_reader.SecondReader, index: int) -> str:
        pages[index + 1] += 1
        return read(self, index)

    monkeypatch.setattr(_second_reader.SecondReader, "_text", counted)
    return pages


def test_vertical_japanese_in_a_font_that_is_not_embedded(path: Path) -> None:
    (page,) = paginate(pdf.parse(document(path, vertical(*COLUMNS))))
    assert page.text == "\n".join(COLUMNS)


def test_only_pages_that_lack_text_are_asked_for(path: Path, asked: Counter[int]) -> None:
    english = latin("The lamp is lit at dusk.", "It is put out at dawn.")
    pages = list(paginate(pdf.parse(document(path, english, vertical(*COLUMNS), PICTURE, b"", english))))
    assert [page.text.split("\n")[0] for page in pages] == [
        "The lamp is lit at dusk.",
        COLUMNS[0],
        "",
        "",
        "The lamp is lit at dusk.",
    ]
    assert asked.keys() <= {2}


def test_what_only_one_reader_reads_is_there(path: Path) -> None:
    """A page with both: a long English text, and Japanese of which PDFium knows nothing."""
    lines = [f"Rule {number}: the keeper on watch writes the time in the log." for number in range(20)]
    (page,) = paginate(pdf.parse(document(path, latin(*lines) + vertical(*COLUMNS))))
    assert all(line in page.text for line in lines)
    assert "灯" in page.text


def test_a_font_that_neither_reader_can_read_is_given_up(
    path: Path, asked: Counter[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_second_reader, "page_text", lambda _: "\ufffd" * 40)
    monkeypatch.setattr(_second_reader.SecondReader, "suspect_fonts", lambda *_: {"Skerrow-W3"})
    assert [page.text for page in paginate(pdf.parse(document(path, *[latin("Page")] * 30)))] == ["Page"] * 30
    assert asked.total() == _second_reader._IN_VAIN


def test_a_page_that_takes_too_long_stays_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_second_reader, "_SECONDS", -1.0)
    (page,) = paginate(pdf.parse(document(path, vertical(*COLUMNS) + latin("Page 1"))))
    assert page.text.endswith("Page 1")


def test_highlights_of_such_a_page_are_right_or_missing(path: Path) -> None:
    document(path, vertical(*COLUMNS) + latin("Notice 7"))
    (page,) = paginate(pdf.parse(path))
    for quote in (COLUMNS[0], "Notice 7"):
        assert quote in page.text
        for left, top, right, bottom in pdf.boxes(path, 1, quote, 0.0):
            assert (left * 600, right * 600) == pytest.approx((500, 516) if quote == COLUMNS[0] else (50, 100), abs=6)
            assert top < bottom


def test_a_page_that_pypdf_cannot_read_leaves_its_neighbours(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = pypdf.PdfReader(document(path, latin("one"), latin("two"), latin("three")))
    read = pypdf.PageObject.extract_text

    def fails(self: pypdf.PageObject, **options: object) -> str:
        if self == reader.pages[1]:
            raise KeyError("/Contents")
        return read(self, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(pypdf.PageObject, "extract_text", fails)
    assert [block.text.strip() for block in pdf._pypdf_pages(reader)] == ["one", "", "three"]
