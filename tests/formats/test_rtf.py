from pathlib import Path

import pytest

from footnote.errors import DocumentRejected
from footnote.formats import ParsedPage, paginate
from footnote.formats.markup import rtf
from tests import SAMPLES


def page_of(tmp_path: Path, body: str | bytes) -> ParsedPage:
    path = tmp_path / "x.rtf"
    path.write_bytes(b"{\\rtf1\\ansi " + (body.encode("ascii") if isinstance(body, str) else body) + b"}")
    (page,) = paginate(rtf.parse(path))
    return page


def test_headings_lists_tables_and_notes():
    (page,) = paginate(rtf.parse(SAMPLES / "letter.rtf"))
    sections = {section.heading: page.text[section.start : section.end].strip() for section in page.sections}
    assert sections == {
        ("Letter to the trustees",): "Letter to the trustees\n\n"
        "The cistern holds 4\u00a0200 litres of rain-water, and the roof feeds it.",
        (
            "Letter to the trustees",
            "Wants",
        ): "Wants\n\n- two lamp glasses\n- a name in Russian: \u041c\u0430\u044f\u043a\n\n"
        "oil | 14 barrels\nwick | 30 ells \u2014 fine\n\nYours \U0001f420, the principal keeper",
        ("Footnotes",): "Measured in M\u00e4rz 1911.",
    }


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb"\ansicpg1250 \'8a\'9a", "\u0160\u0161"),
        (rb"\mac \'8e", "\u00e9"),
        (rb"{\fonttbl{\f5\fcharset128 Mincho;}}\f5 \'83\'65\'83X\'83g", "\u30c6\u30b9\u30c8"),
        (rb"{\fonttbl{\f0 A;}{\f1\cpg1253 B;}}\f1 \'e1 {\f0 \'e1}\plain \'e1", "\u03b1 \u00e1\u00e1"),
        (b"\\ansicpg65001 caf\xc3\xa9", "caf\u00e9"),
        (b"\\ansicpg99999 caf\xe9", "caf\u00e9"),
        (rb"\uc2\u937\'83\'b6!{\uc0\u937}\uc1\u937?\u937 ?.", "\u03a9!\u03a9\u03a9\u03a9."),
        (b"\\u937\r\n?x", "\u03a9x"),
        (rb"\u-10179?\u-9184?", "\U0001f420"),
        (rb"\u-10179?x", "\ufffdx"),
        (rb"a\{b\}\\c\~d\_e\-f\tab g\line h", "a{b}\\c\u00a0d\u2011ef\tg\nh"),
    ],
)
def test_characters(tmp_path: Path, body: bytes, text: str):
    assert page_of(tmp_path, body).text == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (r"{\*\unknown hidden {\b too}}shown", "shown"),
        (r"{\header top\par}{\footer bottom}{\info{\title T}}shown{\pict 89504e}", "shown"),
        (r"a{\v hidden}{\deleted gone}\v x\v0 b\plain", "ab"),
        (r"{\field{\*\fldinst{HYPERLINK x}}{\fldrslt shown}}", "shown"),
        (r"{\shp{\*\shpinst{\sp{\sn n}{\sv v}}{\shptxt in a box\par}}{\shprslt again}}", "in a box"),
        (r"\trowd\intbl a\par b\cell c\cell\row\pard after\par", "a b | c\n\nafter"),
        (r"\intbl a{\*\nesttableprops\nestrow}{\nonesttables\par}\cell\row", "a"),
        ("one\\\ntwo\\par\\par\\page three", "one\n\ntwo\n\nthree"),
        (r"{\pntext 1.\tab}first\par{\listtext x}second\par plain\par", "- first\n- second\n\nplain"),
    ],
)
def test_what_is_text_and_where_it_ends(tmp_path: Path, body: str, text: str):
    assert page_of(tmp_path, body).text == text


def test_headings_by_style_and_by_level(tmp_path: Path):
    body = (
        r"{\stylesheet{\s1 heading 1;}{\s2\sbasedon1 heading 2;}{\s3 Title;}{\s4\outlinelevel1 Abschnitt;}"
        r"{\*\cs1 heading 9;}{Normal;}}\pard\s3 T\par\pard\s1 A\par\pard\s2 B\par\pard\s4 C\par\pard text\par"
        r"\pard\outlinelevel0 D\par\pard\s1\outlinelevel9 E\par\pard end"
    )
    page = page_of(tmp_path, body)
    assert [section.heading for section in page.sections] == [
        ("T",), ("T", "A"), ("T", "A", "B"), ("T", "A", "C"), ("T", "D"), ("T", "E")
    ]  # fmt: skip


def test_binary_data_is_passed_over(tmp_path: Path):
    assert page_of(tmp_path, b"{\\pict\\bin3 }}}}after").text == "after"
    assert page_of(tmp_path, b"before{\\pict\\bin-5 }").text == "before"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"{\\rtf1 cut {\\b off", "corrupt_file"),
        (b"{\\rtf1 " + b"{" * 20_000, "too_complex"),
        (b"plain text", "type_mismatch"),
        (b"", "type_mismatch"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, data: bytes, code: str):
    path = tmp_path / "x.rtf"
    path.write_bytes(data)
    with pytest.raises(DocumentRejected) as caught:
        list(rtf.parse(path))
    assert caught.value.code == code


def test_what_follows_the_document_is_not_read(tmp_path: Path):
    path = tmp_path / "x.rtf"
    path.write_bytes(b" \n{\\rtf1 text}}}} more")
    assert [page.text for page in paginate(rtf.parse(path))] == ["text"]
