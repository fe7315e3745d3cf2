"""What PDFium's text of a page lacks: whole rows, values of forms at their labels, comments."""

from pathlib import Path
from typing import Any

import pypdf
import pytest
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    FloatObject,
    NameObject,
    NumberObject,
    RectangleObject,
    StreamObject,
    TextStringObject,
)

from footnote.formats import paginate
from footnote.formats.pdf import pdf

FONTS = DictionaryObject(
    {
        NameObject("/Font"): DictionaryObject(
            {
                NameObject("/F"): DictionaryObject(
                    {
                        NameObject("/Type"): NameObject("/Font"),
                        NameObject("/Subtype"): NameObject("/Type1"),
                        NameObject("/BaseFont"): NameObject("/Helvetica"),
                        NameObject("/Encoding"): NameObject("/WinAnsiEncoding"),
                    }
                )
            }
        )
    }
)


def stream(content: str) -> StreamObject:
    made = StreamObject()
    made.set_data(content.encode("cp1252"))
    return made


def shown(x: float, y: float, text: str, size: float = 10) -> str:
    return f"BT /F {size} Tf {x} {y} Td ({text}) Tj ET\n"


def annotation(kind: str, box: tuple[float, float, float, float], drawn: str = "", **entries: str) -> DictionaryObject:
    """An annotation; what it draws is text at its lower left corner."""
    made = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Annot"),
            NameObject("/Subtype"): NameObject(f"/{kind}"),
            NameObject("/Rect"): RectangleObject(box),
            NameObject("/F"): NumberObject(4),
        }
    )
    made.update({NameObject(f"/{name}"): TextStringObject(value) for name, value in entries.items()})
    if drawn:
        look = stream(shown(2, 3, drawn))
        look[NameObject("/Subtype")] = NameObject("/Form")
        look[NameObject("/BBox")] = ArrayObject(map(FloatObject, (0, 0, box[2] - box[0], box[3] - box[1])))
        look[NameObject("/Resources")] = FONTS
        made[NameObject("/AP")] = DictionaryObject({NameObject("/N"): look})
    return made


def text_of(path: Path, content: str, *annotations: DictionaryObject, crop: tuple[float, ...] = ()) -> str:
    """The text of a page that is written to `path` and read."""
    writer = pypdf.PdfWriter()
    page = writer.add_blank_page(600, 800)
    page[NameObject("/Resources")] = FONTS
    page[NameObject("/Contents")] = writer._add_object(stream(content))
    for one in annotations:
        looks: Any = one.get("/AP", {})
        looks.update({name: writer._add_object(look) for name, look in looks.items()})
    page[NameObject("/Annots")] = ArrayObject(map(writer._add_object, annotations))
    if crop:
        page.cropbox = RectangleObject(crop)
    with path.open("wb") as file:
        writer.write(file)
    (only,) = paginate(pdf.parse(path))
    return only.text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.pdf"


def test_raised_and_lowered_figures_stay_in_their_row(path: Path) -> None:
    content = (
        shown(50, 700, "Statutes") + shown(86.7, 705, "1", 6) + shown(90.1, 700, ", and H")
        + shown(122.4, 696, "2", 6) + shown(125.8, 700, "O flows.") + shown(50, 680, "Next line")
    )  # fmt: skip
    assert text_of(path, content) == "Statutes1, and H2O flows.\nNext line"


def test_columns_on_one_height_are_not_one_row(path: Path) -> None:
    content = shown(50, 700, "left one") + shown(50, 688, "left two") + shown(300, 700, "right one")
    assert text_of(path, content) == "left one\nleft two\nright one"


def test_a_hyphen_is_dropped_only_before_a_small_letter(path: Path) -> None:
    content = (
        shown(50, 700, "the imple-") + shown(50, 688, "mentation by Dream-") + shown(50, 676, "Works, page produc-")
    )
    assert text_of(path, content + shown(50, 100, "226 Title")) == (
        "the implementation by Dream-\nWorks, page produc-\n226 Title"
    )


def test_accents_are_set_on_the_letters_they_stand_over(path: Path) -> None:
    content = shown(50, 700, "na") + shown(61.1, 700, "\xa8") + shown(61.1, 700, "i") + shown(63.4, 700, "ve \xa8 free")
    assert text_of(path, content) == "naïve ¨ free"


def test_what_is_printed_off_the_page_is_not_read(path: Path) -> None:
    content = shown(50, 700, "on the page") + shown(50, 780, "file.qxd 2/10/04")
    assert text_of(path, content, crop=(0, 0, 600, 750)) == "on the page"


def test_values_of_fields_stand_at_their_labels(path: Path) -> None:
    content = (
        shown(50, 700, "Name:") + shown(200, 700, "Born:") + shown(50, 650, "Remarks") + shown(70, 600, "I agree")
        + shown(300, 650, "Colour")
    )  # fmt: skip
    filled = text_of(
        path,
        content,
        annotation("Widget", (240, 697, 300, 710), "1970"),
        annotation("Widget", (85, 697, 190, 710), "Ada"),
        annotation("Widget", (50, 620, 190, 645), "none at all"),
        annotation("Widget", (50, 598, 62, 610), "X"),
        annotation("Widget", (340, 648, 400, 660), V="red"),
        annotation("Widget", (340, 620, 352, 632), V="Off"),
        annotation("Stamp", (400, 20, 500, 40), "PAID"),
    )
    assert filled == "Name: Ada Born: 1970\nRemarks\nnone at all\nX I agree\nColour red\nPAID"


def test_the_value_of_a_field_is_whole_where_its_look_is_not(path: Path) -> None:
    cut = annotation("Widget", (85, 697, 130, 710), "Ada Love", V="Ada Lovelace")
    combed = annotation("Widget", (85, 677, 130, 690), "1 2 3", V="123")
    content = shown(50, 700, "Name:") + shown(50, 680, "No.")
    assert text_of(path, content, cut, combed) == "Name: Ada Lovelace\nNo. 123"


def test_comments_stand_below_the_page(path: Path) -> None:
    notes = (
        annotation("Highlight", (50, 695, 80, 705), Contents="Check."),
        annotation("Text", (500, 700, 510, 710), T="Ada", Contents="Is this so?"),
        annotation("Highlight", (50, 695, 80, 710), Contents="The lamp"),
        annotation("Link", (50, 695, 80, 710), Contents="hidden"),
    )
    assert text_of(path, shown(50, 700, "The lamp burns."), *notes) == (
        "The lamp burns.\nComment (Ada): Is this so?\nComment: Check."
    )
    hidden = annotation("Text", (500, 700, 510, 710), Contents="Is this so?")
    hidden[NameObject("/F")] = NumberObject(2)
    assert text_of(path, shown(50, 700, "The lamp burns."), hidden) == "The lamp burns."
