"""The registry, and blocks becoming pages."""

import json
import subprocess
import sys

import pytest

from footnote import formats
from footnote.errors import DocumentRejected
from footnote.formats import Block, ParsedPage, Section, module_for, paginate, supported
from footnote.formats.sniffing import sniff
from tests import ROOT, SAMPLES


def test_every_format_is_found_and_complete() -> None:
    assert {"application/pdf", "text/plain", "text/markdown", "text/html"} < set(supported())
    for media_type, extensions in supported().items():
        assert all(extension.startswith(".") for extension in extensions)
        assert callable(module_for(media_type).parse)
    with pytest.raises(KeyError):
        module_for("image/png")


def test_listing_formats_loads_no_parser() -> None:
    heavy = [
        "pypdfium2",
        "pypdf",
        "docx",
        "lxml",
        "python_calamine",
        "selectolax",
        "markdown_it",
        "charset_normalizer",
        "pydantic",
        "asyncio",
    ]
    code = "import sys, footnote.formats.sandbox.child as c; c.module_for('text/plain'); print(*sys.modules)"
    root = ROOT
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert set(heavy) & set(loaded.stdout.split()) == set()


def test_blocks_become_pages_with_sections_that_tile_them() -> None:
    blocks = [
        Block("One\r\n", heading=("A",)),
        Block("\x00two", heading=("A",)),
        Block(" \n", heading=("X",)),
        Block("three", heading=("A", "B")),
        Block("late", page=3),
    ]
    pages = list(paginate(blocks))
    assert pages[0] == ParsedPage(
        1, "One\n\ntwo\n\n \n\nthree", [Section(0, 10, ("A",)), Section(10, 13, ("X",)), Section(13, 18, ("A", "B"))]
    )
    assert pages[1:] == [ParsedPage(2, ""), ParsedPage(3, "late", [Section(0, 4)])]


def test_first_page_without_text_is_counted() -> None:
    assert [page.number for page in paginate([Block("x", page=2)])] == [1, 2]
    assert list(paginate([])) == []


def test_a_page_may_not_be_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "PAGE_CHARACTERS", 100)
    with pytest.raises(DocumentRejected) as caught:
        list(paginate(Block("x" * 40) for _ in range(10**9)))
    assert caught.value.code == "too_large"


def test_sample_questions_quote_their_pages() -> None:
    samples = SAMPLES
    rows = [json.loads(line) for line in (samples / "questions.jsonl").read_text().splitlines()]
    assert len(rows) == 5
    for row in rows:
        path = samples / row["file"]
        pages = list(paginate(module_for(sniff(path.read_bytes(), path.name)).parse(path)))
        assert row["quote"] in pages[row["page"] - 1].text.replace("\n", " ")


def test_a_heading_path_is_bounded_because_every_chunk_below_it_carries_it():
    (page,) = paginate([Block("text", heading=("w" * 5000,) * 20)])
    assert [len(name) for name in page.sections[0].heading] == [200] * 8


def test_a_document_of_endless_pages_is_refused():
    with pytest.raises(DocumentRejected, match="too_large"):
        list(paginate(Block("x", number) for number in (1, 1_000_000)))
