"""Collections: made, looked at, changed, deleted with all that is in them."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from api.deps import Reader, RuntimeDep, Writer, again_while_busy
from api.paging import Cursor, Limit, page
from api.schemas.collections import CollectionDeletionOut, CollectionIn, CollectionOut, CollectionPatch
from api.schemas.common import PageOf
from api.schemas.fields import Plain
from footnote import collections
from footnote.documents import deletion

router = APIRouter(prefix="/v1/collections", tags=["collections"])

NameOrId = Annotated[Plain, Path(max_length=64, description="Name or id.")]


@router.post("", status_code=201)
@again_while_busy
async def create_collection(body: CollectionIn, response: Response, rt: RuntimeDep, caller: Writer) -> CollectionOut:
    """An upload to a new name makes a collection, too, as configured; here it gets settings of its own."""
    async with rt.transaction() as session:
        made = await collections.create(session, rt, caller.tenant_id, body.given())
    response.headers["Location"] = f"/v1/collections/{made.collection.id}"
    return CollectionOut.of(made, rt.embedder)


@router.get("")
async def list_collections(
    rt: RuntimeDep, caller: Reader, limit: Limit = 50, cursor: Cursor = None
) -> PageOf[CollectionOut]:
    """Collections, newest first."""
    async with rt.transaction() as session:
        found = await collections.page_of(session, caller.tenant_id, limit=limit + 1, before=cursor)
    return page(found, limit, lambda each: CollectionOut.of(each, rt.embedder), lambda each: each.collection.id)


@router.get("/{collection_id}")
async def get_collection(collection_id: NameOrId, rt: RuntimeDep, caller: Reader) -> CollectionOut:
    async with rt.transaction() as session:
        return CollectionOut.of(await collections.get(session, caller.tenant_id, collection_id), rt.embedder)


@router.patch("/{collection_id}")
@again_while_busy
async def update_collection(
    collection_id: NameOrId, body: CollectionPatch, rt: RuntimeDep, caller: Writer
) -> CollectionOut:
    """Changes what is given. After another chunking or language every document is ingested anew in the background.

    Until a document is, queries see it as it was. The embedding model cannot be changed once there are documents; the
    same model has them embedded again if it makes vectors of another length now.
    """
    async with rt.transaction() as session:
        changed = await collections.change(session, rt, caller.tenant_id, collection_id, body.given())
    return CollectionOut.of(changed, rt.embedder)


@router.delete("/{collection_id}")
async def delete_collection(collection_id: NameOrId, rt: RuntimeDep, caller: Writer) -> CollectionDeletionOut:
    """Removes the collection with its documents and all that was made of them; the receipt says what.

    Nobody sees it from the first moment on; the answer comes when everything is gone. Asked again by id: the same.
    """
    return CollectionDeletionOut.model_validate(await deletion.remove_collection(rt, caller.tenant_id, collection_id))
