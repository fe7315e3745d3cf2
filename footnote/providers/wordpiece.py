"""BERT's uncased WordPiece tokenizer, with the same ids as the `tokenizers` library.

Schuster and Nakajima, "Japanese and Korean voice search" (2012); vocabulary and rules as in BERT (2018).
Python's Unicode tables are newer than the library's: where a text has marks or punctuation added since
Unicode 8, most of them of rare scripts, the ids of their words may differ.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LONGEST_WORD = 100  # characters; a longer word is [UNK]
_CACHED_WORDS = 1 << 14  # as they are written, and as many normalised ones
_CACHED_CHARACTERS = 1 << 15

# Characters that are words of their own. The gap from 2B820 to 2B91F is the library's, and so the model's.
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class WordPiece:
    """Greedy longest-match-first pieces of lower-cased words without accents. Threads may share it."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._ids = {piece: index for index, piece in enumerate(vocabulary)}
        self._unknown = self._ids["[UNK]"]
        self._first, self._last = self._ids["[CLS]"], self._ids["[SEP]"]
        self._characters = _Characters()
        self._word_ids = lru_cache(_CACHED_WORDS)(self._split_word)
        self._written_ids = lru_cache(_CACHED_WORDS)(self._split_written)

    def encode(self, text: str, limit: int | None = None) -> list[int]:
        """Ids from [CLS] to [SEP], both included; at most `limit` of them, the end of the text cut off."""
        pieces = list(chain.from_iterable(self._pieces(text)))
        if limit is not None:
            del pieces[limit - 2 :]
        return [self._first, *pieces, self._last]

    def count(self, text: str) -> int:
        """How many ids `encode` gives, at half its cost."""
        return 2 + sum(map(len, self._pieces(text)))

    def _pieces(self, text: str) -> Iterator[tuple[int, ...]]:
        """The ids of a text, word by word. Words recur as they are written, so that few need to be normalised."""
        if "[" not in text:
            return self._plain_pieces(text)
        return chain.from_iterable(
            [(self._ids[part],)] if index % 2 else self._plain_pieces(part)
            for index, part in enumerate(_SPECIAL.split(text))
        )

    def _plain_pieces(self, text: str) -> Iterator[tuple[int, ...]]:
        written = _DROPPED_SPACES.sub("", text).split()  # at any Unicode space
        if max(map(len, written), default=0) <= LONGEST_WORD:
            return map(self._written_ids, written)
        # A script without spaces: what is between two of them hardly recurs, and may be a whole book.
        return map(self._word_ids, text.translate(self._characters).split())

    def _split_written(self, word: str) -> tuple[int, ...]:
        return tuple(chain.from_iterable(map(self._word_ids, word.translate(self._characters).split())))

    def _split_word(self, word: str) -> tuple[int, ...]:
        if len(word) > LONGEST_WORD:
            return (self._unknown,)
        pieces = []
        start = 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = self._ids.get(word[start:end] if start == 0 else f"##{word[start:end]}")
                if piece is not None:
                    pieces.append(piece)
                    break
            else:
                return (self._unknown,)
            start = end
        return tuple(pieces)


# A special token written in a text is that token, as in the library the model was trained with.
_SPECIAL = re.compile("(" + "|".join(map(re.escape, SPECIAL_TOKENS)) + ")")
# Controls at which `str.split` would part a word, and that are dropped from it instead.
_DROPPED_SPACES = re.compile("[\x0b\x0c\x1c-\x1f\x85]")


class _Characters(dict[int, str]):
    """A table for `str.translate`, filled as characters are met: what each one is normalised to.

    Working character by character, and not on the whole string, is what the library does: a capital sigma
    becomes the same letter wherever it stands.
    """

    def __missing__(self, code: int) -> str:
        normalised = _normalise(chr(code))
        if len(self) < _CACHED_CHARACTERS:  # all characters of Unicode would take 150 MB
            self[code] = normalised
        return normalised


def _normalise(character: str) -> str:
    """Lower case without accents; spaces around what is a word of its own; empty for what is dropped."""
    if character in "\t\n\r":
        return " "
    category = unicodedata.category(character)
    if character == "\ufffd" or category in ("Cc", "Cf", "Co", "Cs"):
        return ""
    decomposed = unicodedata.normalize("NFD", character)
    bare = "".join(part.lower() for part in decomposed if unicodedata.category(part) != "Mn")
    if _is_ideograph(ord(character)):
        return f" {bare} "
    return "".join(f" {part} " if _is_punctuation(part) else part for part in bare)


def _is_punctuation(character: str) -> bool:
    """ASCII symbols such as `$` and `^` count as punctuation, those of other scripts do not."""
    if character.isascii():
        return not character.isalnum()
    return unicodedata.category(character)[0] == "P"


def _is_ideograph(code: int) -> bool:
    return any(first <= code <= last for first, last in _IDEOGRAPHS)
