"""Documents, collections, conversations and jobs."""

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Literal, Unpack

from footnote.client.calls import ApiCall, given, path_of
from footnote.client.methods import Bound, Way, iterator, method
from footnote.client.shapes import Json
from footnote.client.types.answers import (
    CollectionOptions,
    ConversationOptions,
    DeletedConversation,
    StoredConversation,
    StoredMessage,
)
from footnote.client.types.documents import (
    DeletedCollection,
    DeletedDocument,
    DocumentChunk,
    DocumentCollection,
    DocumentStatus,
    IngestionJob,
    IngestionReport,
    ListedIngestionJob,
    StoredDocument,
    TaskStatus,
)

Status = Literal["queued", "running", "waiting", "ready", "failed", "cancelled"]
DOCUMENT = "/v1/documents/{}"
COLLECTION = "/v1/collections/{}"
CONVERSATION = "/v1/conversations/{}"
JOB = "/v1/jobs/{}"
LOOK_SECONDS = 0.2  # between two looks at a task


class Documents(Bound[Way]):
    """Stored documents. Ids are `doc_...`; those of others are unknown."""

    @iterator
    async def list(
        self,
        *,
        collection: str | None = None,
        status: Sequence[Status] | None = None,
        find: str | None = None,
        external_id: str | None = None,
        sha256: str | None = None,
        sort: Literal["newest", "oldest", "name"] | None = None,
        filter: Json | None = None,
        limit: int | None = None,
    ) -> AsyncGenerator[StoredDocument, None]:
        """All, or those that you look for: `find` is a part of the name, `filter` a condition on metadata.

        Pages are fetched as you read on.
        """
        wanted: Json = {"collection": collection, "status": status, "q": find, "sort": sort}
        wanted |= {"external_id": external_id, "sha256": sha256, "filter": filter and json.dumps(filter)}
        async for each in self._session.listed(StoredDocument, "/v1/documents", limit, **wanted):
            yield each

    @method
    async def get(self, document_id: str) -> StoredDocument:
        return await self._session.read(StoredDocument, path_of(DOCUMENT, document_id))

    @method
    async def status(self, document_id: str) -> DocumentStatus:
        """How far its ingestion is, step by step."""
        return await self._session.read(DocumentStatus, path_of(DOCUMENT + "/status", document_id))

    @method
    async def report(self, document_id: str) -> IngestionReport:
        """What its ingestion has found in the file, and what it left out."""
        return await self._session.read(IngestionReport, path_of(DOCUMENT + "/report", document_id))

    @method
    async def update(
        self, document_id: str, *, metadata: Json | None = None, collection: str | None = None
    ) -> StoredDocument:
        """Merges into its metadata, where a name with None is removed; moves it to a collection, which may be new."""
        body = given(metadata=metadata, collection=collection)
        call = ApiCall("PATCH", path_of(DOCUMENT, document_id), body=body)
        return StoredDocument.read(await self._session.send(call))

    @method
    async def delete(self, document_id: str) -> DeletedDocument:
        """Deletes it with all that was made from it. A second call gives the same receipt."""
        return DeletedDocument.read(await self._session.send(ApiCall("DELETE", path_of(DOCUMENT, document_id))))

    @method
    async def content(self, document_id: str) -> bytes:
        """The file as it was uploaded."""
        call = ApiCall("GET", path_of(DOCUMENT + "/content", document_id))
        return (await self._session.response(call)).content

    @iterator
    async def chunks(self, document_id: str, *, limit: int | None = None) -> AsyncGenerator[DocumentChunk, None]:
        """The passages that questions see, in order, each with its place on a page."""
        path = path_of(DOCUMENT + "/chunks", document_id)
        async for each in self._session.listed(DocumentChunk, path, limit):
            yield each


class Collections(Bound[Way]):
    """What documents share: a language, a chunking and a model. A collection is named by its name or its id."""

    @iterator
    async def list(self, *, limit: int | None = None) -> AsyncGenerator[DocumentCollection, None]:
        async for each in self._session.listed(DocumentCollection, "/v1/collections", limit):
            yield each

    @method
    async def get(self, name: str) -> DocumentCollection:
        return await self._session.read(DocumentCollection, path_of(COLLECTION, name))

    @method
    async def create(self, name: str, **settings: Unpack[CollectionOptions]) -> DocumentCollection:
        """With its own settings; an upload creates one with those of the server."""
        call = ApiCall("POST", "/v1/collections", body={"name": name, **settings}, repeatable=False)
        return DocumentCollection.read(await self._session.send(call))

    @method
    async def update(
        self, name: str, *, rename: str | None = None, **settings: Unpack[CollectionOptions]
    ) -> DocumentCollection:
        """Another chunking or language ingests every document again, in the background."""
        body = given(name=rename, **settings)
        return DocumentCollection.read(await self._session.send(ApiCall("PATCH", path_of(COLLECTION, name), body=body)))

    @method
    async def delete(self, name: str, *, on_progress: Callable[[TaskStatus], None] | None = None) -> DeletedCollection:
        """Deletes it with all of its documents; returns when that is done. If this ends early, the server continues."""
        reply = await self._session.send(ApiCall("DELETE", path_of(COLLECTION, name)))
        while "kind" in reply:
            task = TaskStatus.read(reply)
            if task.status == "completed":
                reply = await self._session.send(ApiCall("DELETE", path_of(COLLECTION, task.subject_id)))
                continue
            if on_progress:
                on_progress(task)
            await self._session.transport.sleep(LOOK_SECONDS)
            reply = await self._session.get(path_of("/v1/tasks/{}", task.id))
        return DeletedCollection.read(reply)


class Conversations(Bound[Way]):
    """Stored questions and answers: give `conversation_id` to `ask` or `stream`."""

    @iterator
    async def list(
        self, *, find: str | None = None, limit: int | None = None
    ) -> AsyncGenerator[StoredConversation, None]:
        """Newest first. `find`: a part of the title."""
        async for each in self._session.listed(StoredConversation, "/v1/conversations", limit, q=find):
            yield each

    @method
    async def create(self, **settings: Unpack[ConversationOptions]) -> StoredConversation:
        call = ApiCall("POST", "/v1/conversations", body=given(**settings), repeatable=False)
        return StoredConversation.read(await self._session.send(call))

    @method
    async def get(self, conversation_id: str) -> StoredConversation:
        return await self._session.read(StoredConversation, path_of(CONVERSATION, conversation_id), limit=1)

    @iterator
    async def messages(
        self, conversation_id: str, *, order: Literal["oldest", "newest"] | None = None, limit: int | None = None
    ) -> AsyncGenerator[StoredMessage, None]:
        """Its questions and answers, with the citations of each answer."""
        path = path_of(CONVERSATION, conversation_id)
        async for each in self._session.listed(StoredMessage, path, limit, within="messages", order=order):
            yield each

    @method
    async def rename(self, conversation_id: str, title: str) -> StoredConversation:
        call = ApiCall("PATCH", path_of(CONVERSATION, conversation_id), body={"title": title})
        return StoredConversation.read(await self._session.send(call))

    @method
    async def delete(self, conversation_id: str) -> DeletedConversation:
        call = ApiCall("DELETE", path_of(CONVERSATION, conversation_id))
        return DeletedConversation.read(await self._session.send(call))


class Jobs(Bound[Way]):
    """Ingestions: what they wait for, and why some failed."""

    @iterator
    async def list(
        self,
        *,
        status: Sequence[str] | None = None,
        error_code: Sequence[str] | None = None,
        document_id: str | None = None,
        collection: str | None = None,
        limit: int | None = None,
    ) -> AsyncGenerator[ListedIngestionJob, None]:
        """Newest first."""
        wanted: Json = {
            "status": status,
            "error_code": error_code,
            "document_id": document_id,
            "collection": collection,
        }
        async for each in self._session.listed(ListedIngestionJob, "/v1/jobs", limit, **wanted):
            yield each

    @method
    async def get(self, job_id: str) -> IngestionJob:
        return await self._session.read(IngestionJob, path_of(JOB, job_id))

    @method
    async def retry(self, job_id: str) -> IngestionJob:
        """From the step where it failed or was cancelled."""
        call = ApiCall("POST", path_of(JOB + "/retry", job_id), repeatable=False)
        return IngestionJob.read(await self._session.send(call))

    @method
    async def cancel(self, job_id: str) -> IngestionJob:
        call = ApiCall("POST", path_of(JOB + "/cancel", job_id), repeatable=False)
        return IngestionJob.read(await self._session.send(call))
