from pathlib import Path

import pytest

from footnote.errors import DocumentRejected
from footnote.formats import ParsedPage, paginate
from footnote.formats.office import pptx
from tests import SAMPLES
from tests.formats.containers import archive

P = 'xmlns:p="http://purl.oclc.org/ooxml/presentationml/main" xmlns:a="http://purl.oclc.org/ooxml/drawingml/main"'
R = 'xmlns:r="http://purl.oclc.org/ooxml/officeDocument/relationships"'


def pages_of(path: Path) -> list[ParsedPage]:
    return list(paginate(pptx.parse(path)))


def relations(**targets: str) -> str:
    return "<Relationships>{}</Relationships>".format(
        "".join(
            f'<Relationship Id="{name}" Type="x/{name.rstrip("0123456789")}" Target="{target}"/>'
            for name, target in targets.items()
        )
    )


def shape(text: str, place: str = "", box: tuple[int, int, int, int] | None = None) -> str:
    frame = "" if box is None else '<a:xfrm><a:off x="{}" y="{}"/><a:ext cx="{}" cy="{}"/></a:xfrm>'.format(*box)
    return (
        f"<p:sp><p:nvSpPr><p:nvPr>{place}</p:nvPr></p:nvSpPr><p:spPr>{frame}</p:spPr><p:txBody>"
        f"<a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"
    )


def tree(shapes: str, root: str = "sld") -> str:
    return f"<p:{root} {P} {R}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:{root}>"


def deck(tmp_path: Path, *slides: str, sections: str = "", **members: str) -> Path:
    listed = "".join(f'<p:sldId id="{256 + n}" r:id="slide{n}"/>' for n in range(len(slides)))
    files = {
        "_rels/.rels": relations(officeDocument="ppt/presentation.xml"),
        "ppt/presentation.xml": f"<p:presentation {P} {R}><p:sldIdLst>{listed}</p:sldIdLst>{sections}</p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(**{f"slide{n}": f"s{n}.xml" for n in range(len(slides))}),
    }
    files |= {f"ppt/s{n}.xml": tree(shapes) for n, shapes in enumerate(slides)} | members
    path = tmp_path / "x.pptx"
    path.write_bytes(archive(dict(files)))
    return path


def test_slides_are_pages_under_their_titles():
    first, second, third = pages_of(SAMPLES / "year.pptx")
    assert first.text == "A year on the rock\n\nSkerrow Light, report to the trustees"
    assert [section.heading for section in second.sections] == [("The winter",), ("The winter", "Notes")]
    assert "Gales on 41 days\n  The worst on 9 January\n\nMention that the boat house" in second.text
    assert third.text == (
        "Visitors\n\nmonth | visitors\nJune | 212\nJuly | 385\n\n"
        "adults | tickets: 431\nchildren | tickets: 166\n\nAll came by the Petrel."
    )


def test_columns_are_read_one_after_the_other_and_rows_from_the_top(tmp_path: Path):
    right, left = (600, 300, 300, 400), (0, 300, 500, 400)
    shapes = (
        shape("below", box=(0, 800, 900, 50))
        + shape("right text", box=right)
        + shape("right head", box=(600, 200, 300, 80))
        + shape("left text", box=left)
        + shape("left head", box=(0, 200, 500, 80))
        + shape("above", box=(0, 50, 900, 120))
    )
    (page,) = pages_of(deck(tmp_path, shapes))
    assert page.text.split("\n\n") == ["above", "left head", "left text", "right head", "right text", "below"]


def test_places_are_those_of_the_layout_and_its_master(tmp_path: Path):
    slide = (
        shape("second", '<p:ph idx="2"/>')
        + shape("first", '<p:ph idx="1"/>')
        + shape("31", '<p:ph type="sldNum" idx="9"/>')
        + shape("a footer", '<p:ph type="ftr" idx="8"/>')
        + shape("The\ntitle", '<p:ph type="title"/>')
    )
    layout = shape("", '<p:ph type="subTitle" idx="1"/>') + shape("", '<p:ph idx="2"/>', (0, 500, 900, 100))
    members = {
        "ppt/_rels/s0.xml.rels": relations(slideLayout="l.xml"),
        "ppt/l.xml": tree(layout, "sldLayout"),
        "ppt/_rels/l.xml.rels": relations(slideMaster="m.xml"),
        "ppt/m.xml": tree(shape("", '<p:ph type="subTitle"/>', (0, 100, 900, 100)), "sldMaster"),
    }
    (page,) = pages_of(deck(tmp_path, slide, **members))
    assert page.text.split("\n\n") == ["The\ntitle", "first", "second", "a footer"]
    assert page.sections[0].heading == ("The title",)


def test_without_places_shapes_keep_their_order(tmp_path: Path):
    (page,) = pages_of(deck(tmp_path, shape("one", box=(0, 500, 9, 9)) + shape("two")))
    assert page.text == "one\n\ntwo"


def test_groups_alternatives_diagrams_and_line_ends(tmp_path: Path):
    slide = (
        f"<p:grpSp><p:grpSpPr/>{shape('in a group')}<p:grpSp>{shape('deeper')}</p:grpSp></p:grpSp>"
        f"<mc:AlternateContent xmlns:mc='m'><mc:Choice>{shape('chosen')}</mc:Choice><mc:Fallback>{shape('not')}"
        "</mc:Fallback></mc:AlternateContent><p:sp><p:txBody><a:p><a:r><a:t>one</a:t></a:r><a:br/><a:r><a:t>two</a:t>"
        '</a:r><a:fld type="slidenum"><a:t>7</a:t></a:fld></a:p></p:txBody></p:sp>'
        '<p:graphicFrame><a:graphic><a:graphicData><dgm:relIds xmlns:dgm="d" r:dm="data1" r:lo="layout1"/>'
        "</a:graphicData></a:graphic></p:graphicFrame>"
    )
    points = "".join(f"<dgm:pt><dgm:t><a:p><a:r><a:t>{text}</a:t></a:r></a:p></dgm:t></dgm:pt>" for text in "AB")
    slide += slide[slide.index("<p:graphicFrame>") :]  # the same diagram again
    members = {
        "ppt/_rels/s0.xml.rels": relations(data1="../ppt/d.xml"),
        "ppt/d.xml": f'<dgm:dataModel xmlns:dgm="d" {P}><dgm:ptLst>{points}</dgm:ptLst></dgm:dataModel>',
    }
    (page,) = pages_of(deck(tmp_path, slide, **members))
    assert page.text == "in a group\n\ndeeper\n\nchosen\n\none\ntwo\n\nA\nB"


def test_merged_cells_of_a_table(tmp_path: Path):
    def row(*cells: tuple[str, str]) -> str:
        return "<a:tr>{}</a:tr>".format(
            "".join(
                f"<a:tc {kind}><a:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></a:txBody></a:tc>"
                for text, kind in cells
            )
        )

    table = row(("both", 'gridSpan="2"'), ("", 'hMerge="1"')) + row(("a", ""), ("b", ""))
    frame = (
        f"<p:graphicFrame><a:graphic><a:graphicData><a:tbl>{table}</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
    )
    (page,) = pages_of(deck(tmp_path, frame))
    assert page.text == "both\na | b"


def test_sections_stand_above_titles_and_pages_stay_whole(tmp_path: Path):
    sections = '<x:section xmlns:x="x" name="Part one"><x:sldIdLst><x:sldId id="257"/></x:sldIdLst></x:section>'
    title = shape("Title", '<p:ph type="ctrTitle"/>')
    pages = pages_of(deck(tmp_path, "", title, title, sections=sections))
    assert [page.text for page in pages] == ["", "Title", "Title"]
    assert [page.sections[0].heading for page in pages[1:]] == [("Part one", "Title"), ("Title",)]


def test_a_slide_listed_twice_is_read_once(tmp_path: Path):
    again = {"ppt/_rels/presentation.xml.rels": relations(slide0="s0.xml", slide1="s0.xml")}
    pages = pages_of(deck(tmp_path, shape("once"), shape("other"), **again))
    assert [page.text for page in pages] == ["once", ""]


def test_parts_that_are_missing_take_nothing_else_with_them(tmp_path: Path):
    members = {"ppt/_rels/s0.xml.rels": relations(notesSlide="n.xml", slideLayout="l.xml", chart="c.xml")}
    again = {"ppt/_rels/presentation.xml.rels": relations(slide0="s0.xml", slide1="gone.xml")}
    pages = pages_of(deck(tmp_path, shape("text"), shape("gone"), **members, **again))
    assert [page.text for page in pages] == ["text", ""]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"_rels/.rels": "<R/>", "word/document.xml": "<document/>"}, "type_mismatch"),
        ({"ppt/presentation.xml": "<workbook/>"}, "type_mismatch"),
        ({"ppt/presentation.xml": "<presentation>"}, "corrupt_file"),
        ({"ppt/presentation.xml": "<presentation>" + "<a>" * 300 + "</a>" * 300 + "</presentation>"}, "too_complex"),
    ],
)
def test_what_is_no_presentation(tmp_path: Path, members: dict[str, str | bytes], code: str):
    path = tmp_path / "x.pptx"
    path.write_bytes(archive(members))
    with pytest.raises(DocumentRejected) as caught:
        list(pptx.parse(path))
    assert caught.value.code == code


def test_footers_of_slides_are_in_no_chunk(tmp_path: Path):
    footer = shape("Port of Lund", '<p:ph type="ftr"/>')
    slides = [shape("Catch is up") + footer, footer]
    first, second = pages_of(deck(tmp_path, *slides))
    assert first.text == "Catch is up\n\nPort of Lund"
    assert [section.aside for section in first.sections] == [False, True]
    assert [section.aside for section in second.sections] == [False]  # nothing else is there
