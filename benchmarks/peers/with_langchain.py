"""LangChain: OpenAIEmbeddings and PGVector, asynchronous, several batches at once."""

import asyncio
from collections.abc import Callable
from typing import Any

from langchain_openai import OpenAIEmbeddings
from langchain_postgres import PGVector
from langchain_text_splitters import RecursiveCharacterTextSplitter
from pydantic import SecretStr
from sqlalchemy import create_engine, text

from benchmarks.peers.work import AT_ONCE, CHUNK_OVERLAP, CHUNK_SIZE, Work, perform

BATCH = 128


def prepare(work: Work) -> Callable[[], int]:
    """With the vector index, which the library leaves to its user."""
    embeddings = OpenAIEmbeddings(
        model=work.model,
        base_url=work.provider_url,
        api_key=SecretStr("none"),
        check_embedding_ctx_length=False,  # or it would load a tokenizer from the network
    )
    options: dict[str, Any] = {"embedding_length": work.dimensions, "collection_name": "peer", "use_jsonb": True}
    PGVector(embeddings, connection=work.address("psycopg"), pre_delete_collection=True, **options)
    engine = create_engine(work.address("psycopg"))
    with engine.begin() as connection:
        connection.execute(text("CREATE INDEX ON langchain_pg_embedding USING hnsw (embedding vector_cosine_ops)"))
    engine.dispose()
    store = PGVector(embeddings, connection=work.address("psycopg"), async_mode=True, **options)
    return lambda: asyncio.run(ingest(store, work.documents()))


async def ingest(store: PGVector, documents: list[str]) -> int:
    splitter = RecursiveCharacterTextSplitter(chunk_size=CHUNK_SIZE, chunk_overlap=CHUNK_OVERLAP)
    texts = [chunk for document in documents for chunk in splitter.split_text(document)]
    turn = asyncio.Semaphore(AT_ONCE)

    async def add(batch: list[str]) -> None:
        async with turn:
            await store.aadd_texts(batch)

    await store.acreate_collection()
    await asyncio.gather(*(add(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)))
    return len(texts)


if __name__ == "__main__":
    perform(("langchain-postgres", "langchain-openai", "langchain-core"), prepare)
