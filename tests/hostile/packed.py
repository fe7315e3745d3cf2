"""Archives, Office files and books that lie, loop and explode."""

import io
import struct
import zipfile
from collections.abc import Iterable

from tests.hostile.files import Hostile

READY, DAMAGED, BOMB = "ready", "corrupt_file", "archive_too_large"
TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="xml" ContentType="application/xml"/>'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="{part}" ContentType="application/vnd.openxmlformats-officedocument.{kind}.main+xml"/></Types>'
)
RELS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="{part}"/>'
    "</Relationships>"
)
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
BODY = '<w:document xmlns:w="%s"><w:body>%%s</w:body></w:document>' % WORD  # noqa: UP031  it has braces enough
PARAGRAPH = "<w:p><w:r><w:t>The lamp is lit.</w:t></w:r></w:p>"


def packed(members: Iterable[tuple[str, str | bytes]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def docx(document: str | bytes, *more: tuple[str, str | bytes]) -> bytes:
    kind = "wordprocessingml.document"
    types = TYPES.format(part="/word/document.xml", kind=kind)
    rels = RELS.format(part="word/document.xml")
    return packed([("[Content_Types].xml", types), ("_rels/.rels", rels), ("word/document.xml", document), *more])


def entities(name: str) -> str:
    lines = [f'<!ENTITY {name}0 "lol">']
    lines += [f'<!ENTITY {name}{level} "{f"&{name}{level - 1};" * 10}">' for level in range(1, 10)]
    return (
        f"<?xml version='1.0'?><!DOCTYPE d [{''.join(lines)}]>" + BODY % f"<w:p><w:r><w:t>&{name}9;</w:t></w:r></w:p>"
    )


def outside() -> str:
    declared = '<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    return declared + BODY % "<w:p><w:r><w:t>Before &x;</w:t></w:r></w:p>"


def encrypted_flag() -> bytes:
    content = bytearray(docx(BODY % PARAGRAPH))
    at = -1
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        while (at := content.find(mark, at + 1)) >= 0:
            content[at + flags] |= 1
    return bytes(content)


def lying_sizes() -> bytes:
    """The directory says ten bytes where there are a hundred million."""
    content = bytearray(docx(BODY % (PARAGRAPH + " " * 100_000_000)))
    at = content.rfind(b"word/document.xml") - 46
    struct.pack_into("<I", content, at + 24, 10)
    return bytes(content)


def xlsx(sheet: str, shared: str = "") -> bytes:
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    related = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    sheets = '<sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets>'
    book = f'<workbook xmlns="{main}" xmlns:r="{related}">{sheets}</workbook>'
    rels = (
        f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="rId1" Type="{related}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{related}/sharedStrings" Target="sharedStrings.xml"/></Relationships>'
    )
    return packed(
        [
            ("[Content_Types].xml", TYPES.format(part="/xl/workbook.xml", kind="spreadsheetml.sheet")),
            ("_rels/.rels", RELS.format(part="xl/workbook.xml")),
            ("xl/workbook.xml", book),
            ("xl/_rels/workbook.xml.rels", rels),
            ("xl/worksheets/sheet1.xml", f'<worksheet xmlns="{main}"><sheetData>{sheet}</sheetData></worksheet>'),
            ("xl/sharedStrings.xml", f'<sst xmlns="{main}">{shared}</sst>'),
        ]
    )


def odf(kind: str, content: str) -> bytes:
    names = "".join(
        f' xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{long}:1.0"'
        for short, long in (("office", "office"), ("text", "text"), ("table", "table"))
    )
    body = f"<office:document-content{names}><office:body>{content}</office:body></office:document-content>"
    return packed([("mimetype", f"application/vnd.oasis.opendocument.{kind}"), ("content.xml", body)])


def repeated_cells() -> bytes:
    cell = '<table:table-cell table:number-columns-repeated="16384"><text:p>x</text:p></table:table-cell>'
    row = f'<table:table-row table:number-rows-repeated="1048576">{cell}</table:table-row>'
    return odf(
        "spreadsheet", f'<office:spreadsheet><table:table table:name="S">{row}</table:table></office:spreadsheet>'
    )


def looping_book() -> bytes:
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="c.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    spine = '<itemref idref="a"/>' * 50_000
    manifest = '<manifest><item id="a" href="a.xhtml" media-type="application/xhtml+xml"/></manifest>'
    book = f'<package xmlns="http://www.idpf.org/2007/opf">{manifest}<spine>{spine}</spine></package>'
    return packed(
        [
            ("mimetype", "application/epub+zip"),
            ("META-INF/container.xml", container),
            ("c.opf", book),
            ("a.xhtml", "<html><body><p>Again.</p></body></html>"),
        ]
    )


def archives_in_archives(depth: int, width: int) -> bytes:
    content = packed([("a.txt", "The lamp is lit.")])
    for level in range(depth):
        content = packed([(f"{level}-{n}.zip", content) for n in range(width)])
    return content


FILES = [
    Hostile(
        "bomb-document.docx", lambda: docx(BODY % (PARAGRAPH + " " * 300_000_000)), {BOMB, "too_complex"}, heavy=True
    ),
    Hostile(
        "bomb-media.docx",
        lambda: docx(BODY % PARAGRAPH, ("word/media/a.bin", bytes(500_000_000))),
        {BOMB, READY},
        heavy=True,
    ),
    Hostile(
        "60000-members.docx",
        lambda: docx(BODY % PARAGRAPH, *((f"x/{n}", b"") for n in range(60_000))),
        {BOMB},
        heavy=True,
    ),
    Hostile(
        "100000-paragraphs.docx", lambda: docx(BODY % (PARAGRAPH * 100_000)), {READY, "too_complex", BOMB}, heavy=True
    ),
    Hostile("entities.docx", lambda: docx(entities("a")), {DAMAGED, "no_text", "too_complex"}),
    Hostile("external-entity.docx", lambda: docx(outside()), {READY, DAMAGED, "no_text"}),
    Hostile(
        "deep.docx", lambda: docx(BODY % ("<w:p>" * 10_000 + "</w:p>" * 10_000)), {DAMAGED, "too_complex", "no_text"}
    ),
    Hostile("traversal.docx", lambda: docx(BODY % PARAGRAPH, ("../../etc/passwd", "x")), {DAMAGED, READY}),
    Hostile(
        "no-document.docx",
        lambda: packed([("[Content_Types].xml", TYPES), ("word/other.xml", "<x/>")]),
        {DAMAGED, "type_mismatch", "unsupported_type", "no_text"},
    ),
    Hostile("encrypted-flag.docx", encrypted_flag, {"encrypted", DAMAGED}),
    Hostile("lying-sizes.docx", lying_sizes, {DAMAGED, BOMB, READY, "too_complex"}, heavy=True),
    Hostile("truncated.docx", lambda: docx(BODY % PARAGRAPH)[:-40], {DAMAGED}),
    Hostile(
        "bomb-strings.xlsx",
        lambda: xlsx("", "<si><t>" + "x" * 300_000_000 + "</t></si>"),
        {BOMB, "too_complex", "no_text"},
        heavy=True,
    ),
    Hostile(
        "far-cell.xlsx",
        lambda: xlsx('<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>far</t></is></c></row>'),
        {READY},
    ),
    Hostile(
        "many-cells.xlsx",
        lambda: xlsx("<row>" + "<c><v>1</v></c>" * 16_000 + "</row>" + "<row/>" * 500_000),
        {READY, "too_complex", BOMB, "too_large"},
        heavy=True,
    ),
    Hostile("repeated-cells.ods", repeated_cells, {READY, "too_complex", "too_large"}, heavy=True),
    Hostile(
        "deep.odt",
        lambda: odf("text", "<office:text>" + "<text:p>" * 5_000 + "</text:p>" * 5_000 + "</office:text>"),
        {DAMAGED, "too_complex", "no_text"},
    ),
    Hostile("looping-spine.epub", looping_book, {READY, "too_large", "too_complex", DAMAGED}, heavy=True),
    Hostile("archives-in-archives.zip", lambda: archives_in_archives(5, 4), {READY}),
    Hostile("100000-files.zip", lambda: packed((f"{n}.txt", "x") for n in range(100_000)), {BOMB}, heavy=True),
    Hostile("bomb.zip", lambda: packed([("a.txt", bytes(1_000_000_000))]), {BOMB}, heavy=True),
    Hostile("traversal.zip", lambda: packed([("../../../tmp/x.txt", "x"), ("/etc/y.txt", "y")]), {DAMAGED}),
    Hostile("nothing-to-read.zip", lambda: packed([("a.png", b"\x89PNG\r\n\x1a\n")]), {"no_text"}),
]
