"""PDFs put together glyph by glyph, as programs draw them that place each letter by itself."""

from collections.abc import Iterable
from typing import NamedTuple

from tests.hostile.pdfs import pdf, stream

WIDTH = 600  # of each glyph, in thousandths of the size


class Drawn(NamedTuple):
    """A character and where it stands."""

    x: float
    y: float
    text: str
    size: float = 10


def placed(glyphs: Iterable[Drawn]) -> bytes:
    """A content stream that draws glyphs in this order, each by its own operators."""
    return b"".join(
        b"BT /F %.2f Tf %.2f %.2f Td <%02x> Tj ET\n" % (glyph.size, glyph.x, glyph.y, _code(glyph.text))
        for glyph in glyphs
    )


def document(pages: list[bytes], *, page: bytes = b"", font: bytes = b"") -> bytes:
    """A PDF of content streams in a font of equal widths that holds ASCII and Hebrew."""
    first = 6
    kids = b" ".join(b"%d 0 R" % (first + 2 * number) for number in range(len(pages)))
    widths = b" ".join([b"%d" % WIDTH] * 224)
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [%b] /Count %d >>" % (kids, len(pages)),
        3: font
        or b"<< /Type /Font /Subtype /TrueType /BaseFont /Sample /Encoding /WinAnsiEncoding /FirstChar 32 "
        b"/LastChar 255 /Widths [%b] /FontDescriptor 4 0 R /ToUnicode 5 0 R >>"
        % widths,
        4: b"<< /Type /FontDescriptor /FontName /Sample /Flags 32 /Ascent 800 /Descent -200 /CapHeight 700 "
        b"/FontBBox [0 -200 600 800] /ItalicAngle 0 /StemV 80 /MissingWidth %d >>" % WIDTH,
        5: stream(_to_unicode()),
    }
    for number, content in enumerate(pages):
        objects[first + 2 * number] = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Resources << /Font << /F 3 0 R >> >> "
            b"/Contents %d 0 R %b >>" % (first + 2 * number + 1, page)
        )
        objects[first + 2 * number + 1] = stream(content)
    return pdf(objects)


def _code(character: str) -> int:
    """Hebrew letters have the codes from 0xB0 on."""
    return ord(character) if character.isascii() else 0xB0 + ord(character) - 0x5D0


def _to_unicode() -> bytes:
    codes = [(code, code) for code in range(32, 127)] + [(0xB0 + index, 0x5D0 + index) for index in range(27)]
    chars = b"\n".join(
        b"%d beginbfchar\n%b\nendbfchar" % (len(part), b"\n".join(b"<%02x> <%04x>" % one for one in part))
        for part in (codes[:95], codes[95:])
    )
    return (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def 1 begincodespacerange "
        b"<00> <FF> endcodespacerange %b endcmap end end" % chars
    )
