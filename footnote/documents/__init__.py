"""A document's life: accepted, deduplicated, given versions, read. Its end is in `deletion`."""

from footnote.documents.accepting import Accepted, accept, reingest
from footnote.documents.newest import newest
from footnote.documents.objects import new_key
from footnote.documents.reading import (
    DocumentDetails,
    DocumentFilter,
    Sort,
    StoredText,
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
    "DocumentFilter",
    "Sort",
    "StoredText",
    "accept",
    "ancestors",
    "chunks",
    "count_documents",
    "first_pages",
    "get",
    "known",
    "list_documents",
    "new_key",
    "newest",
    "no_page",
    "page_text",
    "patch_metadata",
    "reingest",
    "replace_metadata",
]
