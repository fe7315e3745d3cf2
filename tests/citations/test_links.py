"""Links to the reader: one function makes them, and the web page's router reads them."""

import re
from pathlib import Path

from api.public_address import origin_of
from footnote.answering import Citation
from footnote.citations import links

UI = Path("api/static/ui/src")


def citation() -> Citation:
    return Citation(1, "doc_7", "a.pdf", 3, 12, 12, 194, 311, "words", verified=True, score=0.5, chunk_id="chk_1")


def test_the_router_of_the_page_reads_each_address() -> None:
    router, page = (UI / "router.js").read_text(), (UI / "screens" / "page.js").read_text()
    pattern = re.search(r"\[/(\^\\/d.*?\$)/, \"page\"", router)
    assert pattern is not None
    read = re.compile(pattern.group(1).replace("\\/", "/"))
    addresses = [links.path_of(citation()), links.reader_path("doc_7", 12), links.reader_path("doc_7")]
    found = [read.fullmatch(each.partition("?")[0]) for each in addresses]
    assert [each and each.groups() for each in found] == [("doc_7", "12"), ("doc_7", "12"), ("doc_7", None)]
    assert addresses[0].partition("?")[2] == "v=3&from=194&to=311"
    assert all(f'query.get("{name}")' in page for name in ("v", "from", "to"))


def test_the_origin_is_as_the_client_named_it_and_never_what_is_no_host() -> None:
    def origin(host: bytes) -> str:
        return origin_of({"scheme": "http", "headers": [(b"host", host)], "server": ("::1", 8000)})

    assert origin(b"docs.example.com:81") == "http://docs.example.com:81"
    assert origin(b"[::1]:8000") == "http://[::1]:8000"
    assert {origin(each) for each in (b"", b'x"><b', b"a/b", b"a b", b"user@host")} == {"http://[::1]:8000"}
