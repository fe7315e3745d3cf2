"""Words of a question that stand nowhere in what is searched: the nearest words that do.

A word is asked about if no lexeme of it has a posting in any of the collections, and if it is not in the dictionary: a
real word is never taken for another one, nor is anything with a digit. Words of grammar are found by a list. What else
is misspelt is looked for in `vocabulary` by the half that two words have in common, and what is no misspelling, by its
parts: compounds of German and its kin. What is near to none of them, and real words that stand nowhere, are compared
with what the other words of the question find (`spelled_by_context`).
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import driver, positional
from footnote.database.tenant_scope import tenant_of
from footnote.retrieval import dictionary, misspelt_grammar
from footnote.retrieval.misspelt_grammar import CONTRACTIONS, begin_alike, is_light
from footnote.retrieval.spelled_by_context import SpellingContext
from footnote.text import grammar, words
from footnote.text.languages import USUAL, configuration, detected

if TYPE_CHECKING:
    from footnote.retrieval.resolving import ResolvedScope

MOST = 8  # words of a question that are asked about
COLLECTIONS = 20  # whose vocabularies are read, at most
CANDIDATES = 300  # words with the same half that are compared with it
SHORT, LONG = 4, 8  # letters: up to SHORT, no letter is replaced; from LONG on, two mistakes are forgiven
PART = 4  # letters of the shortest part of a compound
_LINKS = ("es", "s", "en", "n", "er", "e", "")  # between the parts


@dataclass(frozen=True)
class Correction:
    """A word of the question as it is written there, and what was looked for in its place."""

    word: str
    searched: tuple[str, ...]


def suspects(question: str) -> list[str]:
    """The words of the question, as it spells them, that may be misspelt. Abbreviations in capitals are not."""
    found = dict.fromkeys(question[start:end] for start, end in words.spans(question))
    found = {each: None for each in found if question.isupper() or not _is_abbreviation(each)}
    asks = misspelt_grammar.asks_what(question)
    return list(islice((each for each in found if each == asks or not _is_word(each.lower())), MOST))


def _is_abbreviation(word: str) -> bool:
    return word.isupper() or (len(word) <= SHORT + 1 and word[1:] != word[1:].lower())


def _is_word(word: str) -> bool:
    """Whether it is right as it is: in the dictionary, or grammar."""
    return word not in CONTRACTIONS and (_grammatical(word) or dictionary.is_word(word))


async def corrections(
    session: AsyncSession, place: "ResolvedScope", question: str, texts: Sequence[str]
) -> tuple[Correction, ...]:
    """For each misspelt word of the question that stands nowhere in the place; none where there is nothing near it.

    `texts` were found by the question as it is.
    """
    asked, context = suspects(question), SpellingContext(texts)
    foreign = _foreign(question, place.languages)
    rows = {row["word"]: row for row in await _unheld(session, place, [each.lower() for each in asked], foreign)}
    asked = [each for each in asked if each.lower() in rows]
    corrected = misspelt_grammar.corrected(question, asked)
    if foreign and not any(2 * len(foreign.intersection(row["parts"])) > len(foreign) for row in rows.values()):
        return _all(asked, corrected)
    others = [each for each in asked if each not in corrected and not dictionary.is_word(each.lower())]
    corrected |= await asyncio.to_thread(_chosen_of, others, rows, context)
    if beside := _beside(question, corrected, context):
        unheld = await _unheld(session, place, [word.lower() for word in beside], frozenset(), nearest=False)
        missing = {row["word"] for row in unheld}
        corrected |= {word: (other,) for word, other in beside.items() if word.lower() in missing}
    corrected |= _joined(question, corrected, context)
    return _all([*asked, *(each for each in corrected if each not in asked)], corrected)


def _all(order: Sequence[str], corrected: Mapping[str, Sequence[str]]) -> tuple[Correction, ...]:
    return tuple(Correction(word, tuple(corrected[word])) for word in order if corrected.get(word))


def looked_for(question: str, place: "ResolvedScope") -> list[str] | None:
    """The words that `ARE_MISSING` looks for; None if `corrections` is to be asked whatever it finds."""
    asked = [each.lower() for each in suspects(question)]
    return None if len(place.filled) > COLLECTIONS or any(map(misspelt_grammar.may_be_misspelt, asked)) else asked


# Whether one of the words is in no collection: there is nothing to correct otherwise, where vectors alone are compared.
ARE_MISSING = """EXISTS (
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
    """The question with misspelt words replaced; a compound is followed by its parts."""
    searched = {each.word: each.searched for each in corrected}
    for apart in (each for each in corrected if " " in each.word):
        question = question.replace(apart.word, f"{apart.word} {apart.searched[0]}")
    pieces, end = [], 0
    for start, stop in words.spans(question):
        if instead := searched.get(question[start:stop]):
            whole = [question[start:stop]] if len(instead) > 1 and not any(map(_grammatical, instead)) else []
            pieces += [question[end:start], " ".join([*whole, *instead])]
            end = stop
    return "".join([*pieces, question[end:]])


def _foreign(question: str, languages: Collection[str]) -> frozenset[str]:
    """The words of grammar of a question in another language than all texts are said to be in, which is not English.

    Its other words look like theirs, and are none.
    """
    found, asked_in = frozenset(question.lower().split()), configuration(detected(question))
    foreign = found & (grammar.GERMAN | grammar.OTHERS) - grammar.ENGLISH
    is_spoken = asked_in in languages if asked_in else not set(languages) <= {USUAL}
    return frozenset() if is_spoken or len(foreign) <= len(found & grammar.ENGLISH) else foreign


def _beside(question: str, corrected: Mapping[str, Sequence[str]], context: SpellingContext) -> dict[str, str]:
    """Real words that the texts lack, and the words that have the same neighbours there."""
    found = {}
    for before, word, behind in zip(*(_runs(question)[at:] for at in range(3)), strict=False):
        if not word or word in corrected or context.holds(word.lower()) or _grammatical(word):
            continue
        beside = [(corrected.get(each) or (each,))[0].lower() for each in (before, behind)]
        if near := context.beside(word.lower(), *(each if _is_neighbour(each) else None for each in beside)):
            found[word] = near
    return found


def _is_neighbour(word: str) -> bool:
    return len(word) >= words.SHORTEST - 1 and word not in grammar.GRAMMAR


def _joined(
    question: str, corrected: Mapping[str, Sequence[str]], context: SpellingContext
) -> dict[str, Sequence[str]]:
    """Two words that the texts write as one, if one of them is not there."""
    found: dict[str, Sequence[str]] = {}
    for head, tail in pairwise(_runs(question)):
        if not head or not tail or {head, tail} & corrected.keys() or _grammatical(head) or _grammatical(tail):
            continue
        if context.holds(head.lower()) and context.holds(tail.lower()):
            continue
        if whole := context.joined(head.lower(), tail.lower()):
            found[f"{head} {tail}"] = (whole,)
    return found


def _grammatical(word: str) -> bool:
    return word.lower() in grammar.GRAMMAR or word.lower() in grammar.GERMAN


def _runs(question: str) -> list[str]:
    """Its words, with an empty one at both ends and wherever something else than a space stands between two."""
    found, end = [""], 0
    for start, stop in words.spans(question):
        found += ([""] if question[end:start] != " " and end else []) + [question[start:stop]]
        end = stop
    return [*found, ""]


async def _unheld(
    session: AsyncSession,
    place: "ResolvedScope",
    lower: Sequence[str],
    foreign: frozenset[str],
    *,
    nearest: bool = True,
) -> Sequence[Any]:
    """For each word that is not there, what is near it, and of its parts, dictionary words and `foreign` what is."""
    if not lower:
        return ()
    asked_for = [(word, each) for word in lower if nearest for each in _keys(word)]
    parts = {part for word in lower if nearest for pair in _splits(word) for part in pair}
    parts.update(each for word in lower if nearest for each in dictionary.near(word))
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
    rows: Sequence[Any] = await (await driver(session)).fetch(written, *values)
    return rows


def _keys(word: str) -> set[str]:
    """What the words near it have in common with it: one of their halves, but for two swapped letters."""
    most = _mistakes(word)
    lengths = range(len(word) - most, len(word) + most + 1)
    heads = {words.halves(each, len(word))[0] for each in words.swapped(word)}
    return heads.union(*(words.halves(word, length) for length in lengths))


def _chosen_of(asked: Sequence[str], rows: Mapping[str, Any], context: SpellingContext) -> dict[str, Sequence[str]]:
    """By the words as the question spells them."""
    of = {each: rows[each.lower()] for each in asked}
    found = {each: _chosen(row["word"], row["near"], frozenset(row["parts"]), context) for each, row in of.items()}
    return {each: chosen for each, chosen in found.items() if chosen}


def _chosen(word: str, near: Sequence[Any], parts: frozenset[str], context: SpellingContext) -> Sequence[str]:
    """The nearest, swapped or doubled letters first; of several, one that stands in what the question found, or the
    most frequent. Also a word of the dictionary of which another form is there.
    """
    also = [(each, 0) for each in dictionary.near(word) if each in parts]
    ranked = sorted(
        (words.distance(word, each), not is_light(word, each), not context.frequency(each), -count, each)
        for each, count in [*near, *also]
    )
    for away, _, is_elsewhere, _, each in ranked:
        if _may_be(word, each, away) and not (is_elsewhere and _may_be_another(word, each)):
            return (each,)
    if compound := next(((head, tail) for head, tail in _splits(word) if {head, tail} <= parts), ()):
        return compound
    if parted := context.parted(word):
        return parted
    other = context.nearest(word)
    return (other,) if other else ()


def _may_be(word: str, other: str, away: int) -> bool:
    """Whether a hasty writer may have meant the other word; few get the first letter wrong."""
    if away > (_mistakes(word) if word[-1] == other[-1] else 1):
        return False
    if not begin_alike(word, other):
        return False
    return len(word) > SHORT or len(other) > len(word) or sorted(word) == sorted(other)


def _may_be_another(word: str, other: str) -> bool:
    """Whether a short word would lose a letter, or one or two would be replaced: `capex` is no `cape`."""
    is_cut = len(word) <= SHORT + 1 and len(other) < len(word)
    return (is_cut or len(other) == len(word)) and not is_light(word, other)


def _mistakes(word: str) -> int:
    return 2 if len(word) >= LONG else 1


def _splits(word: str) -> Iterator[tuple[str, str]]:
    """The two parts that it may be a compound of, without what links them, the longest heads first."""
    for at in range(len(word) - PART, PART - 1, -1):
        for link in _LINKS:
            head = word[: at - len(link)]
            if len(head) >= PART and word[:at].endswith(link):
                yield head, word[at:]


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
