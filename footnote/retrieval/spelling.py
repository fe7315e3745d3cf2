"""Words of a question that stand nowhere in what is searched: the nearest words that do.

A word is asked about if no lexeme of it has a posting in any of the collections, and if it is not in the dictionary: a
real word is never taken for another one, nor is anything with a digit. Words of grammar are told by a list. What else
is misspelt is looked for in `vocabulary` by the half that two words have in common, and what is no misspelling, by its
parts: compounds of German and its kin.
"""

import asyncio
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import driver, positional
from footnote.database.tenant_scope import tenant_of
from footnote.errors import ProviderRejected
from footnote.providers import local
from footnote.text import grammar, words

if TYPE_CHECKING:
    from footnote.retrieval.resolving import ResolvedScope

MOST = 8  # words of a question that are asked about
COLLECTIONS = 20  # whose vocabularies are read, at most
CANDIDATES = 300  # words with the same half that are compared with it
SHORT, LONG = 4, 8  # letters: up to SHORT, no letter is replaced; from LONG on, two mistakes are forgiven
PART = 4  # letters of the shortest part of a compound
_LINKS = ("es", "s", "en", "n", "er", "e", "")  # between the parts

# Contractions without their apostrophe, and what people make of them.
_CONTRACTIONS = {
    "whats": "what is",
    "wheres": "where is",
    "whos": "who is",
    "hows": "how is",
    "whens": "when is",
    "thats": "that is",
    "dont": "do not",
    "doesnt": "does not",
    "didnt": "did not",
    "isnt": "is not",
    "arent": "are not",
    "wasnt": "was not",
    "cant": "can not",
    "wont": "will not",
    "couldnt": "could not",
    "shouldnt": "should not",
}
_FREQUENT = grammar.listed(
    "about after are because before between does for from have how many much not that the their there these they this "
    "was were what when where which who why will with your und der die das ist wie was wer wann welche nicht"
)


@dataclass(frozen=True)
class Correction:
    """A word of the question as it is written there, and what was looked for in its place."""

    word: str
    searched: tuple[str, ...]


def suspects(question: str) -> list[str]:
    """The words of the question, as it spells them, that may be misspelt."""
    found = dict.fromkeys(question[start:end] for start, end in words.spans(question))
    return list(islice((each for each in found if not _is_word(each.lower())), MOST))


async def corrections(session: AsyncSession, place: "ResolvedScope", question: str) -> tuple[Correction, ...]:
    """For each misspelt word of the question that stands nowhere in the place; none where there is nothing near it."""
    asked = suspects(question)
    told = {word: fixed for word in asked if (fixed := _of_grammar(word.lower()))}
    near = await _near(
        session, place, [each for each in asked if each not in told], _foreign(question, place.languages)
    )
    found = ((word, told.get(word) or near.get(word.lower(), ())) for word in asked)
    return tuple(Correction(word, tuple(searched)) for word, searched in found if searched)


def looked_for(question: str, place: "ResolvedScope") -> list[str] | None:
    """The words that `ARE_LACKING` looks for; None if `corrections` is to be asked whatever it finds."""
    asked = [each.lower() for each in suspects(question)]
    return None if len(place.filled) > COLLECTIONS or any(map(_of_grammar, asked)) else asked


# Whether one of the words is in no collection: there is nothing to correct otherwise, where vectors alone are compared.
ARE_LACKING = """EXISTS (
    SELECT FROM unnest(CAST(:suspects AS text[])) AS suspect(word) WHERE NOT EXISTS (
        SELECT FROM unnest(CAST(:collections AS text[])) AS searched(collection), LATERAL (
            SELECT FROM vocabulary_of_tenant v
            WHERE v.head_key = posting_key(:tenant, searched.collection, CAST(length(suspect.word) AS text) || '<'
                                           || left(suspect.word, length(suspect.word) / 2))
              AND v.word = suspect.word LIMIT 1
        ) AS found
    )
)"""


def applied(question: str, corrected: Sequence[Correction]) -> str:
    """The question with what is looked for in the place of misspelt words; a compound stays beside its parts."""
    searched = {each.word: each.searched for each in corrected}
    pieces, end = [], 0
    for start, stop in words.spans(question):
        if instead := searched.get(question[start:stop]):
            whole = [question[start:stop]] if len(instead) > 1 and instead[0] not in _GRAMMATICAL else []
            pieces += [question[end:start], " ".join([*whole, *instead])]
            end = stop
    return "".join([*pieces, question[end:]])


_GRAMMATICAL = frozenset(each.split()[0] for each in _CONTRACTIONS.values())


def _foreign(question: str, languages: Collection[str]) -> frozenset[str]:
    """The words of grammar of a question that is not in English, where all texts are said to be.

    Its other words look like English ones, and are none.
    """
    found = frozenset(question.lower().split())
    foreign = found & (grammar.GERMAN | grammar.OTHERS) - grammar.ENGLISH
    return foreign if len(foreign) > len(found & grammar.ENGLISH) and set(languages) <= {"english"} else frozenset()


@lru_cache(maxsize=4096)
def _of_grammar(word: str) -> tuple[str, ...]:
    """The words of grammar that it stands for."""
    if word in _CONTRACTIONS:
        return tuple(_CONTRACTIONS[word].split())
    long = [each for each in _FREQUENT if len(each) - len(word) in (0, 1)]
    alike = long if len(word) >= SHORT else [each for each in long if sorted(each) == sorted(word)]
    near = [each for each in alike if words.distance(word, each) == 1]
    return (min(near, key=lambda each: (sorted(each) != sorted(word), each)),) if near else ()


async def _near(
    session: AsyncSession, place: "ResolvedScope", asked: Sequence[str], foreign: frozenset[str]
) -> dict[str, Sequence[str]]:
    """For each word that is not there. Empty if the texts are not in the language of the `foreign` words of grammar."""
    lower = [each.lower() for each in asked]
    if not lower:
        return {}
    asked_for = [(word, each) for word in lower for each in _keys(word)]
    parts = {part for word in lower for pair in _splits(word) for part in pair}
    written, values = positional(
        _NEAR,
        {
            "tenant": tenant_of(session),
            "collections": [each.id for each in place.filled][:COLLECTIONS],
            "languages": sorted(place.languages),
            "words": lower,
            "parts": sorted(parts | foreign),
            "misspelt": [word for word, _ in asked_for],
            "halves": [half for _, half in asked_for],
            "candidates": CANDIDATES,
        },
    )
    rows = await (await driver(session)).fetch(written, *values)
    if rows and 2 * len(foreign.intersection(rows[0]["parts"])) < len(foreign):
        return {}
    return await asyncio.to_thread(_chosen_of, rows)


def _keys(word: str) -> set[str]:
    """What the words near it have in common with it: one of their halves, but for two swapped letters."""
    most = _mistakes(word)
    lengths = range(len(word) - most, len(word) + most + 1)
    heads = {words.halves(each, len(word))[0] for each in words.swapped(word)}
    return heads.union(*(words.halves(word, length) for length in lengths))


def _chosen_of(rows: Sequence[Any]) -> dict[str, Sequence[str]]:
    return {row["word"]: _chosen(row["word"], row["near"], frozenset(row["parts"])) for row in rows}


def _chosen(word: str, near: Sequence[Any], parts: frozenset[str]) -> Sequence[str]:
    ranked = sorted((words.distance(word, each), -frequency, each) for each, frequency in near)
    for away, _, each in ranked:
        if _may_be(word, each, away):
            return (each,)
    return next(((head, tail) for head, tail in _splits(word) if {head, tail} <= parts), ())


def _may_be(word: str, other: str, away: int) -> bool:
    """Whether a hasty writer may have meant the other word; few get the first letter wrong."""
    if away > (_mistakes(word) if word[-1] == other[-1] else 1):
        return False
    if word[0] != other[0] and sorted(word[:2]) != sorted(other[:2]):
        return False
    return len(word) > SHORT or len(other) > len(word) or sorted(word) == sorted(other)


def _mistakes(word: str) -> int:
    return 2 if len(word) >= LONG else 1


def _splits(word: str) -> Iterator[tuple[str, str]]:
    """The two parts that it may be a compound of, without what links them, the longest heads first."""
    for at in range(len(word) - PART, PART - 1, -1):
        for link in _LINKS:
            head = word[: at - len(link)]
            if len(head) >= PART and word[:at].endswith(link):
                yield head, word[at:]


@lru_cache(maxsize=4096)
def _is_word(word: str) -> bool:
    """Whether it is in the dictionary, or grammar, or another form of what is."""
    if word in _CONTRACTIONS or word in grammar.GRAMMAR or word in grammar.GERMAN:
        return word not in _CONTRACTIONS
    stem = word.removesuffix("e").removesuffix("y")
    forms = (word, *(word + each for each in ("s", "d", "ed", "ing", "ly")), stem + "ing", stem + "ied", stem + "ies")
    bases = (word.removesuffix(each) for each in ("s", "es", "d", "ed", "ing", "ly", "'s"))
    return not _dictionary().isdisjoint((*forms, *(each for each in bases if len(each) > 2)))


@cache
def _dictionary() -> frozenset[str]:
    """The whole words of the vocabulary of the local model, by which 21,000 English words are told from misspelt ones.

    Empty where the model is not installed.
    """
    try:
        path = local.VOCABULARY.verified()
    except ProviderRejected:
        return frozenset()
    return frozenset(each for each in path.read_text("utf-8").split("\n") if re.fullmatch(r"[^\W\d_]{3,}", each))


# Of what is there in no language and no collection: candidates with their frequencies; and which parts are there. A
# word of grammar in one of the languages has no lexeme there, and is known. Without languages, where vectors alone are
# compared, the words themselves are looked for.
_NEAR = """
WITH place AS MATERIALIZED (
    SELECT collection.id, language.name
    FROM unnest(CAST(:collections AS text[])) AS collection(id), unnest(CAST(:languages AS text[])) AS language(name)
),
asked AS MATERIALIZED (
    SELECT word, length(word) || '<' || left(word, length(word) / 2) AS head
    FROM (SELECT unnest(CAST(:words AS text[])) AS word UNION SELECT unnest(CAST(:parts AS text[]))) AS each
),
held AS MATERIALIZED (
    SELECT word, found.is_there, found.is_there OR found.is_grammar AS is_held
    FROM asked, LATERAL (
        SELECT coalesce(bool_or(EXISTS (
            SELECT FROM posting p WHERE p.key = posting_key(:tenant, place.id, l.lexeme)
        )), false) OR EXISTS (
            SELECT FROM unnest(CAST(:collections AS text[])) AS collection
            JOIN vocabulary_of_tenant v ON v.head_key = posting_key(:tenant, collection, asked.head)
            WHERE v.word = asked.word
        ) AS is_there, coalesce(bool_or(l.lexeme IS NULL), false) AS is_grammar
        FROM place LEFT JOIN LATERAL unnest(to_tsvector(CAST(place.name AS regconfig), word)) AS l ON true
    ) AS found
),
meant AS MATERIALIZED (
    SELECT its.word, v.word AS other, v.lexeme_key
    FROM (
        SELECT u.word, array_agg(posting_key(:tenant, collection, given.half)) AS keys
        FROM held u JOIN unnest(CAST(:misspelt AS text[]), CAST(:halves AS text[])) AS given(word, half)
             ON given.word = u.word, unnest(CAST(:collections AS text[])) AS collection
        WHERE NOT u.is_held GROUP BY u.word
    ) AS its, LATERAL (
        (SELECT v.word, v.lexeme_key FROM vocabulary_of_tenant v WHERE v.head_key = ANY (its.keys) LIMIT :candidates)
        UNION
        (SELECT v.word, v.lexeme_key FROM vocabulary_of_tenant v WHERE v.tail_key = ANY (its.keys) LIMIT :candidates)
    ) AS v
),
counted AS (
    SELECT word, other, sum(held.chunks) AS chunks FROM (SELECT DISTINCT * FROM meant) AS m, LATERAL (
        SELECT sum(length(chunks)) / 3 AS chunks
        FROM (SELECT p.chunks FROM posting p WHERE p.key = m.lexeme_key ORDER BY p.block LIMIT 100) AS first
    ) AS held
    WHERE held.chunks > 0 GROUP BY 1, 2
)
SELECT u.word,
       coalesce((
           SELECT jsonb_agg(jsonb_build_array(other, chunks)) FROM counted c WHERE c.word = u.word
       ), '[]') AS near, ARRAY(SELECT h.word FROM held h WHERE h.is_there) AS parts
FROM held u WHERE NOT u.is_held AND u.word = ANY (CAST(:words AS text[]))
"""
