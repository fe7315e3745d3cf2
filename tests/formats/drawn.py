"""PDFs of several pages, drawn line by line."""

from collections.abc import Sequence
from pathlib import Path

Drawn = tuple[float, float, str, float]  # left, bottom, text, size


def lines(texts: Sequence[str], top: float = 700, left: float = 70, size: float = 10, pitch: float = 14) -> list[Drawn]:
    """Lines of a text, one below the other."""
    return [(left, top - number * pitch, text, size) for number, text in enumerate(texts)]


def pdf(path: Path, pages: Sequence[Sequence[Drawn]], width: int = 595, height: int = 842) -> Path:
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] >>".encode(),
        font,
    ]
    for number, page in enumerate(pages):
        content = "\n".join(f"BT /F {size} Tf {x} {y} Td ({_escaped(text)}) Tj ET" for x, y, text, size in page)
        body = content.encode("cp1252")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width} {height}] /Contents {5 + 2 * number} 0 R "
            f"/Resources << /Font << /F 3 0 R >> >> >>".encode()
        )
        objects.append(b"<< /Length %d >>\nstream\n%b\nendstream" % (len(body), body))
    out = bytearray(b"%PDF-1.4\n")
    places = []
    for number, content_of in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, content_of)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start)
    path.write_bytes(out)
    return path


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
