import time
from pathlib import Path

import pytest

from footnote.errors import DocumentRejected
from footnote.formats import ParsedPage, paginate
from footnote.formats.markup import epub
from tests import SAMPLES
from tests.formats.containers import archive


def pages_of(path: Path) -> list[ParsedPage]:
    return list(paginate(epub.parse(path)))


def headings(page: ParsedPage) -> list[tuple[str, ...]]:
    return [section.heading for section in page.sections]


def book(tmp_path: Path, *documents: str, contents: str = "", **members: str | bytes) -> Path:
    """A book of these documents, `d0.html` and so on, with an NCX."""
    items = "".join(
        f'<item id="d{number}" href="d{number}.html" media-type="application/xhtml+xml"/>'
        for number in range(len(documents))
    )
    references = "".join(f'<itemref idref="d{number}"/>' for number in range(len(documents)))
    files: dict[str, str | bytes] = {
        "META-INF/container.xml": '<c><rootfiles><rootfile full-path="b/p.opf"/></rootfiles></c>',
        "b/p.opf": f'<package><manifest>{items}<item id="ncx" href="t/c.ncx" media-type="application/x-dtbncx+xml"/>'
        f"</manifest><spine>{references}</spine></package>",
        "b/t/c.ncx": f"<ncx><navMap>{contents}</navMap></ncx>",
    }
    files |= {f"b/d{number}.html": document for number, document in enumerate(documents)}
    path = tmp_path / "x.epub"
    path.write_bytes(archive(files | {name.replace("__", "/"): data for name, data in members.items()}))
    return path


def point(title: str, target: str, inner: str = "") -> str:
    return f"<navPoint><navLabel><text>{title}</text></navLabel><content src='../{target}'/>{inner}</navPoint>"


def test_documents_are_pages_under_the_table_of_contents():
    first, second = pages_of(SAMPLES / "keeper.epub")
    assert first.text == "The keeper\n\nAgnes Tolmie came to the rock in 1874."
    assert headings(first) == [("Part one", "The keeper")]
    assert second.text == "She stayed for thirty\u00a0years.\n\nThe storm\n\nThe wind rose at four."
    assert headings(second) == [("Part one", "The keeper"), ("Part one", "The storm")]


def test_the_table_of_contents_divides_a_document(tmp_path: Path):
    one = "<h1>1. Dawn</h1><p>a</p><h2>Early</h2><p>b</p><h2 id='noon'>2. Noon</h2><p>c</p><h3>Later</h3><p>d</p>"
    contents = point("Dawn", "d0.html", point("Noon", "d0.html#noon")) + point("", "d0.html#x")
    first, second, third = pages_of(book(tmp_path, one, "<p>e</p>", "<h1>Index</h1><p>f</p>", contents=contents))
    assert headings(first) == [
        ("1. Dawn",),
        ("1. Dawn", "Early"),
        ("Dawn", "2. Noon"),
        ("Dawn", "2. Noon", "Later"),
    ]
    assert headings(second) == [("Dawn", "Noon")]
    assert headings(third) == [("Index",)]


def test_empty_elements_close_themselves(tmp_path: Path):
    document = (
        "<html><head><title/><script src='a>b'/></head><body><h2/><a id='x'/><p class='q'/>text<br/>more</body></html>"
    )
    (page,) = pages_of(book(tmp_path, document))
    assert page.text == "text\nmore"
    assert headings(page) == [()]


def test_pages_stay_whole_and_each_document_is_read_once(tmp_path: Path):
    package = (
        '<package><manifest><item id="a" href="d0.html" media-type="application/xhtml+xml"/>'
        '<item id="i" href="i.svg" media-type="image/svg+xml"/></manifest><spine><itemref idref="i"/>'
        '<itemref idref="a"/><itemref idref="missing"/><itemref idref="a"/></spine></package>'
    )
    pages = pages_of(book(tmp_path, "<p>text</p>", b__p_opf="", **{"b/p.opf": package}))
    assert [page.text for page in pages] == ["", "text", "", ""]


def test_a_book_without_its_lists_is_still_found(tmp_path: Path):
    path = book(tmp_path, "<p>text</p>", **{"META-INF/container.xml": "<c/>", "b/t/c.ncx": "<ncx>&nbsp;"})
    assert [page.text for page in pages_of(path)] == ["text"]


@pytest.mark.parametrize(
    ("algorithm", "code"),
    [("http://www.w3.org/2001/04/xmlenc#aes128-cbc", "encrypted"), ("http://www.idpf.org/2008/embedding", None)],
)
def test_protected_books(tmp_path: Path, algorithm: str, code: str | None):
    encryption = (
        f'<encryption><EncryptedData><EncryptionMethod Algorithm="{algorithm}"/><CipherData>'
        '<CipherReference URI="b/d0.html"/></CipherData></EncryptedData></encryption>'
    )
    path = book(tmp_path, "<p>text</p>", **{"META-INF/encryption.xml": encryption})
    if code is None:
        assert pages_of(path)[0].text == "text"
    else:
        with pytest.raises(DocumentRejected, match=code) as caught:
            pages_of(path)
        assert "protected against copying" in caught.value.message


def test_references_lead_nowhere_else(tmp_path: Path):
    package = (
        '<package><manifest><item id="a" href="{}" media-type="text/html"/></manifest>'
        '<spine><itemref idref="a"/></spine></package>'
    )
    secret = tmp_path / "secret.html"
    secret.write_text("top secret")
    for target in (f"file://{secret}", "http://127.0.0.1:9/x", str(secret), "../../../secret.html"):
        path = book(tmp_path, "", **{"b/p.opf": package.format(target)})
        assert [page.text for page in pages_of(path)] == [""]


def test_markup_without_end_is_looked_through_once(tmp_path: Path):
    started = time.process_time()
    for tag in ("<a " + " id='x " * 100_000, "<a " + "\"x' " * 100_000, "<a " * 100_000):
        pages_of(book(tmp_path, f"<p>text</p>{tag}"))
    assert time.process_time() - started < 10
