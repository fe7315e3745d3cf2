"""Hits as documents of frameworks: a text, and where it stands."""

from footnote.client.shapes import Json
from footnote.client.types.answers import SearchHit


def text_of(hit: SearchHit) -> str:
    """With what is around it, where the search was asked to `expand`."""
    return hit.context.text if hit.context else hit.text


def anchors_of(hit: SearchHit) -> Json:
    """The document's metadata, and the place: `quote` is at `char_start` to `char_end` of the page's stored text."""
    return hit.metadata | {
        "source": hit.reader_url,
        "document_id": hit.document_id,
        "filename": hit.filename,
        "version": hit.version,
        "page": hit.page_start,
        "page_end": hit.page_end,
        "char_start": hit.char_start,
        "char_end": hit.char_end,
        "quote": hit.text,
        "heading": hit.heading,
        "chunk_id": hit.chunk_id,
        "reader_url": hit.reader_url,
        "score": hit.score,
    }
