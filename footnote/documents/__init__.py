"""A document's life: accepted, deduplicated, given versions, read. Its end is in `deletion`."""

from footnote.documents.accepting import Accepted, accept, reingest
from footnote.documents.objects import new_key
from footnote.documents.reading import (
    DocumentDetails,
    StoredText,
    ancestors,
    chunks,
    first_pages,
    get,
    list_documents,
    no_page,
    page_text,
    patch_metadata,
)

__all__ = [
    "Accepted",
    "DocumentDetails",
    "StoredText",
    "accept",
    "ancestors",
    "chunks",
    "first_pages",
    "get",
    "list_documents",
    "new_key",
    "no_page",
    "page_text",
    "patch_metadata",
    "reingest",
]
