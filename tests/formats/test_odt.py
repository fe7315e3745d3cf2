"""OpenDocument texts and presentations."""

from pathlib import Path

import pytest

from footnote.errors import DocumentRejected
from footnote.formats import ParsedPage, paginate
from footnote.formats.office import odp, odt
from tests import SAMPLES
from tests.formats.containers import archive
from tests.samples.office import opendocument


def page_of(tmp_path: Path, body: str, styles: str = "") -> ParsedPage:
    path = tmp_path / "x.odt"
    path.write_bytes(opendocument("text", body, styles))
    (page,) = paginate(odt.parse(path))
    return page


def test_headings_lists_tables_and_notes():
    (page,) = paginate(odt.parse(SAMPLES / "orders.odt"))
    sections = {section.heading: page.text[section.start : section.end].strip() for section in page.sections}
    top = "Orders for the watch"
    assert sections == {
        (top,): f"{top}\n\nThe watch is kept from the lantern room without a break.",
        (top, "At sunset"): "At sunset\n\n- Draw the curtains\n- Wind the clockwork\n  - 112 turns",
        (top, "The log"): "The log\n\nhour | entry\n04:00 | wind  and\tsea",
        ("Footnotes",): "In fog from the gallery.",
    }


def test_what_is_not_of_the_text_is_left_out(tmp_path: Path):
    body = (
        "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes><text:sequence-decls/>"
        "<text:p>be<text:span>fore<office:annotation><text:p>comment</text:p></office:annotation></text:span>\n  after"
        "<text:line-break/>line<text:soft-page-break/><draw:frame><draw:text-box><text:p>in a box</text:p>"
        "</draw:text-box></draw:frame></text:p><text:p><text:ruby><text:ruby-base>base</text:ruby-base>"
        "<text:ruby-text>ruby</text:ruby-text></text:ruby></text:p>"
    )
    assert page_of(tmp_path, body).text == "before after\nline\nin a box\n\nbase"


def test_titles_by_style_stand_above_headings(tmp_path: Path):
    body = (
        '<text:p text:style-name="P1">The title</text:p><text:h text:outline-level="1">One</text:h>'
        "<text:p>text</text:p><text:h>No level</text:h><text:p>text</text:p>"
    )
    page = page_of(tmp_path, body, '<style:style style:name="P1" style:parent-style-name="Title"/>')
    assert [section.heading for section in page.sections] == [
        ("The title",),
        ("The title", "One"),
        ("The title", "No level"),
    ]


def test_endnotes_nested_tables_and_layout_tables(tmp_path: Path):
    cell = "<table:table-row><table:table-cell><text:p>in</text:p></table:table-cell></table:table-row>"
    inner = f"<table:table>{cell}</table:table>"
    body = (
        "<table:table><table:table-header-rows><table:table-row><table:table-cell><text:p>a</text:p><text:p>b</text:p>"
        f"</table:table-cell><table:table-cell>{inner}</table:table-cell></table:table-row></table:table-header-rows>"
        "</table:table><table:table><table:table-row><table:table-cell><text:p>lay</text:p><text:p>out</text:p>"
        '</table:table-cell></table:table-row></table:table><text:p>x<text:note text:note-class="endnote">'
        "<text:note-body><text:p>the end</text:p></text:note-body></text:note></text:p>"
    )
    page = page_of(tmp_path, body)
    assert page.text == "a b | in\n\nlay\nout\n\nx\n\nthe end"
    assert page.sections[-1].heading == ("Endnotes",)


def test_repeated_spaces_are_bounded(tmp_path: Path):
    text = page_of(tmp_path, '<text:p>a<text:s text:c="999999999"/>b<text:s text:c="x"/>c</text:p>').text
    assert len(text) == 104


def test_slides_are_pages_under_their_titles():
    first, second = paginate(odp.parse(SAMPLES / "lens.odp"))
    assert first.text == "The lens\n\n- Floats in 140 kilograms of mercury\n\nShow the chamois leather."
    assert [section.heading for section in first.sections] == [("The lens",), ("The lens", "Notes")]
    assert second.text == "Questions"


def test_other_kinds_and_locked_files(tmp_path: Path):
    path = tmp_path / "x"
    manifest = "<manifest><file-entry><encryption-data/></file-entry></manifest>"
    for data, code in (
        (opendocument("spreadsheet", ""), "type_mismatch"),
        (archive({"other": ""}), "type_mismatch"),
        (archive({"content.xml": "\x93", "META-INF/manifest.xml": manifest}), "encrypted"),
        (archive({"content.xml": "\x93"}), "corrupt_file"),
        (opendocument("text", "<text:section>" * 300 + "</text:section>" * 300), "too_complex"),
    ):
        path.write_bytes(data)
        for parser in (odt, odp):
            with pytest.raises(DocumentRejected) as caught:
                list(parser.parse(path))
            assert caught.value.code == code
