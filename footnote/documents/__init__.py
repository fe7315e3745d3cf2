"""Documents: upload, deduplication, versions, reading, moving and deletion."""

from footnote.documents.accepting import Accepted, accept, reingest
from footnote.documents.listing import DocumentFilter, Sort, count_documents, known, list_documents
from footnote.documents.objects import new_key
from footnote.documents.reading import (
    DocumentDetails,
    StoredText,
    ancestors,
    chunks,
    first_pages,
    get,
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
    "no_page",
    "page_text",
    "patch_metadata",
    "reingest",
    "replace_metadata",
]
