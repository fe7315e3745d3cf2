"""Documents made up from a seed, each with a text of its own, and the chunks that they must become."""

import io
import random
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import docx
import pypdf
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from footnote.formats import module_for, paginate
from footnote.formats.sniffing import sniff
from footnote.ingest.chunking import split
from footnote.settings import Settings

NOUNS = ("lamp", "tower", "keeper", "lens", "ledger", "siren", "cistern", "barometer", "engine", "signal", "rope")
VERBS = ("guards", "lifts", "measures", "repairs", "carries", "watches", "tests", "records", "cools", "drains")
KINDS = ("txt", "txt", "txt", "txt", "txt", "md", "md", "html", "docx", "pdf")
PAGE_LINES = 45

Anchors = list[tuple[int, int, int, int, str]]  # position, page, char_start, char_end, text


@dataclass(frozen=True)
class Source:
    """A document to upload. `name` stands in its text and in no other's."""

    number: int
    name: str
    filename: str
    content: bytes

    @property
    def question(self) -> str:
        return f"What does the {self.name} say of the {NOUNS[self.number % len(NOUNS)]}?"

    def anchors(self) -> Anchors:
        """What ingestion must make of it, by the same parser and splitter, run undisturbed."""
        fields = Settings.model_fields  # the product runs with its defaults
        size, overlap = fields["chunk_size"].default, fields["chunk_overlap"].default
        media_type = sniff(self.content, self.filename)
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.content)
            file.flush()
            pages = paginate(module_for(media_type).parse(Path(file.name)))
            pieces = [piece for page in pages for piece in split(page, size=size, overlap=overlap)]
        return [(at, each.page, each.char_start, each.char_end, each.text) for at, each in enumerate(pieces)]


def sources(seed: int, count: int, chunks: tuple[int, int] = (1, 8), large: int = 17) -> list[Source]:
    """`count` documents of about `chunks` chunks (least, most); every `large`-th has five times as many."""
    return [_source(seed, number, chunks, 5 if number % large == large - 1 else 1) for number in range(count)]


def _source(seed: int, number: int, chunks: tuple[int, int], times: int) -> Source:
    rng = random.Random(f"{seed}-{number}")
    name = f"Station{seed}x{number:05d}"
    paragraphs = [_paragraph(rng, name) for _ in range(rng.randint(*chunks) * times)]
    kind = KINDS[number % len(KINDS)]
    return Source(number, name, f"{name}.{kind}", _WRITERS[kind](name, paragraphs))


def _paragraph(rng: random.Random, name: str) -> str:
    """About nine tenths of a chunk."""
    sentences = [f"The {name} has its own book."]
    while sum(map(len, sentences)) < 820:
        first, second = rng.sample(NOUNS, 2)
        sentences.append(f"The {first} of {name} {rng.choice(VERBS)} the {second} at {rng.randint(1, 9999)} marks.")
    return " ".join(sentences)


def _txt(_name: str, paragraphs: list[str]) -> bytes:
    return "\n\n".join(paragraphs).encode()


def _md(name: str, paragraphs: list[str]) -> bytes:
    return "\n\n".join(f"## Part {n} of {name}\n\n{each}" for n, each in enumerate(paragraphs)).encode()


def _html(name: str, paragraphs: list[str]) -> bytes:
    body = "".join(f"<h2>Part {n}</h2><p>{each}</p>" for n, each in enumerate(paragraphs))
    return f"<!doctype html><html><head><title>{name}</title></head><body>{body}</body></html>".encode()


def _docx(_name: str, paragraphs: list[str]) -> bytes:
    document, written, dated = docx.Document(), io.BytesIO(), io.BytesIO()
    for each in paragraphs:
        document.add_paragraph(each)
    document.save(dated)
    with ZipFile(dated) as now, ZipFile(written, "w", ZIP_DEFLATED) as always:
        for name in now.namelist():
            always.writestr(ZipInfo(name), now.read(name))
    return written.getvalue()


def _pdf(_name: str, paragraphs: list[str]) -> bytes:
    """Lines of Helvetica on as many pages as they need."""
    lines = textwrap.wrap(" ".join(paragraphs), 90)
    pdf = pypdf.PdfWriter()
    helvetica = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    font = DictionaryObject({NameObject(key): NameObject(value) for key, value in helvetica.items()})
    for start in range(0, len(lines), PAGE_LINES):
        page = pdf.add_blank_page(595, 842)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
        shown = " ".join(f"({line}) Tj T*" for line in lines[start : start + PAGE_LINES])
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 10 Tf 13 TL 50 780 Td {shown} ET".encode())
        page[NameObject("/Contents")] = pdf._add_object(content)
    written = io.BytesIO()
    pdf.write(written)
    return written.getvalue()


_WRITERS = {"txt": _txt, "md": _md, "html": _html, "docx": _docx, "pdf": _pdf}
