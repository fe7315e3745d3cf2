"""Collections."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from api.deps import Reader, RuntimeDep, Writer, again_while_busy
from api.paging import CollectionCursor, Limit, page
from api.routes.tasks import accepted
from api.schemas.collections import (
    CollectionDeletionOut,
    CollectionIn,
    CollectionOut,
    CollectionPatch,
    SuggestionOut,
    SuggestionsOut,
)
from api.schemas.common import PageOf
from api.schemas.fields import Plain
from api.schemas.tasks import TaskOut
from footnote import collections
from footnote.answering import suggestions
from footnote.documents import deletion

router = APIRouter(prefix="/v1/collections", tags=["collections"])

NameOrId = Annotated[Plain, Path(max_length=64, description="Name or id.")]
_ACCEPTED: dict[int | str, dict[str, Any]] = {202: {"model": TaskOut, "description": "In the background."}}


@router.post("", status_code=201)
@again_while_busy
async def create_collection(body: CollectionIn, response: Response, rt: RuntimeDep, caller: Writer) -> CollectionOut:
    """Create a collection with its own settings.

    An upload to a new name creates a collection, too, with the configured settings.
    """
    async with rt.transaction() as session:
        made = await collections.create(session, rt, body.given())
    response.headers["Location"] = f"/v1/collections/{made.collection.id}"
    return CollectionOut.of(made, rt.embedder)


@router.get("")
async def list_collections(
    rt: RuntimeDep, caller: Reader, limit: Limit = 50, cursor: CollectionCursor = None
) -> PageOf[CollectionOut]:
    """List collections, newest first."""
    async with rt.transaction() as session:
        found = await collections.list_collections(session, limit=limit + 1, before=cursor)
    return page(found, limit, lambda each: CollectionOut.of(each, rt.embedder), lambda each: each.collection.id)


@router.get("/{collection_id}")
async def get_collection(collection_id: NameOrId, rt: RuntimeDep, caller: Reader) -> CollectionOut:
    """Get a collection by its id or name, with its settings and counts."""
    async with rt.transaction() as session:
        return CollectionOut.of(await collections.get(session, collection_id), rt.embedder)


@router.get("/{collection_id}/suggestions")
async def list_suggestions(
    collection_id: NameOrId,
    rt: RuntimeDep,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=10, description="Maximum number of questions.")] = 3,
) -> SuggestionsOut:
    """List suggested first questions, built from headings of the newest documents without a model."""
    async with rt.transaction() as session:
        found = await suggestions.suggestions(session, collection_id, limit)
    return SuggestionsOut(data=[SuggestionOut.model_validate(each) for each in found])


@router.patch("/{collection_id}")
@again_while_busy
async def update_collection(
    collection_id: NameOrId, body: CollectionPatch, rt: RuntimeDep, caller: Writer
) -> CollectionOut:
    """Change the fields that you send.

    After a change of chunking or language all documents are ingested again in the background. Until a document is,
    queries see its previous state. Once there are documents, use a model swap to change the embedding model. If you
    send the same model and its vectors have another length now, all documents are embedded again.
    """
    async with rt.transaction() as session:
        changed = await collections.change(session, rt, collection_id, body.given())
    return CollectionOut.of(changed, rt.embedder)


@router.delete("/{collection_id}", response_model=CollectionDeletionOut, responses=_ACCEPTED)
async def delete_collection(collection_id: NameOrId, rt: RuntimeDep, caller: Writer) -> Any:
    """Delete a collection with its documents and everything derived from them, in the background.

    The collection disappears immediately, and its name is free. The answer is the task (202); `Location` shows its
    progress. If you repeat the request with the id, you get the task until it is completed, then the receipt (200).
    """
    task = await deletion.begin_collection(rt, collection_id)
    return CollectionDeletionOut.of(task) if task.state == "completed" else accepted(task)
