"""What was read of a document and what was not, to explain missing content. Pure functions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from footnote.formats import ParsedPage
from footnote.ingest.chunking import TextChunk
from footnote.text import is_blank, languages

MOST_LISTED = 50  # page numbers listed
MOST_ENCODINGS = 5
PAGES_HEARD = 20  # from which the language is found
UNSURE = 0.75  # a person should look at a guess of less confidence


@dataclass
class Tally:
    """Counts pages and chunks as they pass; `counts` is stored with the chunk step."""

    pages: int = 0
    chunks: int = 0
    characters: int = 0
    replaced_characters: int = 0
    pages_without_text: int = 0
    empty_pages: list[int] = field(default_factory=list)  # their numbers, the first ones
    ocr_pages: int = 0
    ocr_languages: str = ""
    encodings: dict[str, float] = field(default_factory=dict)  # guessed, with the least confidence of each
    notes: dict[str, int] = field(default_factory=dict)  # sums of the notes of its pages
    language: str = ""  # that of its first pages together, if it is clear
    spoken: dict[str, float] = field(default_factory=dict)  # what speaks for which language

    def add(self, page: ParsedPage, chunks: Sequence[TextChunk]) -> None:
        self.pages += 1
        self.chunks += len(chunks)
        self.characters += len(page.text)
        self.replaced_characters += page.text.count("\ufffd")
        for name, count in page.notes.items():
            self.notes[name] = self.notes.get(name, 0) + count
        if page.scan:
            self.ocr_pages += 1
            self.ocr_languages = page.scan.languages
        for guess in page.guesses:
            if guess.encoding in self.encodings or len(self.encodings) < MOST_ENCODINGS:
                self.encodings[guess.encoding] = min(guess.confidence, self.encodings.get(guess.encoding, 1.0))
        if self.pages <= PAGES_HEARD:
            self.spoken = languages.evidence(page.text[: languages.LOOKED_AT], self.spoken)
            self.language = languages.decided(self.spoken)
        if is_blank(page.text):
            self.pages_without_text += 1
            if len(self.empty_pages) < MOST_LISTED:
                self.empty_pages.append(page.number)

    def counts(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Warned:
    """A warning that explains missing content."""

    code: str
    message: str


def warnings(counts: Mapping[str, Any]) -> list[Warned]:
    """The warnings that the counts of the steps lead to."""
    return [*_pages(counts), *_texts(counts), *_files(counts)]


def _pages(counts: Mapping[str, Any]) -> Iterator[Warned]:
    if counts.get("pages_without_text"):
        named = ", ".join(map(str, counts["empty_pages"]))
        more = ", ..." if counts["pages_without_text"] > len(counts["empty_pages"]) else ""
        reason = "in which none could be read" if counts.get("ocr_pages") else "that need text recognition"
        yield Warned(
            "pages_without_text",
            f"{counts['pages_without_text']} of {counts['pages']} pages have no text ({named}{more}): they are "
            f"empty, or pictures {reason}.",
        )
    if counts.get("ocr_pages"):
        yield Warned(
            "recognised_pages",
            f"{counts['ocr_pages']} of {counts['pages']} pages are pictures whose text was recognised "
            f"({counts['ocr_languages']}): words may be wrong.",
        )


def _texts(counts: Mapping[str, Any]) -> Iterator[Warned]:
    if counts.get("replaced_characters"):
        replaced = f"{counts['replaced_characters']} characters could not be read and were replaced."
        yield Warned("replaced_characters", replaced)
    if counts.get("split_chunks"):
        yield Warned(
            "split_chunks",
            f"{counts['split_chunks']} of {counts['chunks']} chunks are longer than the embedding model reads: "
            "they were embedded in pieces, of which the mean is searched. Smaller chunks are found more exactly.",
        )
    if counts.get("encodings"):
        yield Warned("encoding_guessed", _guessed(counts["encodings"]))


def _files(counts: Mapping[str, Any]) -> Iterator[Warned]:
    notes = counts.get("notes") or {}
    yield from _formulas(notes)
    if notes.get("packed_damaged"):
        damaged = "A winmail.dat attachment is damaged: its text or its files may be incomplete."
        yield Warned("packed_attachment_damaged", damaged)
    if counts.get("skipped"):
        named = ", ".join(f"{each['name']} ({each['code']})" for each in counts["skipped_files"][:5])
        more = ", ..." if counts["skipped"] > 5 else ""
        yield Warned("files_skipped", f"{counts['skipped']} files within were not ingested: {named}{more}")


def _guessed(encodings: Mapping[str, float]) -> str:
    named = ", ".join(f"{name} (confidence {confidence:.2f})" for name, confidence in encodings.items())
    sure = min(encodings.values()) >= UNSURE
    advice = "If letters are wrong" if sure else "The confidence is low: check the text. If letters are wrong"
    return f"The text names no encoding that fits it. It was read as {named}. {advice}, upload it as UTF-8."


def _formulas(notes: Mapping[str, int]) -> Iterator[Warned]:
    """Formulas that the file has no values for."""
    calculated, shown = notes.get("formulas_calculated", 0), notes.get("formulas_shown", 0)
    if calculated or shown:
        yield Warned(
            "formulas_without_values",
            f"The file has no values for {calculated + shown} formulas: {calculated} were calculated when it was read, "
            f"{shown} are shown as formulas. Open and save it in a spreadsheet program to store their values.",
        )
