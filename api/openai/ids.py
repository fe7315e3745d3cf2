"""Ids as OpenAI's clients know them: `vs_X` is the collection `col_X`, and a document is a file, too."""

from collections.abc import Iterable
from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator

from api.openai.errors import wrong
from api.schemas.fields import Plain
from footnote.documents import files
from footnote.runtime import Runtime

COLLECTION, VECTOR_STORE = "col_", "vs_"
DOCUMENT, FILE, OWN_FILE = "doc_", "file-", "file_"


def _with_prefix(prefix: str) -> AfterValidator:
    def checked(given: str) -> str:
        if not given.startswith(prefix) or len(given) > 64:
            raise ValueError(f"expected an id that begins with '{prefix}'")
        return given

    return AfterValidator(checked)


# Parameters of paths. One with another prefix is refused with 400; one that is unknown is 404.
VectorStoreId = Annotated[Plain, Path(), _with_prefix(VECTOR_STORE)]
FileId = Annotated[Plain, Path(), _with_prefix(FILE)]
BatchId = Annotated[Plain, Path(), _with_prefix("vsfb_")]
UploadId = Annotated[Plain, Path(), _with_prefix("upload_")]
ResponseId = Annotated[Plain, Path(), _with_prefix("resp_")]


def inner(given: str, outer: str, own: str, param: str) -> str:
    """`vs_X` as `col_X`. Raises Invalid about the member `param` if the id does not begin with `outer`."""
    if not given.startswith(outer) or len(given) > 64 or "\x00" in given:
        raise wrong(param, f"Invalid value for '{param}': expected an id that begins with '{outer}'.")
    return own + given.removeprefix(outer)


def collection_id(given: str, param: str = "vector_store_id") -> str:
    """Raises Invalid."""
    return inner(given, VECTOR_STORE, COLLECTION, param)


def vector_store_id(collection: str) -> str:
    return VECTOR_STORE + collection.removeprefix(COLLECTION)


def own_file_id(given: str, param: str = "file_id") -> str:
    """`file-X` as `file_X`. Raises Invalid."""
    return inner(given, FILE, OWN_FILE, param)


def file_id(own: str) -> str:
    return FILE + own.removeprefix(OWN_FILE)


async def file_ids(rt: Runtime, document_ids: Iterable[str]) -> dict[str, str]:
    """For each document the id of its file."""
    async with rt.transaction() as session:
        found = await files.of_documents(session, [*document_ids])
    return {each: file_id(own) for each, own in found.items()}
