"""The position of a citation or a hit, as members in addition to OpenAI's own."""

from typing import Any

from footnote.answering import Citation
from footnote.answering.stored_responses import PLACE
from footnote.citations import links
from footnote.retrieval import Hit


def of_hit(hit: Hit) -> dict[str, Any]:
    return {name: getattr(hit, name) for name in PLACE}


def of_citation(citation: Citation, *, has_reader: bool) -> dict[str, Any]:
    """`has_reader`: whether there is a web page on which people see the quote; else the link is to the page's text.

    If `verified`, the quote is `[char_start:char_end]` of the text of page `page_start`.
    """
    boxes = citation.highlights_url
    return {
        "marker": citation.marker,
        **{name: getattr(citation, name) for name in PLACE},
        "quote": citation.quote,
        "verified": citation.verified,
        "url": links.absolute(citation.reader_path if has_reader else citation.url),
        "highlights_url": links.absolute(boxes) if boxes else None,
    }


def attributes(metadata: dict[str, Any]) -> dict[str, Any]:
    """The flat members of a document's metadata; lists and objects are seen natively only."""
    return {name: value for name, value in metadata.items() if isinstance(value, str | int | float | bool)}
