"""The samples that office programs would have written."""

import io
import struct
import zipfile
from datetime import date, datetime

import xlsxwriter
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Cm

from tests.formats.containers import archive, ole2

STORES = [
    ("tin", "third floor", 0.5, date(2026, 1, 5), 41.5),
    ("barrel", "cellar", 0.125, date(2026, 2, 16), 1210),
    ("rope", "boat house", 1, date(2026, 3, 2), 88.25),
]


def settled(data: bytes) -> bytes:
    """The same archive however often it is made: no times, and for the workbook behind a chart always the same one."""
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        return archive(
            {name: workbook() if name.endswith(".xlsx") else source.read(name) for name in source.namelist()}
        )


def presentation() -> bytes:
    """A title, a page with levels and notes, and one with shapes out of order, a table and a chart."""
    talk = Presentation()
    first = talk.slides.add_slide(talk.slide_layouts[0])
    first.shapes.title.text = "A year on the rock"
    first.placeholders[1].text = "Skerrow Light, report to the trustees"
    second = talk.slides.add_slide(talk.slide_layouts[1])
    second.shapes.title.text = "The winter"
    body = second.placeholders[1].text_frame
    body.text = "Gales on 41 days"
    below = body.add_paragraph()
    below.text, below.level = "The worst on 9 January", 1
    second.notes_slide.notes_text_frame.text = "Mention that the boat house door was lost on 9 January."
    third = talk.slides.add_slide(talk.slide_layouts[5])
    third.shapes.title.text = "Visitors"
    box = third.shapes.add_textbox(Cm(2), Cm(16), Cm(20), Cm(1))
    box.text_frame.text = "All came by the Petrel."
    table = third.shapes.add_table(3, 2, Cm(2), Cm(5), Cm(8), Cm(3)).table
    for row, cells in enumerate([("month", "visitors"), ("June", "212"), ("July", "385")]):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    data = CategoryChartData()
    data.categories = ["adults", "children"]
    data.add_series("tickets", (431, 166))
    third.shapes.add_chart(XL_CHART_TYPE.PIE, Cm(12), Cm(5), Cm(8), Cm(8), data)
    out = io.BytesIO()
    talk.save(out)
    return settled(out.getvalue())


def workbook() -> bytes:
    """A sheet with a title, a table and a note, one with merged headers, and an empty one."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    book.set_properties({"created": datetime(2026, 1, 1)})  # noqa: DTZ001  the library knows no zones
    percent, day, money = (book.add_format({"num_format": code}) for code in ("0.0%", "d/m/yyyy", '#,##0.00 "crowns"'))
    stores = book.add_worksheet("Stores")
    stores.write(0, 0, "Stores of Skerrow Light")
    stores.write_row(2, 0, ("item", "place", "share left", "counted", "worth"))
    for row, (item, place, share, counted, worth) in enumerate(STORES, start=3):
        stores.write_row(row, 0, (item, place))
        stores.write_number(row, 2, share, percent)
        stores.write_datetime(row, 3, datetime(counted.year, counted.month, counted.day), day)  # noqa: DTZ001  as above
        stores.write_number(row, 4, worth, money)
    stores.write_formula(6, 4, "=SUM(E4:E6)", money, 1339.75)
    stores.write(8, 0, "Counted by the second assistant.")
    watches = book.add_worksheet("Watches")
    watches.merge_range(0, 1, 0, 2, "summer")
    watches.merge_range(0, 3, 0, 4, "winter")
    watches.write_row(1, 0, ("keeper", "day", "night", "day", "night"))
    watches.write_row(2, 0, ("Tolmie", 31, 14, 22, 23))
    watches.write_row(3, 0, ("Nowak", 12, 33, 25, 20))
    watches.merge_range(5, 0, 6, 0, "relief")
    watches.write_row(5, 1, (3, 4, 5, 6))
    watches.write_row(6, 1, (7, 8, 9, 10))
    book.add_worksheet("Empty")
    book.close()
    return settled(out.getvalue())


def old_workbook() -> bytes:
    """A sheet in BIFF8 ([MS-XLS]): records of a type, a length and a body."""

    def record(kind: int, body: bytes = b"") -> bytes:
        return struct.pack("<HH", kind, len(body)) + body

    def text(value: str) -> bytes:
        return b"\x01" + value.encode("utf-16-le")

    def label(row: int, column: int, value: str) -> bytes:
        return record(0x204, struct.pack("<HHHH", row, column, 0, len(value)) + text(value))

    def number(row: int, column: int, value: float) -> bytes:
        return record(0x203, struct.pack("<HHHd", row, column, 0, value))

    rows: list[tuple[str | float, ...]] = [
        ("boat", "length", "crew"),
        ("Kittiwake", 4.2, 2),
        ("Guillemot", 6.5, 4),
    ]
    cells = b"".join(
        label(row, column, value) if isinstance(value, str) else number(row, column, value)
        for row, values in enumerate(rows)
        for column, value in enumerate(values)
    )
    begin = struct.pack("<HHHHII", 0x600, 5, 0, 0, 0, 0)
    sheet = record(0x809, struct.pack("<HHHHII", 0x600, 16, 0, 0, 0, 0)) + cells + record(0xA)
    name = "Boats"
    head = record(0x809, begin) + record(0x42, struct.pack("<H", 1200))
    bound = 4 + 8 + 2 * len(name)
    start = len(head) + bound + len(record(0xA))
    head += record(0x85, struct.pack("<IBBB", start, 0, 0, len(name)) + text(name)) + record(0xA)
    assert len(head) == start
    return ole2({"Workbook": head + sheet})


_ODF = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" '
    'xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" '
    'xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0"'
)


def opendocument(kind: str, body: str, styles: str = "") -> bytes:
    """A document of a kind (text, spreadsheet, presentation) with this body."""
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content {_ODF}><office:automatic-styles>{styles}'
        f"</office:automatic-styles><office:body><office:{kind}>{body}</office:{kind}></office:body>"
        "</office:document-content>"
    )
    declared = archive({"mimetype": f"application/vnd.oasis.opendocument.{kind}"}, zipfile.ZIP_STORED)
    out = io.BytesIO(declared)
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as target:
        target.writestr(zipfile.ZipInfo("content.xml", (2026, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def odt() -> bytes:
    return opendocument(
        "text",
        """
<text:h text:outline-level="1">Orders for the watch</text:h>
<text:p>The watch is kept from the lantern room<text:note text:note-class="footnote"><text:note-citation>1
</text:note-citation><text:note-body><text:p>In fog from the gallery.</text:p></text:note-body></text:note> without a
break.</text:p>
<text:section><text:h text:outline-level="2">At sunset</text:h>
<text:list><text:list-item><text:p>Draw the curtains</text:p></text:list-item><text:list-item><text:p>Wind the clockwork
</text:p><text:list><text:list-item><text:p>112 turns</text:p></text:list-item></text:list></text:list-item></text:list>
</text:section>
<text:h text:outline-level="2">The log</text:h>
<table:table><table:table-row><table:table-cell><text:p>hour</text:p></table:table-cell><table:table-cell>
<text:p>entry</text:p></table:table-cell></table:table-row><table:table-row><table:table-cell><text:p>04:00</text:p>
</table:table-cell><table:table-cell><text:p>wind<text:s text:c="2"/>and<text:tab/>sea</text:p></table:table-cell>
</table:table-row></table:table>""",
    )


def ods() -> bytes:
    def cell(text: str, kind: str = "string", value: str = "") -> str:
        return f'<table:table-cell office:value-type="{kind}" {value}><text:p>{text}</text:p></table:table-cell>'

    rows = [
        [cell("item"), cell("share left"), cell("counted")],
        [cell("tin"), cell("50,0 %", "percentage"), cell("05.01.26", "date", 'office:date-value="2026-01-05"')],
        [cell("rope"), cell("12,5 %", "percentage"), cell("16.02.26", "date", 'office:date-value="2026-02-16"')],
    ]
    table = "".join(f"<table:table-row>{''.join(row)}</table:table-row>" for row in rows)
    empty = (
        '<table:table-row table:number-rows-repeated="1048573"><table:table-cell '
        'table:number-columns-repeated="16384"/></table:table-row>'
    )
    return opendocument(
        "spreadsheet",
        f'<table:table table:name="Stores">{table}{empty}</table:table>'
        f'<table:table table:name="Empty">{empty}</table:table>',
    )


def odp() -> bytes:
    return opendocument(
        "presentation",
        """
<draw:page><draw:frame presentation:class="title"><draw:text-box><text:p>The lens</text:p></draw:text-box></draw:frame>
<draw:frame><draw:text-box><text:list><text:list-item><text:p>Floats in 140 kilograms of mercury</text:p>
</text:list-item></text:list></draw:text-box></draw:frame>
<presentation:notes><draw:frame presentation:class="page-number"><draw:text-box><text:p>1</text:p></draw:text-box>
</draw:frame><draw:frame presentation:class="notes"><draw:text-box><text:p>Show the chamois leather.</text:p>
</draw:text-box></draw:frame></presentation:notes></draw:page>
<draw:page><draw:custom-shape><text:p>Questions</text:p></draw:custom-shape></draw:page>""",
    )


def book() -> bytes:
    """Two chapters, of which the first goes on in the second file, and a table of contents that says where."""
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile '
        'full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    package = """<package xmlns="http://www.idpf.org/2007/opf"><manifest>
<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="one" href="one%20first.xhtml" media-type="application/xhtml+xml"/>
<item id="two" href="two.xhtml" media-type="application/xhtml+xml"/></manifest>
<spine><itemref idref="one"/><itemref idref="two"/></spine></package>"""
    nav = """<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><body>
<nav epub:type="toc"><ol><li><span>Part one</span><ol><li><a href="one%20first.xhtml">The keeper</a></li>
<li><a href="two.xhtml#storm">The storm</a></li></ol></li></ol></nav></body></html>"""
    one = """<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head>
<body><h1>The keeper</h1><p>Agnes Tolmie came to the rock in 1874.</p></body></html>"""
    two = """<html xmlns="http://www.w3.org/1999/xhtml"><head><title>2</title><script src="x.js"/></head><body>
<p>She stayed for thirty&#160;years.</p><div id="storm"><h2>The storm</h2><p>The wind rose at four.</p></div></body>
</html>"""
    declared = archive({"mimetype": "application/epub+zip"}, zipfile.ZIP_STORED)
    out = io.BytesIO(declared)
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as target:
        for name, text in {
            "META-INF/container.xml": container,
            "OEBPS/content.opf": package,
            "OEBPS/nav.xhtml": nav,
            "OEBPS/one first.xhtml": one,
            "OEBPS/two.xhtml": two,
        }.items():
            target.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED)
    return out.getvalue()


RICH_TEXT = r"""{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fswiss Arial;}{\f1\fcharset204 Arial Cyr;}}
{\stylesheet{\ql Normal;}{\s1\outlinelevel0 heading 1;}{\s2 heading 2;}}{\info{\title Not text}}
\pard\s1 Letter to the trustees\par
\pard\plain The cistern holds 4\~200 litres{\footnote\pard\plain Measured in M\'e4rz 1911.\par} of rain-\-water,
 and the roof feeds it.\par
\pard\s2 Wants\par
\pard\plain{\listtext\tab}\ls1 two lamp glasses\par
{\listtext\tab}\ls1 a name in Russian: {\f1 \'cc\'e0\'ff\'ea}\par
\pard\plain\intbl oil\cell 14 barrels\cell\row
\pard\intbl wick\cell 30 ells \u8212\'97 fine\cell\row
\pard\plain {\pict\pngblip 89504e470d0a}{\v hidden}Yours \u-10179?\u-9184?, {\field{\*\fldinst HYPERLINK "x"}{\fldrslt
the principal keeper}}\par}
"""
