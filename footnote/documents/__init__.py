"""A document's life: accepted, deduplicated, given versions, read. Its end is in `deletion`."""

from footnote.documents.accepting import Accepted, accept, make_anew
from footnote.documents.objects import new_key
from footnote.documents.reading import (
    DocumentDetails,
    ancestors,
    chunks,
    get,
    no_page,
    page_of,
    page_text,
    patch_metadata,
)

__all__ = [
    "Accepted",
    "DocumentDetails",
    "accept",
    "ancestors",
    "chunks",
    "get",
    "make_anew",
    "new_key",
    "no_page",
    "page_of",
    "page_text",
    "patch_metadata",
]
