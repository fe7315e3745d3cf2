"""LlamaIndex: an ingestion pipeline with the OpenAI-like embedder and PGVectorStore, asynchronous."""

import asyncio
from collections.abc import Callable

from langchain_text_splitters import RecursiveCharacterTextSplitter
from llama_index.core import Document
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import LangchainNodeParser
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.vector_stores.postgres import PGVectorStore

from benchmarks.peers.work import AT_ONCE, CHUNK_OVERLAP, CHUNK_SIZE, Work, perform

BATCH = 100  # as its embedder for OpenAI has it


def prepare(work: Work) -> Callable[[], int]:
    store = PGVectorStore.from_params(
        connection_string=work.address("psycopg2"),
        async_connection_string=work.address("asyncpg"),
        table_name="peer",
        embed_dim=work.dimensions,
        use_jsonb=True,
        hnsw_kwargs={"hnsw_m": 16, "hnsw_ef_construction": 64, "hnsw_dist_method": "vector_cosine_ops"},
    )
    embedder = OpenAILikeEmbedding(
        model_name=work.model,
        api_base=work.provider_url,
        api_key="none",
        embed_batch_size=BATCH,
        num_workers=AT_ONCE,
    )
    splitter = RecursiveCharacterTextSplitter(chunk_size=CHUNK_SIZE, chunk_overlap=CHUNK_OVERLAP)
    pipeline = IngestionPipeline(
        transformations=[LangchainNodeParser(splitter), embedder], vector_store=store, disable_cache=True
    )
    return lambda: ingest(pipeline, work.documents())


def ingest(pipeline: IngestionPipeline, documents: list[str]) -> int:
    return len(asyncio.run(pipeline.arun(documents=[Document(text=each) for each in documents])))


if __name__ == "__main__":
    perform(("llama-index-core", "llama-index-vector-stores-postgres"), prepare)
