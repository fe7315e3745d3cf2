"""Which language a text is in, by its scripts, its small words and the letters that few languages have. No model.

Names are those of Postgres' text search configurations, in small letters; languages that Postgres cannot stem are
recognised, too, so that they are not taken for a neighbour.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

# Languages for which Postgres has a stemmer.
_NAMES = """
    arabic armenian basque catalan danish dutch english estonian finnish french german greek hindi hungarian indonesian
    irish italian lithuanian nepali norwegian portuguese romanian russian serbian spanish swedish tamil turkish yiddish
"""
STEMMED = frozenset(_NAMES.split())
UNSTEMMED = "simple"  # the configuration of the others
DETECTED = "auto"  # what a collection says whose documents are in the language they are in
USUAL = "english"  # of their texts that are too short to be sure
LOOKED_AT = 4_000  # characters of a text
LEAST = 1.5  # a text says less: the language is unknown
SHARE = 0.08  # of the words; where less speaks for a language, words only look like its
AHEAD = 1.25  # of the next language
_WORDS = ""  # under what name words are counted

# Letters that few languages have: a word with one counts as a small word of these.
_LETTERS = {
    "ß": "german",
    "ãõ": "portuguese",
    "ñ¿¡": "spanish",
    "œ": "french",
    "ŀ": "catalan",
    "å": "swedish danish norwegian",
    "øæ": "danish norwegian",
    "ðþ": "icelandic",
    "őű": "hungarian",
    "ığş": "turkish",
    "ășț": "romanian",
    "ėųį": "lithuanian",
    "ļņķģ": "latvian",
    "łżź": "polish",
    "ěřů": "czech",
    "ľĺŕ": "slovak",
    "ơưđ": "vietnamese",
    "іїєґ": "ukrainian",
    "ыэ": "russian",
    "ђћљњџј": "serbian",
    "ќѓѕ": "macedonian",
    "پچژگ": "persian urdu",
    "ٹڈڑںے": "urdu",
}
# Scripts of one language, or whose language does not matter as none of them is stemmed.
_SCRIPTS = {
    "greek": "\u0370-\u03ff\u1f00-\u1fff",
    "armenian": "\u0531-\u058f",
    "tamil": "\u0b80-\u0bff",
    "georgian": "\u10a0-\u10ff",
    "bengali": "\u0980-\u09ff",
    "thai": "\u0e01-\u0e4e",
    "lao": "\u0e81-\u0edf",
    "burmese": "\u1000-\u109f",
    "khmer": "\u1780-\u17dd",
    "korean": "\uac00-\ud7a3",
    "japanese": "\u3041-\u309f\u30a1-\u30ff",
    "chinese": "\u3400-\u9fff",
}
_WORD = re.compile(r"[^\W\d_]+(?:[\u05b7-\u05bf\u0900-\u0963\u0971-\u097f]+[^\W\d_]*)*")
_ASCII_WORD = re.compile("[a-z]+")
_RUNS = {name: re.compile(f"[{letters}]+") for name, letters in _SCRIPTS.items()}
_LETTERS_OF_A_WORD = 4  # roughly: how many letters of a script count as much as a small word
_KANA = 0.1  # of the ideographs: where there are more kana, these are Japanese


def _spoken() -> dict[str, list[str]]:
    """Of each small word, the languages that have it."""
    found: dict[str, list[str]] = {}
    for line in Path(__file__).with_name("small_words.txt").read_text("utf-8").splitlines():
        name, _, words = line.partition(":")
        for word in words.split():
            found.setdefault(word, []).append(name)
    return found


_SPOKEN = _spoken()
_MARKED = {letter: names.split() for letters, names in _LETTERS.items() for letter in letters}
_MARKS = re.compile(f"[{''.join(_MARKED)}]")


def evidence(text: str, before: Mapping[str, float] | None = None) -> dict[str, float]:
    """How much speaks for each language, with what spoke for it in the text before."""
    found: dict[str, float] = dict(before or {})
    lower, plain = text.lower(), text.isascii()
    counts = Counter((_ASCII_WORD if plain else _WORD).findall(lower))
    _add(found, (_WORDS,), counts.total())
    for word in counts.keys() & _SPOKEN.keys():
        _add(found, _SPOKEN[word], counts[word])
    if plain:
        return found
    for letter in _MARKS.findall(lower):
        _add(found, _MARKED[letter])
    for name, run in _RUNS.items():
        if letters := sum(map(len, run.findall(lower))):
            found[name] = found.get(name, 0) + letters / _LETTERS_OF_A_WORD
    return found


def _add(found: dict[str, float], names: Sequence[str], times: int = 1) -> None:
    """What several languages have says less of each."""
    for name in names:
        found[name] = found.get(name, 0) + times / len(names)


def decided(found: Mapping[str, float]) -> str:
    """The language that most speaks for; empty if that is too little, or as much speaks for another."""
    found = dict(found)
    least = max(LEAST, SHARE * found.pop(_WORDS, 0))
    if found.get("japanese", 0) > _KANA * found.get("chinese", 0):
        found["japanese"] = found.get("japanese", 0) + found.pop("chinese", 0)
    ranked = sorted(found.items(), key=lambda each: -each[1])
    if not ranked or ranked[0][1] < least:
        return ""
    return ranked[0][0] if len(ranked) == 1 or ranked[0][1] >= AHEAD * ranked[1][1] else ""


def detected(text: str) -> str:
    """The language of a text, by its beginning; empty if it is not clear."""
    return decided(evidence(text[:LOOKED_AT]))


# Words with which questions of one language alone begin. They tell the language of a question that is too short to
# show it otherwise, and say nothing about its subject; Postgres takes not all of them for stop words.
_ASKING = {
    word: name
    for name, listed in {
        "english": "what who whom whose which when where why how",
        "german": "wer wen wem wessen wie wann warum weshalb wieso wohin woher welche welcher welches welchen welchem",
        "french": "combien quel quelle quels quelles quand pourquoi où",
        "spanish": "cuál cuáles cuándo cuánto cuánta cuántos cuántas dónde quién quiénes cómo qué",
        "italian": "quale quali perché quanti quante dove chi",
        "dutch": "hoe hoeveel wanneer waar waarom welke welk",
    }.items()
    for word in listed.split()
}
_FIRST = re.compile(r"\W*([^\W\d_]+)(?=\s)")


def asked(question: str, languages: Collection[str]) -> tuple[str, str]:
    """The language of a question, empty if it is not clear, and the question without the word that it asks with.

    `languages` are those of the texts: of other languages no word counts as one that asks, such as `dove` and `chi`.
    """
    first = _FIRST.match(question)
    name = _ASKING.get(first[1].lower(), "") if first else ""
    language = detected(question)
    if first is None or name not in languages or language not in ("", name):
        return language, question
    return name, question[first.end() :]


def configuration(language: str) -> str:
    """The configuration of Postgres that stems the language; empty if the language is unknown."""
    return language if language in STEMMED or not language else UNSTEMMED


def stemming(setting: str, language: str) -> str:
    """The configuration for a document in the language, by the setting of its collection."""
    return (configuration(language) or USUAL) if setting == DETECTED else setting
