"""A test set of our own: short documents that each hold one identifier, among others that differ in one character.

Words say nothing here: the documents of a group tell alike stories, and each question shares words with any of them.
Only who reads `ERR_CONN_4021` as it stands finds the one that is meant. What is drawn depends on the seed alone.
"""

import random
import string
from collections.abc import Collection, Sequence
from pathlib import Path

from benchmarks.evaluation.sets import Set

SEED = 7
GROUPS = 6  # of each kind
ALIKE = 4  # identifiers in a group
METRICS = ("hit@1", "hit@5", "MRR", "nDCG@10")

# What stands for what in a pattern. Of the words, any two of a row differ in one letter.
_SLOTS: dict[str, Sequence[str]] = {
    "#": string.digits[1:],
    "^": string.ascii_uppercase,
    "~": string.ascii_lowercase,
    "%": "0123456789abcdef",
    "$": ("cold", "bold", "gold", "fold"),
    "&": ("lamp", "damp", "camp", "ramp"),
    "*": ("boat", "coat", "goat", "moat"),
}
KINDS = {
    "error-code": "ERR_^^^^_####",
    "version": "#.##.#-rc#",
    "part-number": "^^-####/^",
    "email": "~~.~~~~~~@~~~~~.example",
    "path": "/srv/~~~~~/conf.d/##-~~~~~.yaml",
    "phrase": '"the $ & by the *"',
    "cve": "CVE-20##-#####",
    "uuid": "%%%%%%%%-%%%%-%%%%-%%%%-%%%%%%%%%%%%",
    "commit": "%%%%%%%%%%",
    "constant": "MAX_^^^^_RETRY_^^^^",
    "address": "10.##.##.##:####",
    "ticket": "^^^^-#####",
    "function": "~~~~~.~~~~~~_~~~~()",
    "invoice": "INV########",
}

_OPENINGS = (
    "This note concerns {}.",
    "The team looked into {} on Tuesday.",
    "A customer wrote to us about {} last week.",
    "Everything known so far about {} is collected here.",
    "During the review, {} came up twice.",
)
_STORIES = (
    "It appeared after the upgrade of the storage nodes and went away when the gateway was restarted.",
    "The cause was a stale entry in the cache; clearing it by hand was enough.",
    "Replacing the worn cable fixed the matter, and nobody has complained since.",
    "The finance department has approved the change, which takes effect at the end of the quarter.",
    "Nothing was lost, though the nightly report arrived four hours late.",
    "The owner asked for a written summary, and the supplier was told to send a replacement.",
    "A permanent fix is planned for the next release; until then, raise the limit to twice its value.",
    "Access was given to the operations team, who keep the log of all incidents in the shared folder.",
)
_QUESTIONS = (
    "What do we know about {}?",
    "How was the matter with {} fixed after the upgrade?",
    "Who looked into {} and what was the cause?",
    "Please tell me what happened to {} and whether the customer was told.",
    "Is there a permanent fix or a replacement for {} yet?",
)


def make(folder: Path, seed: int = SEED) -> Set:
    """Writes the documents into the folder, where they are missing, and gives the set."""
    rng = random.Random(seed)
    questions, judgements = {}, {}
    folder.mkdir(parents=True, exist_ok=True)
    for name, identifier in identifiers(rng).items():
        story = " ".join(rng.sample(_STORIES, 3))
        text = f"{rng.choice(_OPENINGS).format(identifier)} {story}\n"
        path = folder / f"{name}.txt"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        questions[name] = rng.choice(_QUESTIONS).format(identifier)
        judgements[name] = {name: 1}
    return Set("identifiers", folder, questions, judgements, METRICS, METRICS[0])


def identifiers(rng: random.Random) -> dict[str, str]:
    """Identifiers by the names of their documents: kind, group and number in it. No two are the same."""
    found: dict[str, str] = {}
    for kind, pattern in KINDS.items():
        for group in range(GROUPS):
            alike = _alike(pattern, found.values(), rng)
            found |= {f"{kind}-{group}-{number}": each for number, each in enumerate(alike)}
    return found


def _alike(pattern: str, taken: Collection[str], rng: random.Random) -> list[str]:
    """An identifier and others that differ from it in one character; one may be it with a digit more."""
    while (first := "".join(drawn := [_draw(each, rng) for each in pattern])) in taken:
        pass
    alike = [first] if pattern[-1] != "#" else [first, first + _draw("#", rng)]
    places = [place for place, each in enumerate(pattern) if each in _SLOTS]
    while len(alike) < ALIKE:
        place = rng.choice(places)
        other = "".join([*drawn[:place], _draw(pattern[place], rng), *drawn[place + 1 :]])
        if other not in alike and other not in taken:
            alike.append(other)
    return alike


def _draw(letter: str, rng: random.Random) -> str:
    return rng.choice(_SLOTS.get(letter, letter))
