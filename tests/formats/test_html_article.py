"""Only the article of a page is in chunks; what surrounds it is stored behind it."""

from pathlib import Path

import pytest

from footnote.formats import ParsedPage, paginate
from footnote.formats.markup import html
from footnote.ingest.chunking import split

LINKS = "".join(f'<li><a href="/{n}">Section {n} of the port</a></li>' for n in range(12))
ARTICLE = "<h1>Refunds</h1><p>Money is paid back within fourteen days when the master has signed form R-7.</p>"
MORE = "<p>The form is handed out at the gate. It is valid for a year, and for one boat alone.</p>"
COOKIES = "We use cookies for payments. Accept all or reject."


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.html"


def read(path: Path, body: str) -> tuple[ParsedPage, str]:
    """The page, and the text of its chunks."""
    path.write_text(f"<!doctype html><html><body>{body}</body></html>")
    (page,) = paginate(html.parse(path))
    chunks = split(page, size=300, overlap=40)
    assert all(page.text[chunk.char_start : chunk.char_end] == chunk.text for chunk in chunks)
    return page, "\n".join(chunk.text for chunk in chunks)


SURROUNDED = {
    "elements": f"<header><b>Port</b><nav><ul>{LINKS}</ul></nav></header>"
    f"<div class='cookie-banner'>{COOKIES}</div>"
    f"<main>{ARTICLE}{MORE}</main><aside><h3>Popular</h3><ul>{LINKS}</ul></aside>"
    "<footer>Section 9 of the port</footer>",
    "roles": f"<div role=navigation><ul>{LINKS}</ul></div><div role=main>{ARTICLE}{MORE}</div>"
    f"<div role=dialog aria-modal=true>{COOKIES}</div><div role=contentinfo>Section 9 of the port</div>",
    "names": f"<div id=topNav><ul>{LINKS}</ul></div><div class='page'>{ARTICLE}{MORE}</div>"
    f"<div id=onetrust-banner-sdk>{COOKIES}</div><div class='site-footer'>Section 9 of the port</div>",
    "links alone": f"<div><ul>{LINKS}</ul></div><div>{ARTICLE}{MORE}</div><div>{COOKIES}<button>OK</button></div>"
    f"<div><ul>{LINKS}</ul></div>",
    "layout tables": f"<table><tr><td>{LINKS.replace('li>', 'p>')}</td><td>{ARTICLE}{MORE}</td></tr></table>",
    "an article": f"<ul class=menu>{LINKS}</ul><article>{ARTICLE}{MORE}</article>"
    f"<div class=sidebar><ul>{LINKS}</ul></div>",
}


@pytest.mark.parametrize("body", SURROUNDED.values(), ids=SURROUNDED.keys())
def test_what_surrounds_the_article_is_stored_and_in_no_chunk(path: Path, body: str) -> None:
    page, chunks = read(path, body)
    assert "signed form R-7" in chunks
    assert "valid for a year" in chunks
    assert "of the port" in page.text
    assert "of the port" not in chunks
    assert ("cookies" in page.text) == ("cookies" in body)
    assert "cookies" not in chunks
    assert page.text.startswith("Refunds")
    assert {section.heading for section in page.sections if not section.aside} == {("Refunds",)}


WHOLE = {
    "a list of links": f"<h1>Index</h1><ul>{LINKS}</ul>",
    "nothing but navigation": f"<nav><ul>{LINKS}</ul></nav>",
    "an empty main": f"<main></main><div><p>{'Section 9 of the port is closed. ' * 9}</p></div>",
    "a main that is filled by a script": f"<main>Loading</main><nav>{LINKS}</nav><footer>{'Words. ' * 120}</footer>",
    "links within the text": f"<main>{ARTICLE}<h2>See</h2><ul>{LINKS}</ul></main>",
    "a list below the text": f"{ARTICLE}{MORE}<h2>See</h2><ul>{LINKS}</ul>",
    "a page about cookies": "<h1>Cookies</h1><section id=cookies>"
    f"<p>Section 9 of the port: {'biscuits and tea. ' * 120}</p></section>",
    "a recipe for cookies": f"{ARTICLE}{MORE * 5}<section id=cookies><h2>Cookies</h2>"
    "<p>Butter of the port.</p></section>",
    "a chapter of a policy": f"{ARTICLE}{MORE * 5}<div class=privacy-notice>Visitors of the port are filmed.</div>",
    "forms to choose from": f"<h1>Forms</h1><ul>{LINKS}</ul><p>Ask at the desk which of the forms you need today.</p>",
    "a note": f"<main>{ARTICLE}<aside class='admonition note'>Section 9 of the port is closed.</aside></main>",
}


@pytest.mark.parametrize("body", WHOLE.values(), ids=WHOLE.keys())
def test_what_may_be_the_content_is_indexed(path: Path, body: str) -> None:
    _, chunks = read(path, body)
    assert "of the port" in chunks


def test_headings_of_the_surroundings_do_not_stand_above_the_article(path: Path) -> None:
    page, _ = read(path, f"<nav><h2>Menu</h2>{LINKS}</nav><main><p>{'The lamp is lit at dusk. ' * 9}</p></main>")
    assert page.sections[0].heading == ()
    assert not page.sections[0].aside


def test_a_title_outside_the_article_stays(path: Path) -> None:
    _, chunks = read(path, f"<header><h1>Moorings</h1></header><main>{MORE}{MORE}</main><nav>{LINKS}</nav>")
    assert chunks.startswith("Moorings")
