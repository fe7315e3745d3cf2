"""What is embedded for a chunk, and texts in calls that a provider accepts."""

from collections.abc import Mapping
from typing import TypeVar

from footnote.providers import Embedder
from footnote.text import folded

Key = TypeVar("Key")


def embedded_text(context: str, text: str) -> str:
    """The context of a chunk, then its text; folded, as questions are."""
    return folded("\n\n".join(filter(None, (context, text))))


def groups(embedder: Embedder, texts: Mapping[Key, str]) -> list[list[Key]]:
    """The keys of the texts in calls that the provider accepts, by its limits on texts and tokens."""
    groups: list[list[Key]] = []
    room = 0
    for key, full in texts.items():
        tokens = embedder.count_tokens(full)
        if not groups or len(groups[-1]) >= embedder.max_texts or tokens > room:
            groups.append([])
            room = embedder.max_tokens
        groups[-1].append(key)
        room -= tokens
    return groups
