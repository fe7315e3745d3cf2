"""A document's life: accepted, deduplicated, given versions, read. Its end is in `deletion`."""

from footnote.documents.accepting import Accepted, accept, reingest
from footnote.documents.objects import new_key
from footnote.documents.reading import (
    DocumentDetails,
    Sort,
    StoredText,
    Wanted,
    ancestors,
    chunks,
    count_documents,
    first_pages,
    get,
    known,
    list_documents,
    no_page,
    page_text,
    patch_metadata,
    replace_metadata,
)

__all__ = [
    "Accepted",
    "DocumentDetails",
    "Sort",
    "StoredText",
    "Wanted",
    "accept",
    "ancestors",
    "chunks",
    "count_documents",
    "first_pages",
    "get",
    "known",
    "list_documents",
    "new_key",
    "no_page",
    "page_text",
    "patch_metadata",
    "reingest",
    "replace_metadata",
]
