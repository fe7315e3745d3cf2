from pathlib import Path

import pytest

from footnote.formats import ParsedPage, paginate
from footnote.formats.markup import html
from tests import SAMPLES


def page_of(path: Path) -> ParsedPage:
    (page,) = paginate(html.parse(path))
    return page


def text_of(tmp_path: Path, source: str) -> str:
    path = tmp_path / "x.html"
    path.write_text(source, encoding="utf-8")
    return page_of(path).text


def test_visible_text_headings_and_tables() -> None:
    page = page_of(SAMPLES / "visitors.html")
    for hidden in ("secret_tracking_code", "#123456", "enable scripts", "hidden template"):
        assert hidden not in page.text
    assert "Visitors are welcome from May to September. The crossing" in page.text
    assert "ticket | price\nday visit | 34 crowns\n" in page.text
    assert "Call sign   GSKW\n  Channel   16" in page.text
    assert [section.heading for section in page.sections] == [
        ("Visiting Skerrow Light",),
        ("Visiting Skerrow Light", "Tickets"),
        ("Visiting Skerrow Light", "What to bring"),
    ]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>a <b> b</b>c</p><p>d", "a bc\n\nd"),
        ("a<br>b", "a\nb"),
        ("<ul><li>a<li>b</ul>c", "a\nb\n\nc"),
        (
            "<table><tr><td><p>a</p></td><td><div>b</div>c</td></tr><tr><td></td><td>d</td></tr></table>",
            "a | b c\nd",
        ),
        ("<ol start=3><li>a<ul><li><p>x</ul><li><p>b</ol>c", "3. a\n\nx\n\n4. b\n\nc"),
        ("<p>say <q>yes</q>, he said", "say “yes”, he said"),
        ("a <img alt='A lamp'> b<img alt='x/img_1.png'><img src=y>", "a [A lamp] b"),
        ("a<p hidden>no<p style='color: red; DISPLAY:none'>no<div style='visibility: hidden'>no</div>b", "a\n\nb"),
        ("a<!-- no -->b <custom-tag>c</custom-tag>", "ab c"),
        ("<div>" * 5_000 + "deep", "deep"),
    ],
)
def test_white_space(tmp_path: Path, source: str, text: str) -> None:
    assert text_of(tmp_path, source) == text


@pytest.mark.parametrize(
    ("encoding", "label"),
    [
        ("cp1252", "iso-8859-1"),
        ("cp932", "shift_jis"),
        ("euc_jp", "EUC-JP"),
        ("utf-8", "utf-8"),
        ("cp1254", "windows-1254"),
    ],
)
def test_declared_encoding(tmp_path: Path, encoding: str, label: str) -> None:
    word = "灯台の光" if encoding in {"cp932", "euc_jp"} else "Größe"
    path = tmp_path / "x.html"
    path.write_bytes(f'<html><meta charset="{label}"><p>{word}</p>'.encode(encoding))
    assert page_of(path).text == word


def test_byte_order_mark_beats_the_label(tmp_path: Path) -> None:
    path = tmp_path / "x.html"
    path.write_bytes(b"\xef\xbb\xbf" + '<meta charset="latin1"><p>é'.encode())
    assert page_of(path).text == "é"


def test_cells_that_reach_over_rows_and_columns(tmp_path: Path) -> None:
    source = (
        "<table><caption>Oil</caption><tr><th rowspan=2>year<th colspan=2>barrels<tr><th>bought<th>burnt"
        "<tr><td>1911<td>$<td>34<tr><td>1912<td><td>(7<td>)</table>"
    )
    assert text_of(tmp_path, source) == "Oil\nyear | barrels\nbought | burnt\n1911 | $34\n1912 | (7)"


def test_long_tables_name_their_columns_in_each_row(tmp_path: Path) -> None:
    rows = "".join(
        f"<tr><td rowspan=2>keeper {n}<td>lights the lamp<td>dusk<tr><td>writes the log<td>noon" for n in range(30)
    )
    lines = text_of(tmp_path, f"<table><tr><th>who<th>what<th>when{rows}</table>").split("\n")
    assert lines[:3] == [
        "who | what | when",
        "who: keeper 0 | what: lights the lamp | when: dusk",
        "who: keeper 0 | what: writes the log | when: noon",
    ]
    assert text_of(tmp_path, f"<table><tr><td>who<td>what<td>when{rows}</table>").split("\n")[1:3] == [
        "keeper 0 | lights the lamp | dusk",
        "writes the log | noon",
    ]


def test_tables_that_arrange_a_page_are_read_like_it(tmp_path: Path) -> None:
    source = "<table><tr><td><h2>One</h2><p>text<td>menu<tr><td><h2>Two</h2>more<td></table>"
    path = tmp_path / "x.html"
    path.write_text(source)
    assert [section.heading for section in page_of(path).sections] == [("One",), ("Two",)]
    long = "word " * 100
    assert text_of(tmp_path, f"<table><tr><td><p>{long}<p>{long}<td>b<tr><td>c<td>d</table>").count("\n\n") == 1
