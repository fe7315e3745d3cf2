"""English words: what is in the vocabulary of the local model, which right words are in and misspelt ones are not."""

import re
import string
from functools import cache, lru_cache

from footnote.errors import ProviderRejected
from footnote.providers import local
from footnote.text import words


@lru_cache(maxsize=4096)
def is_word(word: str) -> bool:
    """Whether it is in the dictionary, or another form of what is, or that with a syllable before it."""
    prefix = next((each for each in _PREFIXES if word.startswith(each)), "")
    if len(word) >= len(prefix) + _REST and word[len(prefix) :] in _ranks():
        return True
    stem = word.removesuffix("e").removesuffix("y")
    if word.endswith("ily"):
        word = word.removesuffix("ily") + "y"
    forms = (word, *(word + each for each in ("s", "d", "ed", "ing", "ly")), stem + "ing", stem + "ied", stem + "ies")
    bases = (base for each in _ENDINGS if (base := word.removesuffix(each)) != word and len(base) > 2)
    return not _ranks().keys().isdisjoint((*forms, *(base for base in bases if not _is_doubled(word, base))))


_PREFIXES = ("un", "re", "non", "pre", "dis", "mis", "over", "under", "out")
_REST = 5  # letters
_ENDINGS = ("s", "es", "d", "ed", "ing", "ly", "'s")


def _is_doubled(word: str, base: str) -> bool:
    """Whether its ending is only the last letter once more: `gainss`."""
    return word[-1] == base[-1] and len(word) == len(base) + 1


@lru_cache(maxsize=4096)
def near(word: str) -> list[str]:
    """The words one mistake away from it that begin alike, the most usual first."""
    if not word.isascii():
        return []
    places = range(1, len(word))
    made = {word[:at] + word[at + 1 :] for at in places} | words.swapped(word)
    made |= {word[:at] + letter + word[at + 1 :] for at in places for letter in string.ascii_lowercase}
    made |= {word[:at] + letter + word[at:] for at in (*places, len(word)) for letter in string.ascii_lowercase}
    ranks = _ranks()
    return sorted((each for each in made if each in ranks and each != word), key=lambda each: ranks[each])


@cache
def _ranks() -> dict[str, int]:
    """The whole words, 21,000 of them, by how usual they are. None where the model is not installed."""
    try:
        path = local.VOCABULARY.verified()
    except ProviderRejected:
        return {}
    listed = path.read_text("utf-8").split("\n")
    return {each: rank for rank, each in enumerate(listed) if re.fullmatch(r"[^\W\d_]{3,}", each)}
