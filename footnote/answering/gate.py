"""Whether what was found is enough to answer from: the gate before a model is paid."""

from collections.abc import Sequence

from footnote.retrieval import Hit, Mode

# Without one of the legs the strength is a part of what it is with both; learned like the setting.
SHARE: dict[Mode, float] = {"hybrid": 1.0, "vector": 0.78, "keyword": 0.35}


def strength(similarity: float | None, coverage: float | None) -> float:
    """Of a hit, 0 to 1.5: the cosine, and half the share of the question's weight in words that it holds.

    What a leg does not say counts as nothing. Linear in both, since questions that the documents answer and questions
    about something else are told apart by a line as well as by anything (docs/answers.md).
    """
    return (similarity or 0.0) + (coverage or 0.0) / 2


def supports(hits: Sequence[Hit], least: float, mode: Mode = "hybrid") -> bool:
    """Whether any hit is strong enough to answer from; `least` is what is asked of one that both legs looked at.

    One that holds a rare identifier of the question, or a phrase that it quotes, to the letter always is.
    """
    return any(hit.exact_matches or strength(hit.similarity, hit.coverage) >= least * SHARE[mode] for hit in hits)
