"""A reranker asked about the first candidates. A search gets on without it, whatever happens."""

from collections.abc import Sequence

from footnote.errors import CircuitOpen, FootnoteError
from footnote.providers import Reranker
from footnote.telemetry import log
from footnote.telemetry.metrics import rerankings_total
from footnote.text import folded

LONGEST = 4_000  # characters of a text; rerankers read no more, or charge for it


async def scores(reranker: Reranker, question: str, texts: Sequence[str]) -> tuple[list[float], str | None]:
    """One score for each text; or none, and in a word why not. Raises nothing.

    No text gets into a log, not even with an unexpected error.
    """
    try:
        found = await reranker.rerank(question[:LONGEST], [folded(text[:LONGEST]) for text in texts])
    except FootnoteError as error:
        failure = _reason(error)
        log.warning("not reranked", reason=failure, error=error.message)
    except Exception as error:
        failure = "internal"
        log.error("not reranked", reason=failure, error=type(error).__name__)
    else:
        rerankings_total.labels("reranked").inc()
        return found, None
    rerankings_total.labels(failure).inc()
    return [], failure


def _reason(error: FootnoteError) -> str:
    if isinstance(error, CircuitOpen):
        return "circuit_open"
    return "bad_response" if error.code == "provider_bad_response" else error.kind
