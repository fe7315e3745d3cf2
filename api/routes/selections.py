"""Many documents at once: deleted, ingested again, moved, or recognised before they are sent."""

from typing import Any

from fastapi import APIRouter

from api.deps import Reader, RuntimeDep, Writer, again_while_busy
from api.routes.tasks import accepted
from api.schemas.selections import KnownDocumentOut, KnownIn, KnownOut, MoveIn, SelectionIn
from api.schemas.tasks import TaskOut
from footnote import documents
from footnote.documents import selections

router = APIRouter(prefix="/v1/documents", tags=["documents"])


@router.post("/delete", status_code=202, response_model=TaskOut)
@again_while_busy
async def delete_documents(body: SelectionIn, rt: RuntimeDep, caller: Writer) -> Any:
    """Delete many documents and everything derived from them, in the background.

    The documents that match now are deleted one after the other, 10,000 at most; unknown ids are
    ignored. `Location` shows the progress. Each has a receipt: repeat `DELETE /v1/documents/{document_id}` to get it.
    """
    async with rt.transaction() as session:
        return accepted(await selections.begin(session, "documents.delete", body.chosen))


@router.post("/reingest", status_code=202, response_model=TaskOut)
@again_while_busy
async def reingest_documents(body: SelectionIn, rt: RuntimeDep, caller: Writer) -> Any:
    """Ingest many documents again from their stored files, in the background; 10,000 at most.

    Queries see the present version until the new one is ready. Documents that are being ingested are left out; failed
    and cancelled ones begin at the first step. Uploads have priority.
    """
    async with rt.transaction() as session:
        return accepted(await selections.begin(session, "documents.reingest", body.chosen))


@router.post("/move", status_code=202, response_model=TaskOut)
@again_while_busy
async def move_documents(body: MoveIn, rt: RuntimeDep, caller: Writer) -> Any:
    """Move many documents to another collection, in the background; 10,000 at most. A new name creates one.

    Each is moved as by `PATCH /v1/documents/{document_id}`. At the end, `progress.done` counts the moved documents.
    Documents that cannot be moved stay: files found in a document that is not moved, and documents with an
    `external_id` that the collection already has.
    """
    async with rt.transaction() as session:
        return accepted(await selections.begin_move(session, rt, body.chosen, body.collection))


@router.post("/known")
async def check_known_documents(body: KnownIn, rt: RuntimeDep, caller: Reader) -> KnownOut:
    """Find out which files the server already has, so that you need not send them.

    The answer has the documents of the collection whose newest version has one of the hashes. Send a document again if
    it failed or was cancelled. A file with another `external_id` becomes a separate document.
    """
    hashes = [bytes.fromhex(each) for each in body.sha256]
    async with rt.transaction() as session:
        found = await documents.known(session, body.collection, hashes)
    return KnownOut(data=[KnownDocumentOut.of(each) for each in found])
