"""Documents made up from a seed, each with a text of its own, and the chunks that they must become."""

import io
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

import docx

from footnote.chunking import split
from footnote.formats import module_for, paginate
from footnote.formats.sniffing import sniff

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

    def anchors(self, size: int = 1000, overlap: int = 150) -> Anchors:
        """What ingestion must make of it, by the same parser and splitter, run undisturbed."""
        media_type = sniff(self.content, self.filename)
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.content)
            file.flush()
            pages = paginate(module_for(media_type).parse(Path(file.name)))
            pieces = [piece for page in pages for piece in split(page, size=size, overlap=overlap)]
        return [(at, each.page, each.char_start, each.char_end, each.text) for at, each in enumerate(pieces)]


def sources(seed: int, count: int, chunks: tuple[int, int] = (1, 8), large: int = 17) -> list[Source]:
    """`count` documents of about so many chunks; every `large`-th one has five times as many."""
    return [_source(seed, number, chunks, 5 if number % large == large - 1 else 1) for number in range(count)]


def _source(seed: int, number: int, chunks: tuple[int, int], times: int) -> Source:
    rng = random.Random(f"{seed}-{number}")  # noqa: S311  reproducible, not secret
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
    document = docx.Document()
    for each in paragraphs:
        document.add_paragraph(each)
    written = io.BytesIO()
    document.save(written)
    return written.getvalue()


def _pdf(_name: str, paragraphs: list[str]) -> bytes:
    """Lines of Helvetica on as many pages as they need."""
    words, lines = " ".join(paragraphs).split(), [""]
    for word in words:
        lines[-1:] = [f"{lines[-1]} {word}".strip()] if len(lines[-1]) + len(word) < 90 else [lines[-1], word]
    pages = [lines[start : start + PAGE_LINES] for start in range(0, len(lines), PAGE_LINES)]
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, page in enumerate(pages):
        shown = "BT /F1 10 Tf 13 TL 50 780 Td " + " ".join(f"({line}) Tj T*" for line in page) + " ET"
        objects += [
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> "
            f"/Contents {5 + 2 * number} 0 R >>",
            f"<< /Length {len(shown)} >>\nstream\n{shown}\nendstream",
        ]
    out, offsets = "%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{each}\nendobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    return f"{out}xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}".encode()


_WRITERS = {"txt": _txt, "md": _md, "html": _html, "docx": _docx, "pdf": _pdf}
