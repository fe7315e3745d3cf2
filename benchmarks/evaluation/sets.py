"""What is asked: folders of documents with questions and judgements of what answers them."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

UNTITLED = "-untitled"
PARTS = ("all", "dev", "test")
BY_DOCUMENT = ("nDCG@10", "recall@10", "recall@100", "MRR")
BY_PAGE = ("hit@1", "hit@5", "hit@10", "nDCG@10", "MRR")


@dataclass(frozen=True)
class Set:
    """A test collection. What is found and judged are documents, by the stem of the file name, or their pages.

    Systems are compared by the metric `main`.
    """

    name: str
    documents: Path
    questions: dict[str, str]
    judgements: dict[str, dict[str, int]] = field(repr=False)
    metrics: tuple[str, ...]
    main: str
    by_page: bool = False

    def part(self, name: str) -> list[str]:
        """Ids of the questions of one of PARTS."""
        return [each for each in self.questions if name in ("all", part_of(each))]

    def companies(self) -> dict[str, str]:
        """Whose each document is, by the stem of its name, where `documents.jsonl` says it."""
        listed = self.documents.parent / "documents.jsonl"
        return {row["doc_id"]: row["company"] for row in _rows(listed)} if listed.exists() else {}


def part_of(question_id: str) -> str:
    """Parameters are chosen on `dev` and reported on `test`; a hash decides, so that a question never moves."""
    return ("dev", "test")[hashlib.sha256(question_id.encode()).digest()[0] & 1]


def target(stem: str, page: int | None) -> str:
    """The name of a document, or of a page of it (from 1)."""
    return stem if page is None else f"{stem}#{page}"


def load(folder: Path) -> Set:
    """Reads `queries.jsonl` {id, text} and `qrels.jsonl` {query_id, doc_id, page?, relevance} beside `documents/`.

    Judgements that name pages make it a set by page. Questions without a positive judgement are left out.
    """
    judgements: dict[str, dict[str, int]] = {}
    by_page = False
    for row in _rows(folder / "qrels.jsonl"):
        by_page |= "page" in row
        name = target(row["doc_id"], row.get("page"))
        judgements.setdefault(row["query_id"], {})[name] = int(row["relevance"])
    questions = {
        row["id"]: row["text"]
        for row in _rows(folder / "queries.jsonl")
        if any(gain > 0 for gain in judgements.get(row["id"], {}).values())
    }
    judged = {question: judgements[question] for question in questions}
    metrics, main = (BY_PAGE, "hit@5") if by_page else (BY_DOCUMENT, "nDCG@10")
    return Set(folder.name, folder / "documents", questions, judged, metrics, main, by_page)


def untitled(one: Set, folder: Path) -> Set:
    """The same set with files that are called by numbers, in `folder`: what the titles of documents contribute."""
    documents = folder / "documents"
    documents.mkdir(parents=True, exist_ok=True)
    numbers = {}
    for number, path in enumerate(sorted(one.documents.iterdir())):
        numbers[path.stem] = f"{number:05}"
        named = documents / f"{number:05}{path.suffix}"
        if not named.exists():
            shutil.copyfile(path, named)

    def renamed(name: str) -> str:
        stem, *page = name.split("#")
        return "#".join([numbers[stem], *page])

    judgements = {
        question: {renamed(name): gain for name, gain in judged.items()} for question, judged in one.judgements.items()
    }
    return replace(one, name=f"{one.name}{UNTITLED}", documents=documents, judgements=judgements)


def _rows(path: Path) -> Iterable[dict[str, Any]]:
    return map(json.loads, path.read_text(encoding="utf-8").splitlines())
