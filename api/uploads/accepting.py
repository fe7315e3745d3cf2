"""An upload that is safely in the store becomes a document."""

from typing import Any

from api.schemas.documents import AcceptedOut
from api.schemas.uploads import UploadFields
from footnote import documents
from footnote.documents import idempotency
from footnote.documents.idempotency import Once
from footnote.documents.uploads import Upload
from footnote.runtime import Runtime


async def accept_once(
    rt: Runtime,
    stored: Upload,
    fields: UploadFields,
    held: Once | None = None,
    asked: Any = None,
) -> dict[str, Any]:
    """An `AcceptedOut` as JSON. Uploads of the same thing wait for each other here, before they have a connection."""

    async def accept() -> dict[str, Any]:
        async with rt.transaction() as session:
            accepted = await documents.accept(session, rt, stored, **fields.model_dump())
            reply = AcceptedOut.of(accepted).model_dump(mode="json")
            if held:
                await idempotency.finish(session, held, asked, reply, accepted.details.document.id)
        return reply

    async with rt.exclusive(
        "upload", fields.collection, fields.external_id or stored.source_url or stored.sha256.hex()
    ):
        return await rt.again_while_busy(accept)
