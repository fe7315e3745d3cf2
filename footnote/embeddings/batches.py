"""Texts in calls that a provider accepts."""

from collections.abc import Mapping
from typing import TypeVar

from footnote.providers import Embedder

Key = TypeVar("Key")


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
