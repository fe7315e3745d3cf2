"""PDFs that lie, loop and explode."""

import io
import zlib

from tests.hostile.files import Hostile

READY, DAMAGED = "ready", "corrupt_file"
Objects = dict[int, bytes]


def pdf(objects: Objects, *, root: int = 1, trailer: bytes = b"") -> bytes:
    """A PDF of numbered objects with a right cross-reference table."""
    out = io.BytesIO()
    out.write(b"%PDF-1.7\n")
    places = {}
    for number, body in objects.items():
        places[number] = out.tell()
        out.write(b"%d 0 obj\n%b\nendobj\n" % (number, body))
    start, size = out.tell(), max(objects) + 1
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % size)
    for number in range(1, size):
        out.write(b"%010d 00000 n \n" % places[number] if number in places else b"0000000000 65535 f \n")
    out.write(b"trailer\n<< /Size %d /Root %d 0 R %b >>\nstartxref\n%d\n%%%%EOF\n" % (size, root, trailer, start))
    return out.getvalue()


def stream(content: bytes, *, filters: bytes = b"", more: bytes = b"", length: int | None = None) -> bytes:
    named = b"/Filter %b " % filters if filters else b""
    size = len(content) if length is None else length
    return b"<< %b%b/Length %d >>\nstream\n%b\nendstream" % (named, more, size, content)


def text(words: bytes) -> bytes:
    return b"BT /F1 12 Tf 72 720 Td (%b) Tj ET" % words


def document(content: bytes, *more: bytes, kids: bytes = b"[3 0 R]", count: int = 1, page: bytes = b"") -> bytes:
    """One page whose content stream object is `content`; `more` are objects from number 6 on."""
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids %b /Count %d >>" % (kids, count),
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> %b >> >>" % page,
        4: content,
        5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    }
    return pdf(objects | dict(enumerate(more, 6)))


PLAIN = document(stream(text(b"The lamp is lit at dusk.")))


def flate(content: bytes, times: int = 1) -> bytes:
    for _ in range(times):
        content = zlib.compress(content, 9)
    return content


def zeros(mebibytes: int) -> bytes:
    packer = zlib.compressobj(9)
    piece = bytes(1024 * 1024)
    return b"".join(packer.compress(piece) for _ in range(mebibytes)) + packer.flush()


def one_page_many_times() -> bytes:
    times = 90_000
    return document(stream(text(b"Again.")), kids=b"[" + b"3 0 R " * times + b"]", count=times)


def endless_operators() -> bytes:
    return document(stream(flate(b"0 0 m 1 1 l S " * 5_000_000), filters=b"/FlateDecode"))


def nested_forms() -> bytes:
    """Each form draws the next one ten times: ten to the eighth drawings."""
    depth = 8
    forms = []
    for level in range(depth):
        inner = b"/X Do " * 10 if level < depth - 1 else text(b"deep")
        resources = b"/Resources << /XObject << /X %d 0 R >> /Font << /F1 5 0 R >> >> " % (7 + level)
        forms.append(stream(inner, more=b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] " + resources))
    return document(stream(b"/X Do"), *forms, page=b"/XObject << /X 6 0 R >>")


def junk_objects() -> bytes:
    return pdf(dict.fromkeys(range(1, 200_000), b"<< /A [1 2 3] >>"))


def looping_page_tree() -> bytes:
    return pdf({1: b"<< /Type /Catalog /Pages 2 0 R >>", 2: b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 9 >>"})


def looping_tables() -> bytes:
    body = PLAIN[: PLAIN.rindex(b"xref\n0")]
    table = b"xref\n0 1\n0000000000 65535 f \ntrailer\n<< /Size 6 /Root 1 0 R /Prev %d >>\nstartxref\n%d\n%%%%EOF\n"
    return body + table % (len(body), len(body))


def deep_arrays() -> bytes:
    return pdf({1: b"<< /Type /Catalog /Pages 2 0 R /A " + b"[" * 200_000 + b"]" * 200_000 + b" >>"})


def control_characters() -> bytes:
    return document(stream(text(b"The \\000lamp\\001 is \\377lit.")))


def lone_surrogates() -> bytes:
    cmap = (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def 1 begincodespacerange <00> <FF>"
        b" "
        b"endcodespacerange 1 beginbfchar <41> <D800> endbfchar endcmap end end"
    )
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        4: stream(text(b"lAmp lit")),
        5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode 6 0 R >>",
        6: stream(cmap),
    }
    return pdf(objects)


def encrypted(user: str, owner: str, algorithm: str) -> bytes:
    from pypdf import PdfWriter

    writer = PdfWriter(clone_from=io.BytesIO(PLAIN))
    writer.encrypt(user, owner, algorithm=algorithm)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def actions() -> bytes:
    return pdf(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /Launch /F (/bin/sh) >> "
            b"/AA << /WC << /S /JavaScript /JS (while(true){}) >> >> >>",
            2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
            b"/Resources << /Font << /F1 5 0 R >> >> >>",
            4: stream(text(b"Nothing happens.")),
            5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        }
    )


FILES = [
    Hostile("header-only.pdf", lambda: b"%PDF-1.7\n", {DAMAGED}),
    Hostile("truncated.pdf", lambda: PLAIN[: len(PLAIN) // 2], {DAMAGED, "no_text"}),
    Hostile(
        "no-pages.pdf",
        lambda: pdf({1: b"<< /Type /Catalog /Pages 2 0 R >>", 2: b"<< /Type /Pages /Kids [] /Count 0 >>"}),
        {"no_text", DAMAGED},
    ),
    Hostile("blank-page.pdf", lambda: document(stream(b"")), {"no_text"}),
    Hostile("password.pdf", lambda: encrypted("secret", "owner", "AES-256"), {"encrypted"}),
    Hostile("owner-password-only.pdf", lambda: encrypted("", "owner", "AES-256"), {READY}),
    Hostile("rc4.pdf", lambda: encrypted("", "owner", "RC4-128"), {READY}),
    Hostile("one-page-90000-times.pdf", one_page_many_times, {"too_large", "too_complex", DAMAGED}, heavy=True),
    Hostile("endless-operators.pdf", endless_operators, {"no_text", "too_complex"}, heavy=True),
    Hostile("nested-forms.pdf", nested_forms, {READY, "no_text", "too_complex"}, heavy=True),
    Hostile("junk-objects.pdf", junk_objects, {DAMAGED, "no_text"}, heavy=True),
    Hostile(
        "flate-bomb.pdf",
        lambda: document(stream(zeros(900), filters=b"/FlateDecode")),
        {"no_text", "too_complex", DAMAGED},
        heavy=True,
    ),
    Hostile(
        "double-flate-bomb.pdf",
        lambda: document(stream(flate(zeros(900)), filters=b"[/FlateDecode /FlateDecode]")),
        {"no_text", "too_complex", DAMAGED},
        heavy=True,
    ),
    Hostile("looping-page-tree.pdf", looping_page_tree, {DAMAGED, "no_text", "too_complex"}),
    Hostile("looping-tables.pdf", looping_tables, {READY, DAMAGED, "no_text", "too_complex"}),
    Hostile(
        "lying-length.pdf", lambda: document(stream(text(b"Short."), length=2**31 - 1)), {READY, DAMAGED, "no_text"}
    ),
    Hostile("deep-arrays.pdf", deep_arrays, {DAMAGED, "no_text", "too_complex"}),
    Hostile("control-characters.pdf", control_characters, {READY}),
    Hostile("lone-surrogates.pdf", lone_surrogates, {READY, "no_text"}),
    Hostile("actions.pdf", actions, {READY}),
    Hostile("huge-page.pdf", lambda: PLAIN.replace(b"[0 0 612 792]", b"[0 0 9e9 9e9]"), {READY, DAMAGED, "no_text"}),
    Hostile("pdf-and-zip.pdf", lambda: PLAIN + b"PK\x05\x06" + bytes(18), {READY}),
]
