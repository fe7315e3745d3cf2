import io
from pathlib import Path

import pypdf
import pypdfium2
import pytest

from footnote.errors import DocumentRejected
from footnote.formats import ParsedPage, paginate
from footnote.formats.pdf import pdf
from tests import SAMPLES


def pages_of(path: Path) -> list[ParsedPage]:
    return list(paginate(pdf.parse(path)))


def test_pages_and_outline() -> None:
    pages = pages_of(SAMPLES / "handbook.pdf")
    assert [page.number for page in pages] == [1, 2, 3, 4]
    assert "The bath holds 140 kilograms of mercury" in pages[1].text
    assert "siren stalls at 2.1 bar" in pages[2].text
    assert [page.sections[0].heading for page in pages][:2] == [("1. The Station",), ("2. Lamp and Lens",)]
    assert all("\r" not in page.text for page in pages)


def test_hyphens_at_line_ends_are_joined() -> None:
    page = pages_of(SAMPLES / "handbook.pdf")[0]
    assert "second assistant for stores" in page.text
    assert "\ufffe" not in page.text
    assert "rain-water cistern" in page.text


@pytest.mark.parametrize(
    ("name", "code"),
    [("encrypted.pdf", "encrypted"), ("truncated.pdf", "corrupt_file"), ("not_a_pdf.pdf", "corrupt_file")],
)
def test_refusals(name: str, code: str) -> None:
    with pytest.raises(DocumentRejected) as caught:
        pages_of(SAMPLES / name)
    assert caught.value.code == code


def test_scan_has_pages_without_text() -> None:
    assert [page.text for page in pages_of(SAMPLES / "no_text.pdf")] == [""]


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-128", "AES-256"])
def test_owner_password_alone_does_not_lock(tmp_path: Path, algorithm: str) -> None:
    writer = pypdf.PdfWriter(clone_from=SAMPLES / "handbook.pdf")
    writer.encrypt("", owner_password="owner", algorithm=algorithm)
    path = tmp_path / "owner.pdf"
    with path.open("wb") as file:
        writer.write(file)
    assert "double knock" in pages_of(path)[0].text


@pytest.mark.parametrize(("password", "code"), [("", None), ("secret", "encrypted")])
def test_pypdf_reads_what_pdfium_cannot_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str, code: str | None
) -> None:
    def refuse(_path: Path) -> None:
        raise pypdfium2.PdfiumError("broken", err_code=3)

    monkeypatch.setattr(pypdfium2, "PdfDocument", refuse)
    writer = pypdf.PdfWriter(clone_from=SAMPLES / "handbook.pdf")
    if password:
        writer.encrypt(password, algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    path = tmp_path / "x.pdf"
    path.write_bytes(out.getvalue())
    if code:
        with pytest.raises(DocumentRejected) as caught:
            pages_of(path)
        assert caught.value.code == code
    else:
        pages = pages_of(path)
        assert len(pages) == 4
        assert "140 kilograms" in pages[1].text
        assert "second assistant for stores" in pages[0].text


def test_outline_titles_divide_a_page() -> None:
    text = "tail of one\n2. Second\nbody\nThird part\nmore"
    pieces = list(pdf._divide(text, ("One",), [("Second",), ("Second", "Third\xa0part"), ("Nowhere",)]))
    assert pieces == [
        ("tail of one\n", ("One",)),
        ("2. Second\nbody\n", ("Second",)),
        ("Third part\nmore", ("Nowhere",)),
    ]
