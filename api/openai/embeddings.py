"""Vectors of texts, by the models that embed documents."""

import asyncio
import base64
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import Response

from api.body_limits import TEXT, takes
from api.deps import Asker, RuntimeDep
from api.disconnect import while_connected
from api.openai import models
from api.openai.errors import wrong
from api.openai.rendering import written
from api.openai.routing import new_router
from api.openai.schemas.embeddings import EmbeddingsIn, EmbeddingsOut
from footnote.collections import catalog
from footnote.embeddings.batches import groups
from footnote.providers import Embedder
from footnote.runtime import Runtime
from footnote.tenancy import usage
from footnote.text import clean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

router = new_router()

MOST_TEXTS = 2048
TOKENS_GIVEN = "Send text, not tokens; with LangChain's OpenAIEmbeddings: check_embedding_ctx_length=False."


@router.post("/embeddings", response_model=EmbeddingsOut)
@takes(TEXT)
async def create_embeddings(body: EmbeddingsIn, request: Request, rt: RuntimeDep, caller: Asker) -> Any:
    """Embed texts, in their order, with the configured model or one of a collection."""
    texts = await asyncio.to_thread(_texts, body.input)  # megabytes of text take tens of milliseconds
    embedder = await _embedder(rt, body.model)
    vectors, tokens = await while_connected(request, _embedded(rt, embedder, texts, body.dimensions, caller.key_id))
    encoded = await asyncio.to_thread(_body, body, vectors, tokens)
    return Response(encoded, media_type="application/json")


def _texts(given: Any) -> list[str]:
    """Raises Invalid about `input`."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts:
        raise wrong("input", "Invalid value for 'input': expected a text, or a list of texts that is not empty.")
    if any(isinstance(each, int | list) for each in texts):
        raise wrong("input", TOKENS_GIVEN)
    if len(texts) > MOST_TEXTS:
        raise wrong("input", f"Invalid value for 'input': at most {MOST_TEXTS} texts at once.")
    cleaned = [clean(each) if isinstance(each, str) else "" for each in texts]
    if not all(cleaned):
        raise wrong("input", "Invalid value for 'input': a text is empty or not a string.")
    return cleaned


async def _embedder(rt: Runtime, model: str) -> Embedder:
    """The configured one, or that of a collection. Raises NotFound."""
    if model in (models.ALL, rt.embedder.model):
        return rt.embedder
    async with rt.transaction() as session:
        providers = await catalog.embedding_models(session)
    if model not in providers:
        raise models.unknown(model)
    return rt.embedder_of(providers[model], model)


async def _embedded(
    rt: Runtime, embedder: Embedder, texts: list[str], dimensions: int | None, key_id: str
) -> tuple[list["NDArray[np.float32]"], int]:
    """A vector for each text, and the tokens. What was spent counts, whatever becomes of the rest."""
    vectors, tokens = dict[int, "NDArray[np.float32]"](), 0
    for group in await asyncio.to_thread(groups, embedder, dict(enumerate(texts))):
        answer = await embedder.embed([texts[index] for index in group])
        await usage.record_apart(rt, key_id, usage.of_embedding(embedder, answer))
        if dimensions not in (None, answer.dimensions):
            raise wrong("dimensions", f"The vectors of '{embedder.model}' have {answer.dimensions} dimensions.")
        vectors |= zip(group, answer.vectors, strict=True)
        tokens += answer.tokens
    return [vectors[index] for index in range(len(texts))], tokens


def _body(body: EmbeddingsIn, vectors: list["NDArray[np.float32]"], tokens: int) -> bytes:
    data = [
        {"object": "embedding", "index": index, "embedding": _encoded(vector, body.encoding_format)}
        for index, vector in enumerate(vectors)
    ]
    used = {"prompt_tokens": tokens, "total_tokens": tokens}
    return written({"object": "list", "data": data, "model": body.model, "usage": used}).encode()


def _encoded(vector: "NDArray[np.float32]", encoding: str) -> list[float] | str:
    if encoding == "float":
        return [float(each) for each in vector]
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
