"""Words as people spell them: what can be misspelt, and how far apart two spellings are."""

import re
from collections.abc import Iterable

from footnote.text.grammar import GERMAN, GRAMMAR

SHORTEST, LONGEST = 4, 30  # letters: what is shorter has too many neighbours, what is longer is no word that is typed
# Letters of scripts that put spaces between words; with a digit or `_` among them they are an identifier.
_LETTERS = rf"[^\W\d_\u0e00-\u1dff\u2000-\U0003ffff]{{3,{LONGEST}}}"
_WORD = re.compile(rf"(?<!\w){_LETTERS}(?!\w)")
_RUN, _LETTERS_ONLY = re.compile(r"\w+"), re.compile(_LETTERS)
# What every identifier has, by the SQL function `identifiers`: a digit, one of `_@/`, or a dot within it.
_TELLING = re.compile(r"[0-9_@/]|\.\S")


def telling(text: str) -> str:
    """What is between spaces and may hold an identifier: in this, `identifiers` finds what it finds in the text."""
    found, end = [], 0
    while match := _TELLING.search(text, end):
        start, end = text.rfind(" ", 0, match.start()) + 1, text.find(" ", match.end())
        end = len(text) if end < 0 else end
        found.append(text[start:end])
    return " ".join(found)


def distinct(texts: Iterable[str]) -> list[str]:
    """The words of the texts in lower case but short ones and those of grammar, each once, sorted.

    The texts are folded.
    """
    runs = set().union(*(_RUN.findall(text.lower()) for text in texts)) - GRAMMAR - GERMAN
    return sorted(run for run in runs if len(run) >= SHORTEST and _LETTERS_ONLY.fullmatch(run))


def spans(text: str) -> list[tuple[int, int]]:
    """Where the words of a text stand."""
    return [match.span() for match in _WORD.finditer(text)]


def halves(word: str, letters: int) -> tuple[str, str]:
    """Its beginning, and its first letter with its end, if it were a half of a word of that many letters.

    If one letter of a word is wrong, missing or too much, or two in one half, the other half is as it should be.
    """
    middle = letters // 2
    return f"{letters}<{word[:middle]}", f"{letters}>{word[:1]}{word[len(word) - letters + middle :]}"


def swapped(word: str) -> set[str]:
    """The word with any two neighbours swapped."""
    return {word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(len(word) - 1)}


def shortened(word: str) -> set[str]:
    """The word, and it without each of its letters: two words with a distance of 1 have one of them in common."""
    return {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}


def one_apart(one: str, other: str) -> bool:
    """Whether their `distance` is 1, in a thirtieth of the time."""
    short, long = (one, other) if len(one) <= len(other) else (other, one)
    same = 0
    while same < len(short) and short[same] == long[same]:
        same += 1
    if len(short) < len(long):
        return short[same:] == long[same + 1 :]
    is_replaced = short[same + 1 :] == long[same + 1 :]
    return short != long and (
        is_replaced or short[same + 1 : same + 2] + short[same] + short[same + 2 :] == long[same:]
    )


def distance(one: str, other: str) -> int:
    """Letters to insert, delete, replace or swap with their neighbour, to make one word the other.

    Optimal string alignment: the restricted distance of Damerau (1964) and Levenshtein (1966).
    """
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at_row, letter in enumerate(one, 1):
        before, above, row = row, before, [at_row]
        for at, their in enumerate(other, 1):
            cost = min(before[at] + 1, row[at - 1] + 1, before[at - 1] + (letter != their))
            if at_row > 1 and at > 1 and letter == other[at - 2] and one[at_row - 2] == their:
                cost = min(cost, above[at - 2] + 1)
            row.append(cost)
    return row[-1]
