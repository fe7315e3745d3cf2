"""What a cosine is worth: the scales of models, known or measured."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from footnote.answering import gate
from footnote.embeddings import relatedness
from footnote.embeddings.relatedness import KNOWN, REFERENCE, Scale, learn, measured, scale_of
from footnote.errors import Unavailable
from footnote.models import EmbeddingSpace
from footnote.providers import Embeddings, open_embedder
from footnote.retrieval import Hit
from footnote.settings import Settings
from tests.fakes import FakeEmbedder

pytestmark = pytest.mark.anyio


class Topics(FakeEmbedder):
    """A question and its answer are about one topic. `crowding`: how close all vectors lie together."""

    def __init__(self, crowding=0.0):
        super().__init__()
        self.crowding = crowding

    async def embed(self, texts):
        self.before(texts)
        self.seen.append(list(texts))
        vectors = np.stack([self._vector(text) for text in texts])
        return Embeddings(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), len(texts))

    def _vector(self, text):
        topic = next(place for place, pair in enumerate(relatedness.PAIRS) if text in pair)
        vector = np.random.default_rng(len(text)).normal(0, 0.1, 64).astype(np.float32)
        vector[topic] += 1
        vector[63] += self.crowding
        return vector


@pytest.mark.parametrize(("provider", "model"), KNOWN)
async def test_known_scales_are_what_is_measured(provider, model):
    found = await measured(open_embedder(Settings(embedder=provider)))

    assert found.noise == pytest.approx(KNOWN[provider, model].noise, abs=0.001)
    assert found.related == pytest.approx(KNOWN[provider, model].related, abs=0.001)


async def test_a_scale_brings_cosines_to_the_reference_and_back():
    crowded = Scale(0.8, 0.9)

    assert crowded.relatedness(0.9) == pytest.approx(REFERENCE.related)
    assert crowded.relatedness(0.8) == pytest.approx(REFERENCE.noise)
    assert crowded.cosine(crowded.relatedness(0.85)) == pytest.approx(0.85)
    assert REFERENCE.relatedness(0.5) == pytest.approx(0.5)


async def test_texts_are_as_related_with_a_crowded_model():
    plain, crowded = await measured(Topics()), await measured(Topics(crowding=2.0))

    assert crowded.noise > plain.noise + 0.4
    for each in (plain, crowded):
        assert each.relatedness(each.related) == pytest.approx(REFERENCE.related)
        assert each.noise < each.related - 0.05


async def space_of(rt, **values):
    async with rt.operator.transaction() as session:
        session.add(EmbeddingSpace(provider="fake", model="fake-64", dimensions=64, **values))
    return rt.operator


async def stored(rt):
    async with rt.transaction() as session:
        return scale_of((await session.scalars(select(EmbeddingSpace))).one())


async def test_an_unknown_model_is_measured_once_and_stored(rt):
    rt = replace(await space_of(rt), embedder=Topics())
    assert await stored(rt) == REFERENCE

    await learn(rt)
    asked = len(rt.embedder.seen)
    await learn(rt)

    found, expected = await stored(rt), await measured(Topics())
    assert (found.noise, found.related) == pytest.approx((expected.noise, expected.related), abs=1e-6)
    assert asked == len(rt.embedder.seen) > 0


async def test_a_model_that_is_away_is_measured_later(rt):
    def refuse(_texts):
        raise Unavailable("provider_unavailable", "away")

    rt = replace(await space_of(rt), embedder=Topics())
    rt.embedder.before = refuse
    await learn(rt)
    assert await stored(rt) == REFERENCE

    rt.embedder.before = lambda _texts: None
    await learn(rt)
    assert await stored(rt) != REFERENCE


async def test_a_model_that_tells_nothing_apart_has_the_common_scale(rt):
    class Blind(FakeEmbedder):
        async def embed(self, texts):
            return Embeddings(np.full((len(texts), 4), 0.5, np.float32), 0)

    rt = replace(await space_of(rt), embedder=Blind())
    await learn(rt)

    found = await stored(rt)
    assert (found.noise, found.related) == pytest.approx((REFERENCE.noise, REFERENCE.related))


async def test_the_gate_goes_by_relatedness():
    values: dict[str, Any] = dict.fromkeys(each.name for each in fields(Hit))
    values |= {"coverage": 0.0, "exact_matches": 0, "language": ""}
    values["scale"] = KNOWN["local-multilingual", "multilingual-e5-small"]

    assert not gate.supports([Hit(**values | {"similarity": 0.82})], 0.56)
    assert gate.supports([Hit(**values | {"similarity": 0.9})], 0.56)
