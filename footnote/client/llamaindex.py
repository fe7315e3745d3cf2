"""A retriever for LlamaIndex. Install `footnote[llamaindex]`."""

import asyncio
from typing import Unpack

from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode

from footnote.client.anchors import anchors_of, text_of
from footnote.client.clients import AsyncFootnote, Footnote
from footnote.client.types.answers import SearchHit, SearchHits, SearchOptions

FOR_THE_MODEL = {"filename", "page", "heading"}


class FootnoteNodeRetriever(BaseRetriever):
    """Passages of your documents as nodes, each with its place in its metadata: see `footnote.client.anchors`.

        FootnoteNodeRetriever(Footnote(url, api_key), top_k=5, collections=["papers"])

    The options are those of `Footnote.search`. Without `async_client`, `aretrieve` runs the blocking client in a
    thread. Raises `ApiError`. The clients stay open.
    """

    def __init__(
        self, client: Footnote, async_client: AsyncFootnote | None = None, **options: Unpack[SearchOptions]
    ) -> None:
        super().__init__()
        self._client, self._async_client, self._options = client, async_client, options

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _nodes(self._client.search(query_bundle.query_str, **self._options))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        if self._async_client is None:
            return await asyncio.to_thread(self._retrieve, query_bundle)
        return _nodes(await self._async_client.search(query_bundle.query_str, **self._options))


def _nodes(found: SearchHits) -> list[NodeWithScore]:
    return [NodeWithScore(node=_node(hit), score=hit.score) for hit in found.data]


def _node(hit: SearchHit) -> TextNode:
    """A prompt shows the text with the document's name and page, and not the rest of the anchors."""
    anchors = anchors_of(hit)
    return TextNode(
        id_=hit.chunk_id,
        text=text_of(hit),
        metadata=anchors,
        excluded_llm_metadata_keys=[name for name in anchors if name not in FOR_THE_MODEL],
        excluded_embed_metadata_keys=list(anchors),
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=hit.document_id)},
    )
