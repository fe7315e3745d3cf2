from pathlib import Path

from footnote.formats import ParsedPage, paginate
from footnote.formats.markup import rst
from tests import SAMPLES


def page_of(path: Path) -> ParsedPage:
    (page,) = paginate(rst.parse(path))
    return page


def test_sections_and_source_text() -> None:
    page = page_of(SAMPLES / "signals.rst")
    sections = {section.heading: page.text[section.start : section.end] for section in page.sections}
    assert list(sections) == [("Signals",), ("Signals", "By night"), ("Signals", "In fog")]
    assert "    red\n    red" in sections["Signals", "By night"]
    assert page.text + "\n" == (SAMPLES / "signals.rst").read_text()


def test_levels_follow_the_order_of_their_characters(tmp_path: Path) -> None:
    path = tmp_path / "x.rst"
    path.write_text(
        "One\n===\n\nTwo\n~~~\ntext\n\n====\nOver\n====\n\n"
        ":ref:`Three <x>` and ``code``\n==============================\n\n"
        "====  =====\nno    title\n====  =====\n\ntransition\n\n-----\n\nshort underline\n---\n\n"
        "    Indented\n    --------\n"
    )
    assert [section.heading for section in page_of(path).sections] == [
        ("One",),
        ("One", "Two"),
        ("One", "Two", "Over"),
        ("Three and code",),
    ]
