"""What exceeded an embedding call's limits, by the provider's message: the number of texts, or a text's length.

Servers with one API report it in many ways: by 400, 413, 422 or 500, with or without a code, in English or Chinese.
"""

import re
from collections.abc import Callable
from typing import Literal

from footnote.errors import BatchTooLarge, FootnoteError
from footnote.providers.refusals import ProviderRefusal

STATUSES = (400, 413, 422, 500)  # of answers that may say so

_TEXTS = r"(?:inputs|texts|items|documents|strings|sentences|elements|entries|instances|requests|array|list|数组)"
_LIMITED = r"(?:at most|max|exceed|limit|up to|(?:larger|greater|more) than|too (?:long|many)|超过)"
# In this order: messages that mean an earlier subject may contain the words of a later one.
_SUBJECTS: tuple[tuple[Literal["texts", "length"], str], ...] = (
    # All texts together.
    (
        "texts",
        r"tokens? (?:in|per) (?:\w+ )?(?:batch|request|call)|batch has \d+ tokens|tokens overall"
        r"|(?:more|smaller) batches",
    ),
    (
        "length",
        r"context[ _](?:length|size|window)|(?:input|sequence|prompt|text) length|token (?:count|size|limit|length)"
        r"|tokens?\b.{0,60}(?:max|limit|exceed|allowed|[<≤])|at most \d+ characters|长度.{0,6}超"
        r"|(?:max|limit|exceed|less than|fewer than|at most|up to|too many).{0,40}tokens"
        r"|too (?:long|large) (?:to process|for the model)|size of tensor",
    ),
    (
        "texts",
        rf"batch[ _-]?size|max\w* batch|one batch|(?:number|count) of {_TEXTS}|item count"
        rf"|too many {_TEXTS}|\b{_TEXTS}\b.{{0,60}}{_LIMITED}|{_LIMITED}\D{{0,40}}\d+ {_TEXTS}"
        r"|array_above_max_length|\d+ ?条|only (?:one|1|a single) (?:input|text|string|item|document)\b"
        r"|\bbatch\w* (?:inputs?|requests?|embeddings?)? ?(?:is|are) not supported"
        r"|\bsplit\b.{0,40}\b(?:batches|chunks)",
    ),
    (
        "length",
        r"too (?:long|large)|maxlength|(?:longer|larger) than|max\w* length|超长|过长"
        r"|(?:input|text|prompt)\b.{0,40}exceed",
    ),
)
_LIMIT = re.compile(
    r"(?:max\w*|at most|less than|fewer than|up to|limit\w*|exceed\w*|supports?|(?:larger|greater|more|longer) than"
    r"|context (?:length|window|size) (?:of|is)|current batch size|(?<=\s)[<>≤]=?(?=\s)|超过|最大)\D{0,60}?(\d{1,7})"
)
# The words of the status 413 itself, and of proxies, which do not say what exceeded the limit.
_OF_STATUS = re.compile(r"\b(?:request|payload|content|body)(?: entity)? (?:is )?too large\b")


def oversized(error: FootnoteError) -> BatchTooLarge | None:
    """The error for it, if a provider's refusal (the cause of `error`) means that the call was too large."""
    refused = error.__cause__
    if not isinstance(refused, ProviderRefusal) or refused.status not in STATUSES:
        return None
    subject, limit = cause_of(refused.said.words)
    if subject is None and refused.status != 413:
        return None
    found = BatchTooLarge("provider_rejected", error.message)
    found.about, found.limit = subject, limit
    return found


def cause_of(words: str) -> tuple[Literal["texts", "length"] | None, int | None]:
    """What exceeded the limit, and the limit; None where the words do not say."""
    said = _OF_STATUS.sub("", words.lower())
    subject = next((subject for subject, pattern in _SUBJECTS if re.search(pattern, said)), None)
    # A limit in characters is not one in tokens.
    limit = _LIMIT.search(said) if subject and "characters" not in said else None
    return subject, int(limit[1]) if limit else None


def pieces(text: str, most: int, count_tokens: Callable[[str], int]) -> list[str]:
    """The text in pieces of at most `most` tokens, where it can be divided."""
    halves = [text] if count_tokens(text) <= most else in_two(text)
    return halves if len(halves) == 1 else [each for half in halves for each in pieces(half, most, count_tokens)]


def in_two(text: str) -> list[str]:
    """The text cut at white space near its middle, or else in the middle; whole if one half would be blank."""
    middle = len(text) // 2
    place = max(text.rfind(mark, middle // 2, middle) for mark in ("\n", " ", "\u3002")) + 1 or middle
    halves = [half for half in (text[:place], text[place:]) if half.strip()]
    return halves if len(halves) == 2 else [text]
