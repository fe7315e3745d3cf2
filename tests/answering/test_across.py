"""A question in another language than the texts, by the meaning of their sentences."""

from types import SimpleNamespace
from typing import Any

import pytest

from footnote.answering import across
from footnote.extracts import Passage
from footnote.extracts.choosing import choose
from footnote.providers.local_multilingual import MODEL, PROVIDER, QUESTION, MultilingualEmbedder
from footnote.retrieval.spaces import QueryVector
from tests.answering.test_gate import hit

pytestmark = pytest.mark.anyio
QUESTION_TEXT = "Wie viele Nächte darf ein Boot am Gästesteg liegen?"
TEXT = (
    "Visitors may climb the tower in summer only. Children under six go up for nothing. "
    "A boat may lie at the guest pier for three nights. The crane lifts two tonnes."
)
PASSAGE = Passage(1, "mooring.html", TEXT)


@pytest.fixture(scope="module")
def embedder() -> MultilingualEmbedder:
    return MultilingualEmbedder()


async def related(embedder: MultilingualEmbedder, asked_in: str, **space: Any) -> dict[str, float]:
    known: Any = SimpleNamespace(
        **{"id": 1, "provider": PROVIDER, "model": MODEL, "noise": None, "related": None, "requested_dimensions": None}
        | space
    )
    rt: Any = SimpleNamespace(
        embedder=embedder, embedder_of=lambda *_: embedder, settings=SimpleNamespace(embedding_dimensions=None)
    )
    [vector] = (await embedder.embed([QUESTION + QUESTION_TEXT])).vectors
    return await across.related(rt, asked_in, [hit(space_id=1)], [PASSAGE], [QueryVector(known, vector)])


async def test_the_sentence_that_means_the_same_is_told(embedder: MultilingualEmbedder) -> None:
    found = await related(embedder, "german")
    assert max(found, key=found.__getitem__).startswith("A boat may lie")

    chosen = choose(QUESTION_TEXT, [PASSAGE], found)
    assert [each.text for each in chosen.found] == ["A boat may lie at the guest pier for three nights."]
    assert chosen.answers
    assert not choose(QUESTION_TEXT, [PASSAGE]).answers, "words alone do not tell"


async def test_what_is_not_of_the_kind_asked_for_is_not_claimed(embedder: MultilingualEmbedder) -> None:
    found = await related(embedder, "german")
    assert not choose("Wann darf ein Boot am Gästesteg liegen?", [Passage(1, "a", TEXT[89:])], found).answers
    assert not choose("Wie viele Kräne gibt es am Hafen?", [PASSAGE], found).answers


async def test_nothing_is_compared_in_one_language_or_by_a_model_of_one(embedder: MultilingualEmbedder) -> None:
    assert await related(embedder, "english") == {}
    assert await related(embedder, "") == {}
    assert await related(embedder, "german", provider="local", model="all-MiniLM-L6-v2") == {}
