from pathlib import Path

from footnote.formats import ParsedPage, paginate
from footnote.formats.markup import md
from tests import SAMPLES


def page_of(path: Path) -> ParsedPage:
    (page,) = paginate(md.parse(path))
    return page


def test_headings_and_source_text() -> None:
    page = page_of(SAMPLES / "weather.md")
    sections = {section.heading: page.text[section.start : section.end] for section in page.sections}
    assert list(sections) == [
        (),
        ("Weather notes",),
        ("Weather notes", "Barometer"),
        ("Weather notes", "Barometer", "Storm warning"),
        ("Weather notes", "Wind"),
    ]
    assert "# not a heading\ndef storm" in sections["Weather notes", "Barometer", "Storm warning"]
    assert page.text + "\n" == (SAMPLES / "weather.md").read_text()


def test_heading_forms(tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    path.write_text("Set *ext*\n===\na\r\n\r\n## [Link](http://x) and `co_de` ##\nb\n\n> # quoted\n\n# \nc\n")
    page = page_of(path)
    assert [section.heading for section in page.sections] == [("Set ext",), ("Set ext", "Link and co_de"), ("",)]
    assert "> # quoted" in page.text
