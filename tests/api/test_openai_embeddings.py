"""Embeddings through the official client."""

from typing import Any

import numpy as np
import openai
import pytest
from sqlalchemy import select

from footnote import collections
from footnote.models import UsageOfDay
from footnote.runtime import Runtime
from tests.api.openai_client import client, refused, writer
from tests.conftest import Person
from tests.fakes import FakeEmbedder

__all__ = ["client", "writer"]  # fixtures
pytestmark = pytest.mark.anyio
EMBEDDINGS = "/openai/v1/embeddings"


async def test_texts_have_their_vectors_in_their_order(rt: Runtime, client: openai.AsyncOpenAI, alice: Person) -> None:
    texts = [f"lamp {number} of the tower" for number in range(10)]
    embedder = rt.embedder
    assert isinstance(embedder, FakeEmbedder)
    expected = (await embedder.embed(texts)).vectors
    embedder.seen.clear()
    made = await client.embeddings.create(model="fake-64", input=texts)  # which asks for base64
    assert max(map(len, embedder.seen)) == embedder.max_texts
    assert ([each.index for each in made.data], made.object, made.model) == ([*range(10)], "list", "fake-64")
    assert np.array_equal(np.array([each.embedding for each in made.data], np.float32), expected)
    plain = await client.embeddings.create(
        model="footnote", input=texts[3], encoding_format="float", dimensions=64, user="u"
    )
    assert np.allclose(plain.data[0].embedding, expected[3])
    assert plain.usage.prompt_tokens == plain.usage.total_tokens == embedder.count_tokens(texts[3])
    async with rt.for_tenant(alice.tenant_id).transaction() as session:
        used = (await session.scalars(select(UsageOfDay).where(UsageOfDay.kind == "embedding"))).one()
    assert (used.calls, used.prompt_tokens) == (4, made.usage.total_tokens + plain.usage.total_tokens)


async def test_the_model_of_a_collection_can_be_asked(rt: Runtime, alice: Person, client: openai.AsyncOpenAI) -> None:
    chosen = {"name": "other", "embedding": {"provider": "local", "model": "all-MiniLM-L6-v2"}}
    async with rt.for_tenant(alice.tenant_id).transaction() as session:
        await collections.create(session, rt, chosen)
    made = await client.embeddings.create(model="all-MiniLM-L6-v2", input="The lamp.")
    assert len(made.data[0].embedding) == 384
    assert (await client.models.retrieve("all-MiniLM-L6-v2")).id == "all-MiniLM-L6-v2"


async def test_what_is_no_text_is_refused(alice: Person) -> None:
    for given, param, words in (
        ({"input": [1, 2]}, "input", "check_embedding_ctx_length=False"),
        ({"input": [[1, 2], [3]]}, "input", "check_embedding_ctx_length=False"),
        ({"input": ""}, "input", "empty"),
        ({"input": []}, "input", "empty"),
        ({"input": ["a", "\0"]}, "input", "empty"),
        ({"input": ["a"] * 2049}, "input", "2048"),
        ({"dimensions": 65}, "dimensions", "64 dimensions"),
        ({"encoding_format": "hex"}, "encoding_format", "'float' or 'base64'"),
    ):
        body: dict[str, Any] = {"model": "fake-64", "input": "a"} | given
        assert words in refused(await alice.client.post(EMBEDDINGS, json=body), 400, "invalid_value", param)
    body = {"model": "text-embedding-3-small", "input": "a"}
    refused(await alice.client.post(EMBEDDINGS, json=body), 404, "model_not_found")
    refused(await alice.client.post(EMBEDDINGS, json={"model": "a"}), 400, "missing_required_parameter", "input")
