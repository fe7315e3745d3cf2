"""`make eval-extraction`: how much of a corpus's expected text comes out, and on the right page.

A corpus is a folder with `manifest.jsonl`: a path, a kind (normal, scanned, encrypted, malformed, ...), what is
expected of the file (`text`, `reject` or `any`) and snippets of its text, some with their page. A snippet is
found when it stands in the document's text after Unicode compatibility, case, dashes, quotes and white space are
made alike and words are joined that were hyphenated at a line's end. Documents are read as in production, each by
a child process, and split into chunks; bare extractors read the same files in the same run for comparison.
"""

import argparse
import asyncio
import json
import logging
import re
import shutil
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from footnote.errors import FootnoteError
from footnote.formats.sandbox.parent import read_pages
from footnote.formats.sniffing import HEAD_BYTES, sniff
from footnote.ingest.chunking import split
from footnote.settings import Settings

CORPUS = Path("../shared/corpora/dev_set")

_ALIKE = (
    dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"), "-")
    | dict.fromkeys(map(ord, "\u2018\u2019\u201a\u201b\u2032`"), "'")
    | dict.fromkeys(map(ord, "\u201c\u201d\u201e\u00ab\u00bb\u2033"), '"')
    | dict.fromkeys(map(ord, "\u00ad\u200b\ufeff"), "")
)
_HYPHENATED = re.compile(r"(?<=\w)-[ \t]*\r?\n[ \t]*(?=[a-z])")


def normalised(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).translate(_ALIKE)
    return " ".join(_HYPHENATED.sub("", text).split()).lower()


@dataclass(frozen=True)
class Snippet:
    text: str
    page: int | None


@dataclass(frozen=True)
class Case:
    """A line of the manifest."""

    path: Path
    format: str
    kind: str
    expect: str
    snippets: list[Snippet]
    forbidden: str


@dataclass
class Outcome:
    """What an extractor made of a file: its pages and chunks, or the code it refused the file with."""

    pages: list[str] = field(default_factory=list)
    chunks: list[str] = field(default_factory=list)
    refused: str = ""
    seconds: float = 0.0


@dataclass
class Score:
    """Counts over the snippets of one format, by one extractor."""

    files: int = 0
    snippets: int = 0
    found: int = 0
    in_a_chunk: int = 0
    paged: int = 0
    on_page: int = 0
    seconds: float = 0.0

    def add(self, case: Case, outcome: Outcome) -> list[Snippet]:
        """Counts a file; returns the snippets that were not found."""
        text, pages = normalised("\n".join(outcome.pages)), list(map(normalised, outcome.pages))
        chunks = list(map(normalised, outcome.chunks))
        wanted = {snippet: normalised(snippet.text) for snippet in case.snippets}
        missed = [snippet for snippet, words in wanted.items() if words not in text]
        self.files += 1
        self.seconds += outcome.seconds
        self.snippets += len(wanted)
        self.found += len(wanted) - len(missed)
        self.in_a_chunk += sum(any(words in chunk for chunk in chunks) for words in wanted.values())
        for snippet, words in wanted.items():
            if snippet.page and len(pages) > 1 and snippet not in missed:
                self.paged += 1
                self.on_page += words in "".join(pages[snippet.page - 1 : snippet.page])
        return missed


Extractor = Callable[[Path], Outcome]


def cases(corpus: Path) -> Iterator[Case]:
    for row in map(json.loads, (corpus / "manifest.jsonl").read_text().splitlines()):
        rows: list[dict[str, Any]] = row.get("more_snippets", [])
        if "expected_snippet" in row:
            rows = [{"text": row["expected_snippet"], "page": row.get("expected_page")}, *rows]
        snippets = [Snippet(one["text"], one.get("page")) for one in rows]
        path = corpus / row["path"]
        kind = path.suffix[1:].lower()
        yield Case(path, kind, row["kind"], row["expect"], snippets, row.get("forbidden_snippet", ""))


def footnote(settings: Settings) -> Extractor:
    """Our own reading: type from the content, a child process per document, chunks of the default size."""

    async def read(path: Path) -> Outcome:
        outcome = Outcome()
        with path.open("rb") as file:
            media_type = sniff(file.read(HEAD_BYTES), path.name)
        async for page in read_pages(path, media_type, settings.parse_limits):
            outcome.pages.append(page.text)
            for chunk in split(page, size=settings.chunk_size, overlap=settings.chunk_overlap):
                if page.text[chunk.char_start : chunk.char_end] != chunk.text:
                    raise AssertionError(f"{path}: the anchor {chunk.char_start}:{chunk.char_end} is not exact")
                outcome.chunks.append(chunk.text)
        return outcome

    def extract(path: Path) -> Outcome:
        try:
            return asyncio.run(read(path))
        except FootnoteError as error:
            return Outcome(refused=error.code)

    return extract


def plain(path: Path) -> Outcome:
    """pypdf's pages, python-docx's paragraphs, or the bytes as UTF-8: what a first version would do."""
    try:
        return Outcome(_PLAIN.get(path.suffix.lower(), _decoded)(path))
    except Exception as error:
        return Outcome(refused=type(error).__name__)


def _pypdf_pages(path: Path) -> list[str]:
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    return [page.extract_text() for page in PdfReader(path).pages]


def _docx_paragraphs(path: Path) -> list[str]:
    from docx import Document

    document: Any = Document(str(path))
    return ["\n".join(paragraph.text for paragraph in document.paragraphs)]


def _decoded(path: Path) -> list[str]:
    return [path.read_bytes().decode("utf-8", errors="replace")]


_PLAIN = {".pdf": _pypdf_pages, ".docx": _docx_paragraphs}


def pdftotext(path: Path) -> Outcome:
    if path.suffix.lower() != ".pdf":
        return Outcome(refused="not a PDF")
    command = ["pdftotext", "-enc", "UTF-8", str(path), "-"]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    return Outcome(done.stdout.decode("utf-8", "replace").split("\f"), refused="refused" if done.returncode else "")


class Evaluation:
    """Runs the extractors over a corpus and keeps what came of it."""

    def __init__(self, extractors: dict[str, Extractor]) -> None:
        self._extractors = extractors
        self.scores: dict[str, dict[str, Score]] = {}
        self.misses: list[tuple[Case, Snippet]] = []
        self.leaks: list[Case] = []
        self.outcomes: list[tuple[Case, Outcome]] = []

    def add(self, case: Case) -> None:
        for name, extract in self._extractors.items():
            ours = name == next(iter(self._extractors))
            if not ours and not case.snippets:
                continue
            started = time.perf_counter()
            outcome = extract(case.path)
            outcome.seconds = time.perf_counter() - started
            for group in (case.format, "all"):
                missed = self.scores.setdefault(group, {}).setdefault(name, Score()).add(case, outcome)
            if ours:
                self.misses += [(case, snippet) for snippet in missed]
                self.outcomes.append((case, outcome))
                if case.forbidden and normalised(case.forbidden) in normalised("\n".join(outcome.pages)):
                    self.leaks.append(case)

    def surprises(self) -> list[tuple[Case, Outcome]]:
        """Files that ended otherwise than the manifest expects."""
        wanted = {"text": False, "reject": True}  # whether it is refused; `any` leaves it open
        return [
            (case, outcome)
            for case, outcome in self.outcomes
            if bool(outcome.refused) is not wanted.get(case.expect, bool(outcome.refused))
        ]


def share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "-"


def table(evaluation: Evaluation) -> Iterator[str]:
    """The scores as a Markdown table, a line per format."""
    others = list(evaluation.scores["all"])[1:]
    head = ["format", "files", "snippets", "Footnote", "whole in a chunk", "page right", "s"]
    head += [title for name in others for title in (name, "page right", "s")]
    yield "| " + " | ".join(head) + " |"
    yield "|---" * len(head) + "|"
    for group in sorted(evaluation.scores, key=lambda name: (name == "all", name)):
        ours, *rest = evaluation.scores[group].values()
        row = [group, str(ours.files), str(ours.snippets), share(ours.found, ours.snippets)]
        row += [share(ours.in_a_chunk, ours.snippets), share(ours.on_page, ours.paged), f"{ours.seconds:.1f}"]
        for score in rest:
            row += [share(score.found, score.snippets), share(score.on_page, score.paged), f"{score.seconds:.1f}"]
        yield "| " + " | ".join(row + ["-"] * (len(head) - len(row))) + " |"


def report(evaluation: Evaluation, corpus: Path) -> Iterator[str]:
    yield from ["# Extraction", "", f"Snippets of {corpus.name} found word for word; times are wall seconds.", ""]
    yield from table(evaluation)
    yield from ["", "## Not found", ""]
    for case, snippet in evaluation.misses:
        yield f"- {case.path.relative_to(corpus)}: {snippet.text!r}"
    yield from ["", "## Not as expected", ""]
    for case, outcome in evaluation.surprises():
        yield f"- {case.path.relative_to(corpus)} ({case.kind}): {outcome.refused or 'read'}"
    for case in evaluation.leaks:
        yield f"- {case.path.relative_to(corpus)}: text of a script or style came out"
    yield from ["", "## Files of other kinds than normal", "", "| file | kind | outcome |", "|---|---|---|"]
    for case, outcome in evaluation.outcomes:
        if case.kind != "normal" or case.expect != "text":
            yield f"| {case.path.relative_to(corpus)} | {case.kind} | {outcome.refused or 'read'} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="folder with a manifest.jsonl (%(default)s)")
    parser.add_argument("--report", type=Path, help="where to write the table as Markdown")
    parser.add_argument("--formats", default="", help="only these, by extension: pdf,docx")
    parser.add_argument("--alone", action="store_true", help="without the bare extractors")
    arguments = parser.parse_args()
    extractors = {"Footnote": footnote(Settings(_env_file=None, ocr="off"))}
    if not arguments.alone:
        extractors["plain pypdf, python-docx"] = plain
        if shutil.which("pdftotext"):
            extractors["pdftotext"] = pdftotext
    evaluation = Evaluation(extractors)
    for case in cases(arguments.corpus):
        if case.format in (arguments.formats.split(",") if arguments.formats else [case.format]):
            evaluation.add(case)
    lines = list(report(evaluation, arguments.corpus))
    print("\n".join(lines))
    if arguments.report:
        arguments.report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
