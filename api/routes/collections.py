"""Collections: made, looked at, changed, deleted with all that is in them."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from api.deps import Cursor, Limit, Plain, Reader, RuntimeDep, Writer, again_while_busy
from api.routes.tasks import accepted
from api.schemas.collections import CollectionDeletionOut, CollectionIn, CollectionOut, CollectionPatch
from api.schemas.common import PageOf
from api.schemas.tasks import TaskOut
from footnote import collections
from footnote.documents import deletion

router = APIRouter(prefix="/v1/collections", tags=["collections"])

NameOrId = Annotated[Plain, Path(max_length=64, description="Name or id.")]
_ACCEPTED: dict[int | str, dict[str, Any]] = {202: {"model": TaskOut, "description": "In the background."}}


@router.post("", status_code=201, operation_id="collections_create")
@again_while_busy
async def create(body: CollectionIn, response: Response, rt: RuntimeDep, caller: Writer) -> CollectionOut:
    """An upload to a new name makes a collection, too, as configured; here it gets settings of its own."""
    async with rt.transaction() as session:
        made = await collections.create(session, rt, body.given())
    response.headers["Location"] = f"/v1/collections/{made.collection.id}"
    return CollectionOut.of(made, rt.embedder)


@router.get("", operation_id="collections_list")
async def list_collections(
    rt: RuntimeDep, caller: Reader, limit: Limit = 50, cursor: Cursor = None
) -> PageOf[CollectionOut]:
    """Collections, newest first."""
    async with rt.transaction() as session:
        found = await collections.page_of(session, limit=limit + 1, before=cursor)
    more = found[limit - 1].collection.id if len(found) > limit else None
    return PageOf(data=[CollectionOut.of(each, rt.embedder) for each in found[:limit]], next_cursor=more)


@router.get("/{collection_id}", operation_id="collections_get")
async def get(collection_id: NameOrId, rt: RuntimeDep, caller: Reader) -> CollectionOut:
    async with rt.transaction() as session:
        return CollectionOut.of(await collections.get(session, collection_id), rt.embedder)


@router.patch("/{collection_id}", operation_id="collections_update")
@again_while_busy
async def update(collection_id: NameOrId, body: CollectionPatch, rt: RuntimeDep, caller: Writer) -> CollectionOut:
    """Changes what is given. After another chunking or language every document is ingested anew in the background.

    Until a document is, queries see it as it was. The embedding model cannot be changed once there are documents; the
    same model has them embedded again if it makes vectors of another length now.
    """
    async with rt.transaction() as session:
        changed = await collections.change(session, rt, collection_id, body.given())
    return CollectionOut.of(changed, rt.embedder)


@router.delete(
    "/{collection_id}", operation_id="collections_delete", response_model=CollectionDeletionOut, responses=_ACCEPTED
)
async def delete(collection_id: NameOrId, rt: RuntimeDep, caller: Writer) -> Any:
    """Removes the collection with its documents and all that was made of them, in the background.

    The collection cannot be seen from then on, and its name is free. The answer is the task (202), whose progress
    `Location` shows. Asked again by id, the answer is the task until it is completed, then the receipt (200).
    """
    task = await deletion.begin_collection(rt, collection_id)
    return CollectionDeletionOut.of(task) if task.state == "completed" else accepted(task)
