"""What anyone could build in an afternoon, over the same texts: BM25, exact vectors, and the two fused."""

import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.evaluation.metrics import Run
from footnote.providers.local import DIMENSIONS, MODEL, open_embedder
from footnote.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEPTH = 100
RRF_K = 60
BATCH = 64


def bm25(texts: Mapping[str, str], questions: Mapping[str, str]) -> Run:
    """BM25 of the library bm25s, k1 = 1.5 and b = 0.75, over Snowball stems without English stop words."""
    import bm25s
    import numpy as np
    import Stemmer

    names = list(texts)
    stemmer = Stemmer.Stemmer("english")
    index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    index.index(bm25s.tokenize(list(texts.values()), stopwords="en", stemmer=stemmer, show_progress=False), False)
    run = {}
    for question, words in questions.items():
        [tokens] = bm25s.tokenize([words], stopwords="en", stemmer=stemmer, return_ids=False, show_progress=False)
        scores = index.get_scores(tokens) if tokens else np.zeros(len(names))
        run[question] = [names[place] for place in best(scores) if scores[place] > 0]
    return run


async def nearest(texts: Mapping[str, str], questions: Mapping[str, str], cache: Path) -> Run:
    """By the cosine of the local embedder's vectors, one for each text, compared with every one."""
    names = list(texts)
    matrix = await embedded(list(texts.values()), cache)
    asked = await embedded(list(questions.values()), cache)
    rankings = (best(matrix @ vector) for vector in asked)
    return {question: [names[place] for place in places] for question, places in zip(questions, rankings, strict=True)}


def fused(runs: Sequence[Run]) -> Run:
    """Reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009) with k = 60 over the first 100 of each."""
    merged = {}
    for question in runs[0]:
        scores: defaultdict[str, float] = defaultdict(float)
        for run in runs:
            for rank, name in enumerate(run[question][:DEPTH], 1):
                scores[name] += 1 / (RRF_K + rank)
        merged[question] = sorted(scores, key=lambda name: -scores[name])[:DEPTH]
    return merged


def best(scores: "NDArray[np.floating[Any]]") -> list[int]:
    """The places of the highest scores, the highest first, ties in their order."""
    import numpy as np

    return [int(place) for place in np.argsort(-scores, kind="stable")[:DEPTH]]


async def embedded(texts: Sequence[str], cache: Path) -> "NDArray[np.float32]":
    """Vectors of shape (texts, DIMENSIONS) and length 1. Each is computed once, and kept in the file `cache`."""
    import numpy as np

    keys = [hashlib.sha256(f"{MODEL}\0{text}".encode()).digest() for text in texts]
    embedder = open_embedder(Settings(_env_file=None, embedding_model=MODEL))
    database = sqlite3.connect(cache)
    try:
        database.execute("CREATE TABLE IF NOT EXISTS embedding (key BLOB PRIMARY KEY, vector BLOB NOT NULL)")
        known = dict(database.execute("SELECT key, vector FROM embedding"))
        missing = [(key, text) for key, text in dict(zip(keys, texts, strict=True)).items() if key not in known]
        missing.sort(key=lambda each: len(each[1]))  # alike lengths together are padded less
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            vectors = (await embedder.embed([text for _, text in batch])).vectors
            rows = [(key, vector.tobytes()) for (key, _), vector in zip(batch, vectors, strict=True)]
            known |= dict(rows)
            with database:
                database.executemany("INSERT OR IGNORE INTO embedding VALUES (?, ?)", rows)
    finally:
        database.close()
        await embedder.close()
    return np.frombuffer(b"".join(known[key] for key in keys), np.float32).reshape(len(texts), DIMENSIONS)
