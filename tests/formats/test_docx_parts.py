"""What Word shows beside the words of a document's body: numbers, notes, comments, headers, pictures, formulas."""

import zipfile
from pathlib import Path

import pytest

from footnote.formats import ParsedPage, paginate
from footnote.formats.office import docx

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
MORE = (
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
    'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" '
    'xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
)
KINDS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def page_of(path: Path, body: str, **parts: str) -> ParsedPage:
    """The page of a document with other parts, each named for the kind of its relation and perhaps a number."""
    relations = "".join(
        f'<Relationship Id="{name}" Type="{KINDS}/{name.rstrip("0123456789")}" Target="{name}.xml"/>' for name in parts
    )
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", f"<w:document {W} {MORE}><w:body>{body}</w:body></w:document>")
        archive.writestr(
            "word/_rels/document.xml.rels", f'<Relationships xmlns="{package}">{relations}</Relationships>'
        )
        for name, content in parts.items():
            archive.writestr(f"word/{name}.xml", content)
    (page,) = paginate(docx.parse(path))
    return page


def paragraph(text: str = "", properties: str = "", more: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r>{more}</w:p>"


def listed(text: str, number: int = 1, depth: int = 0) -> str:
    return paragraph(text, f'<w:numPr><w:ilvl w:val="{depth}"/><w:numId w:val="{number}"/></w:numPr>')


def level(depth: int, form: str, text: str, more: str = "") -> str:
    shown = f'<w:numFmt w:val="{form}"/><w:lvlText w:val="{text}"/>'
    return f'<w:lvl w:ilvl="{depth}"><w:start w:val="1"/>{shown}{more}</w:lvl>'


def numbering(*levels: str, again: str = "") -> str:
    return (
        f'<w:numbering {W}><w:abstractNum w:abstractNumId="7">{"".join(levels)}</w:abstractNum>'
        f'<w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num>'
        f'<w:num w:numId="2"><w:abstractNumId w:val="7"/>{again}</w:num></w:numbering>'
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.docx"


def test_lists_are_counted_as_word_counts_them(path: Path) -> None:
    restarted = '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/></w:lvlOverride>'
    levels = numbering(
        level(0, "decimal", "%1."), level(1, "lowerLetter", "%1.%2)"), level(2, "bullet", "&#xF0B7;"), again=restarted
    )
    body = (
        listed("one") + listed("deeper", depth=1) + listed("deepest", depth=2) + listed("deeper still", depth=1)
        + listed("two") + listed("deeper again", depth=1) + listed("") + listed("five", number=2) + listed("six", 2)
        + listed("another list", number=9)
    )  # fmt: skip
    assert page_of(path, body, numbering=levels).text.split("\n") == [
        "1. one", "  1.a) deeper", "    - deepest", "  1.b) deeper still", "2. two", "  2.a) deeper again", "5. five",
        "6. six", "- another list",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "shown"),
    [("upperRoman", "XIV"), ("lowerRoman", "xiv"), ("upperLetter", "N"), ("decimalZero", "14"), ("ordinal", "14")],
)
def test_forms_of_numbers(path: Path, form: str, shown: str) -> None:
    body = "".join(listed(f"item {number}") for number in range(1, 15))
    page = page_of(path, body, numbering=numbering(level(0, form, "(%1)")))
    assert page.text.split("\n")[-1] == f"({shown}) item 14"


def test_headings_carry_their_numbers(path: Path) -> None:
    styles = (
        f'<w:styles {W}><w:style w:styleId="H1"><w:name w:val="heading 1"/><w:pPr><w:numPr><w:numId w:val="1"/>'
        '</w:numPr></w:pPr></w:style><w:style w:styleId="H2"><w:name w:val="heading 2"/><w:pPr><w:numPr>'
        '<w:numId w:val="1"/></w:numPr></w:pPr></w:style></w:styles>'
    )
    levels = numbering(
        level(0, "upperRoman", "Part %1:", '<w:pStyle w:val="H1"/>'),
        level(1, "decimal", "%1.%2", '<w:isLgl/><w:pStyle w:val="H2"/>'),
    )
    body = (
        paragraph("Lamps", '<w:pStyle w:val="H1"/>') + paragraph("Oil", '<w:pStyle w:val="H2"/>') + paragraph("Text.")
    )
    page = page_of(path, body, styles=styles, numbering=levels)
    assert page.sections[-1].heading == ("Part I: Lamps", "1.1 Oil")


def test_notes_are_marked_where_they_are_referred_to(path: Path) -> None:
    body = paragraph("First", more='<w:r><w:footnoteReference w:id="4"/></w:r>') + paragraph(
        "second", more='<w:r><w:endnoteReference w:id="4"/></w:r><w:r><w:t>.</w:t></w:r>'
    )
    page = page_of(
        path,
        body,
        footnotes=f'<w:footnotes {W}><w:footnote w:id="4">{paragraph("A footnote.")}</w:footnote></w:footnotes>',
        endnotes=f'<w:endnotes {W}><w:endnote w:id="4">{paragraph("An endnote.")}</w:endnote></w:endnotes>',
    )
    assert page.text == "First[1]\n\nsecond[2].\n\n[1] A footnote.\n\n[2] An endnote."
    assert [section.heading for section in page.sections] == [(), ("Footnotes",), ("Endnotes",)]


def test_comments_headers_and_footers_come_last_and_once(path: Path) -> None:
    page = page_of(
        path,
        paragraph("Text."),
        comments=f'<w:comments {W}><w:comment w:author="Agnes">{paragraph("Really?")}</w:comment></w:comments>',
        header1=f"<w:hdr {W}>{paragraph('Skerrow Light')}</w:hdr>",
        header2=f"<w:hdr {W}>{paragraph('Skerrow Light')}</w:hdr>",
        footer1=f"<w:ftr {W}>{paragraph('12')}</w:ftr>",
    )
    assert page.text == "Text.\n\nAgnes: Really?\n\nSkerrow Light"
    assert [section.heading for section in page.sections] == [(), ("Comments",), ("Headers and footers",)]


def test_pictures_signs_and_boxes(path: Path) -> None:
    body = paragraph(
        "a",
        more='<w:r><w:drawing><wp:inline><wp:docPr descr="A lamp on a rock&#10;Description automatically generated"/>'
        '</wp:inline></w:drawing></w:r><w:r><w:drawing><wp:inline><wp:docPr descr="C:\\photos\\img 1.png"/></wp:inline>'
        '</w:drawing></w:r><w:r><w:sym w:font="Wingdings" w:char="F0FC"/></w:r><w:r><w:fldChar><w:ffData><w:checkBox>'
        '<w:default w:val="0"/><w:checked/></w:checkBox></w:ffData></w:fldChar></w:r>'
        "<w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>"
        '<w:r><w:rPr><w:vanish w:val="0"/></w:rPr><w:t>b</w:t></w:r>',
    )
    assert page_of(path, body).text == "a[A lamp on a rock]✓☑ b"


def test_formulas_are_written_in_one_line(path: Path) -> None:
    def run(text: str) -> str:
        return f"<m:r><m:t>{text}</m:t></m:r>"

    formula = (
        f"<m:oMath><m:sSubSup><m:e>{run('x')}</m:e><m:sub>{run('ij')}</m:sub><m:sup>{run('2')}</m:sup></m:sSubSup>"
        f"{run('=')}<m:f><m:num>{run('a+b')}</m:num><m:den>{run('c')}</m:den></m:f>{run('+')}"
        f"<m:rad><m:deg/><m:e>{run('d')}</m:e></m:rad>"
        f'<m:nary><m:naryPr><m:chr m:val="∑"/></m:naryPr><m:sub>{run("1")}</m:sub><m:sup>{run("n")}</m:sup>'
        f"<m:e>{run('k')}</m:e></m:nary>"
        f'<m:d><m:dPr><m:begChr m:val="["/><m:endChr m:val="]"/></m:dPr><m:e>{run("y")}</m:e></m:d></m:oMath>'
    )
    assert page_of(path, f"<w:p>{formula}</w:p>").text == "x_(ij)^2=(a+b)/c+√(d)∑_1^n k[y]"


def test_charts_stand_where_they_are_shown(path: Path) -> None:
    chart = (
        f'<c:chartSpace {MORE}><c:chart><c:plotArea><c:barChart><c:ser><c:cat><c:strCache><c:pt idx="0"><c:v>May</c:v>'
        '</c:pt></c:strCache></c:cat><c:val><c:numCache><c:pt idx="0"><c:v>34</c:v></c:pt></c:numCache></c:val></c:ser>'
        "</c:barChart></c:plotArea></c:chart></c:chartSpace>"
    )
    shown = '<w:r><w:drawing><a:graphicData><c:chart r:id="chart1"/></a:graphicData></w:drawing></w:r>'
    page = page_of(path, paragraph("before", more=shown) + paragraph("after"), chart1=chart)
    assert page.text == "before\nMay | 34\n\nafter"


def cell(text: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(text)}</w:tc>"


def table(*rows: str, header: str = "") -> str:
    first, *rest = rows
    return (
        f"<w:tbl><w:tr><w:trPr>{header}</w:trPr>{first}</w:tr>{''.join(f'<w:tr>{row}</w:tr>' for row in rest)}</w:tbl>"
    )


def test_long_tables_of_numbers_name_their_columns_in_each_row(path: Path) -> None:
    rows = [cell(str(year)) + cell(f"{year / 7:.1f}") + cell("34 %") for year in range(1875, 1935)]
    lines = page_of(path, table(cell("year") + cell("oil, barrels") + cell("share"), *rows)).text.split("\n")
    assert lines[:2] == ["year | oil, barrels | share", "year: 1875 | oil, barrels: 267.9 | share: 34 %"]
    few = page_of(path, table(cell("year") + cell("oil, barrels") + cell("share"), *rows[:9])).text.split("\n")
    assert few[:2] == ["year | oil, barrels | share", "1875 | 267.9 | 34 %"]


def test_long_tables_of_words_do_so_if_their_header_is_marked(path: Path) -> None:
    down, on = '<w:vMerge w:val="restart"/>', "<w:vMerge/>"
    rows = []
    for duty in range(30):
        rows += [cell("keeper", down) + cell(f"lights lamp {duty}"), cell("", on) + cell("writes the log of the day")]
    names = cell("who") + cell("what")
    assert page_of(path, table(names, *rows)).text.split("\n")[1:3] == [
        "keeper | lights lamp 0",
        " | writes the log of the day",
    ]


def test_cells_that_reach_down_count_in_every_row(path: Path) -> None:
    rows = []
    for number in range(30):
        rows += [
            cell("keeper", '<w:vMerge w:val="restart"/>') + cell(f"lamp {number}") + cell("a day's oil"),
            cell("", "<w:vMerge/>") + cell(f"log {number}") + cell("a day's ink"),
        ]
    names = cell("who") + cell("what") + cell("needs")
    lines = page_of(path, table(names, *rows, header="<w:tblHeader/>")).text.split("\n")
    assert lines[:3] == [
        "who | what | needs",
        "who: keeper | what: lamp 0 | needs: a day's oil",
        "who: keeper | what: log 0 | needs: a day's ink",
    ]
