"""txtai: vectors of an external provider, texts and the pgvector index both in Postgres."""

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from tempfile import TemporaryDirectory

import httpx
import numpy as np
from langchain_text_splitters import RecursiveCharacterTextSplitter
from numpy.typing import NDArray
from txtai import Embeddings

from benchmarks.peers.work import AT_ONCE, CHUNK_OVERLAP, CHUNK_SIZE, Work, perform

BATCH = 64
Vectors = NDArray[np.float32]


def prepare(work: Work) -> Callable[[], int]:
    client = httpx.Client(timeout=60)
    pool = ThreadPoolExecutor(AT_ONCE)

    def call(texts: list[str]) -> list[Vectors]:
        asked = {"model": work.model, "input": texts, "encoding_format": "base64"}
        data = client.post(f"{work.provider_url}/embeddings", json=asked).json()["data"]
        return [np.frombuffer(base64.b64decode(each["embedding"]), np.float32) for each in data]

    def transform(texts: list[str]) -> Vectors:
        batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
        return np.stack([vector for found in pool.map(call, batches) for vector in found])

    embeddings = Embeddings(
        method="external",
        transform=transform,
        encodebatch=AT_ONCE * BATCH,
        content=work.address("psycopg2"),
        backend="pgvector",
        pgvector={"url": work.address("psycopg2"), "m": 16, "efconstruction": 64},
    )
    return lambda: ingest(embeddings, work.documents())


def ingest(embeddings: Embeddings, documents: list[str]) -> int:
    splitter = RecursiveCharacterTextSplitter(chunk_size=CHUNK_SIZE, chunk_overlap=CHUNK_OVERLAP)
    texts = [chunk for document in documents for chunk in splitter.split_text(document)]
    embeddings.index(texts)
    with TemporaryDirectory() as folder:  # of its settings; to save commits the rows in Postgres
        embeddings.save(folder)
    return len(texts)


if __name__ == "__main__":
    perform(("txtai-minimal",), prepare)
