"""A question in another language than the texts: which of their sentences are related to it, by meaning.

Such sentences have none of its words, so words cannot choose among them. The model that embedded the texts can, if it
knows both languages; it runs on this machine, and is asked only where the languages differ.
"""

import asyncio
from collections.abc import Sequence

from footnote.answering.gate import is_across
from footnote.embeddings import vector_lengths
from footnote.embeddings.relatedness import scale_of
from footnote.extracts.cutting import cut
from footnote.providers import Passage, local_multilingual
from footnote.retrieval import Hit
from footnote.retrieval.spaces import QueryVector
from footnote.runtime import Runtime

NEAREST = 4  # passages whose sentences are compared
MOST = 48  # sentences: about ten milliseconds of a processor each
LONGEST = 600  # characters


async def related(
    rt: Runtime, asked_in: str, hits: Sequence[Hit], passages: Sequence[Passage], vectors: Sequence[QueryVector]
) -> dict[str, float]:
    """By sentences, how related they are to the question; empty where its words can tell.

    `passages` are the texts of the hits. Raises what the embedder does.
    """
    known = {each.space.id: each for each in vectors if each.space.provider == local_multilingual.PROVIDER}
    foreign = [
        passage
        for hit, passage in zip(hits[:NEAREST], passages, strict=False)
        if hit.space_id in known and is_across(hit, asked_in)
    ]
    if not foreign:
        return {}
    asked = known[hits[foreign[0].marker - 1].space_id]
    found = await asyncio.to_thread(cut, foreign)
    texts = list(dict.fromkeys(each.text for each in found if each.words and len(each.text) <= LONGEST))[:MOST]
    made = await vector_lengths.embedder_of(rt, asked.space).embed(texts)
    scale = scale_of(asked.space)
    return {
        text: scale.relatedness(float(cosine)) for text, cosine in zip(texts, made.vectors @ asked.vector, strict=True)
    }
