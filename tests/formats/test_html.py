from pathlib import Path

import pytest

from footnote.formats import Page, html, paginate

SAMPLES = Path(__file__).parents[1] / "samples"


def page_of(path: Path) -> Page:
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
            "a | b\n\nc\nd",
        ),
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
