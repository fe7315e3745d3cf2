"""A retriever for LangChain. Install `footnote[langchain]`."""

from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import run_in_executor
from pydantic import ConfigDict, Field

from footnote.client.anchors import anchors_of, text_of
from footnote.client.clients import AsyncFootnote, Footnote
from footnote.client.types.answers import SearchHits


class FootnoteRetriever(BaseRetriever):
    """Passages of your documents, each with its place in its metadata: see `footnote.client.anchors`.

        FootnoteRetriever(client=Footnote(url, api_key), search_kwargs={"top_k": 5, "collections": ["papers"]})

    `search_kwargs` are those of `Footnote.search`; `invoke` takes more of them. Without `async_client`, `ainvoke` runs
    the blocking client in a thread. Raises `ApiError`. The clients stay open.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    client: Footnote
    async_client: AsyncFootnote | None = None
    search_kwargs: dict[str, Any] = Field(default_factory=dict)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002  LangChain gives it by name
        **options: Any,
    ) -> list[Document]:
        return _documents(self.client.search(query, **self.search_kwargs | options))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        if self.async_client is None:
            return await run_in_executor(
                None, self._get_relevant_documents, query, run_manager=run_manager.get_sync(), **options
            )
        return _documents(await self.async_client.search(query, **self.search_kwargs | options))


def _documents(found: SearchHits) -> list[Document]:
    return [Document(text_of(hit), id=hit.chunk_id, metadata=anchors_of(hit)) for hit in found.data]
