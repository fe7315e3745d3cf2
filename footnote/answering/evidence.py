"""Whether what was found is enough to answer from: the gate before a model is paid."""

from collections.abc import Sequence

from footnote.retrieval import Hit

# Below both, the best hit is taken to be about something else, and no model is paid.
ENOUGH_SIMILARITY = 0.30
ENOUGH_COVERAGE = 0.45


def supports(hits: Sequence[Hit]) -> bool:
    """Whether any hit is close enough to the question to answer from."""
    return any((hit.similarity or 0) >= ENOUGH_SIMILARITY or (hit.coverage or 0) >= ENOUGH_COVERAGE for hit in hits)
