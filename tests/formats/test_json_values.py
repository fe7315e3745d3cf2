from pathlib import Path

import pytest

from footnote.formats import ParsedPage, paginate
from footnote.formats.plain import json_values


def page_of(path: Path, source: str) -> ParsedPage:
    path.write_text(source, encoding="utf-8")
    (page,) = paginate(json_values.parse(path))
    return page


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.json"


def test_objects_are_headings_and_records_paragraphs(path: Path) -> None:
    page = page_of(
        path,
        """{"station": "Skerrow", "lit": true, "flashes": [2, 15.0], "note": null, "keepers": [
        {"name": "Agnes", "post": {"since": 1911, "rank": "principal"}}, {"name": "Hervé", "logs": [{"day": 1}]}],
        "lamp": {"burner": {"oil": "paraffin", "litres": 1.50}}}""",
    )
    sections = {section.heading: page.text[section.start : section.end].strip() for section in page.sections}
    assert sections == {
        (): "station: Skerrow\nlit: yes\nflashes: 2, 15.0",
        ("keepers",): "name: Agnes\npost.since: 1911\npost.rank: principal\n\nname: Hervé\nlogs[1].day: 1",
        ("lamp", "burner"): "oil: paraffin\nlitres: 1.50",
    }


def test_lines_are_records(path: Path) -> None:
    assert page_of(path, '{"a": 1}\n\n{"a": 2, "b": ["x", "y"]}\n').text == "a: 1\n\na: 2\nb: x, y"


def test_long_lists_get_a_line_per_value(path: Path) -> None:
    values = [f"value {number} of the list" for number in range(20)]
    source = '{"list": [' + ", ".join(f'"{value}"' for value in values) + "]}"
    assert page_of(path, source).text == "list:\n" + "\n".join(f"- {value}" for value in values)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("// no JSON\n{a: 1}", "// no JSON\n{a: 1}"),
        ('"alone"', "alone"),
        ("[1, [2, 3]]", "1\n\n2, 3"),
        ("12e5", "12e5"),
    ],
)
def test_other_values(path: Path, source: str, text: str) -> None:
    assert page_of(path, source).text == text
