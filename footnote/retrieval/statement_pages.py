"""A second, narrow look for the financial statements that a question names.

A statement consists of labels and figures, so a question has few of its words. It is looked for by the words that
statements have, in the documents that the question names by company and year.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from footnote.extracts import statements
from footnote.extracts.calendar import quarters, years
from footnote.extracts.question_names import named
from footnote.extracts.statements import Statement

if TYPE_CHECKING:
    from footnote.retrieval import Hit, Query

MOST = 2  # statements of a question
LOOKED_AT = 60  # chunks that may be the statement
SHORT = 4  # letters of a name that is looked for as a whole word only
DOCUMENTS = 4  # at most, that the question names
STATED = 1.5  # what it is worth that a line stands there which the question asks for
SHOWN = 2  # chunks of a statement

_PARTS = re.compile(r"[\W_]+")


def wanted(query: "Query") -> list[Statement]:
    """The statements that the question names; none where words are not compared."""
    return [] if query.mode == "vector" else statements.named(query.text)


def focused(query: "Query", statement: Statement, found: "Sequence[Hit]") -> "Query":
    """The query for the chunks of a statement, in the documents that the question names, if it names any."""
    text = " ".join((statement.words, *statements.stated(query.text)))
    documents = _named(query.text, found)
    if not documents:
        return replace(query, text=f"{query.text} {text}", mode="keyword")
    return replace(query, text=text, mode="keyword", document_ids=documents)


def first(statement: Statement, query: "Query", found: "Sequence[Hit]") -> "list[Hit]":
    """Those of the hits that are of the statement, the likeliest first."""
    terms = [statements.plain(term) for term in statements.stated(query.text)]

    def likely(hit: "Hit") -> float:
        surely, text = statements.likeness(statement, hit.text, hit.heading), statements.plain(hit.text)
        return surely and surely + STATED * any(term in text for term in terms)

    ranked = sorted(((likely(hit), hit) for hit in found), key=lambda pair: -pair[0])
    likeliest = [hit for surely, hit in ranked if surely]
    return [hit for hit in likeliest if _is_beside(hit, likeliest[0])][:SHOWN]


def _is_beside(one: "Hit", other: "Hit") -> bool:
    return one.version_id == other.version_id and abs(one.page_start - other.page_start) <= 1


def _named(question: str, found: "Sequence[Hit]") -> list[str]:
    """The documents among those found whose names have most of the question's names, years and quarters."""
    asked = _names(question)
    dated = {str(year) for _, _, year in years(question, asked=True)}
    quarterly = {f"q{number}" for _, _, number in quarters(question)}
    worth = {hit.document_id: _naming(hit.filename.lower(), asked, dated, quarterly) for hit in found}
    best = max(worth.values(), default=0.0)
    named = [document for document, each in worth.items() if each == best]
    return named[:DOCUMENTS] if best >= 1 else []


def _names(question: str) -> frozenset[str]:
    """Names in the question, also joined as names of files join them: `bestbuy`."""
    found = [[part.lower() for part in each.parts] for each in named(question) if each.kind == "name"]
    return frozenset(word for parts in found for word in (*parts, "".join(parts)))


def _naming(filename: str, asked: frozenset[str], dated: set[str], quarterly: set[str]) -> float:
    """1 for a word of the question that stands in the name, more for its year and its quarter."""
    parts, joined = set(_PARTS.split(filename.rpartition(".")[0])), _PARTS.sub("", filename)
    if not any(word in parts or (len(word) > SHORT and word in joined) for word in asked):
        return 0.0
    return 1.0 + any(year in joined for year in dated) + 0.5 * any(quarter in joined for quarter in quarterly)
