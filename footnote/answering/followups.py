"""Rewrites follow-up questions so that they can be understood alone: by rules for English, without a model.

"And in 2019?" replaces the year in the previous question. "Who wrote it?" gets the words that the previous question was
about, and the names in its answer. A question that can be understood alone stays as it is.
"""

import re
from collections.abc import Sequence

from footnote.citations import unmarked
from footnote.providers import ChatMessage
from footnote.text.sentences import spans

MOST_NAMES = 3  # taken from the answer before
MOST_WORDS = 30  # taken from the question before
LONGEST = 400  # characters of a follow-up; a longer question says what it is about
SHORT = 4  # words of a question without a verb that may be a piece of one

_ASKING = "who|whom|whose|what|which|when|where|why|how"
_AUXILIARY = (
    "is|are|was|were|am|be|been|do|does|did|has|have|had|can|could|will|would|shall|should|may|might|must|isn't|"
    "aren't|wasn't|weren't|don't|doesn't|didn't|hasn't|haven't|hadn't|can't|couldn't|won't|wouldn't"
)
_PREPOSITION = "in|on|at|for|of|from|to|by|with|without|under|after|before|during|since|until|between|about|as|near"
_OPENING = re.compile(
    r"^(?:(?:and|but|or|so|then|also|ok|okay|yes|no|thanks|hm+)\b[\s,]*)*"
    r"(?:(?:what|how) (?:about|of|is with)\b\s*|(?:the )?same (?:for|with)\b\s*)?",
    re.IGNORECASE,
)
_EMPTY = frozenset(
    f"{_ASKING}|{_AUXILIARY}|{_PREPOSITION}|a|an|the|and|or|but|so|then|also|not|no|yes|any|some|all|both|each|either|"
    "it|its|he|him|his|she|her|hers|they|them|their|theirs|this|that|these|those|there|here|one|ones|other|others|"
    "another|else|same|former|latter|first|last|next|i|me|my|we|us|our|you|your|much|many|more|most|less|far|long|often|"
    "exactly|please|tell|explain|describe|elaborate|show|give|mean|means|example|examples|detail|details|"
    "instead|again|further|if|than|too|very|just|only|really|come|about|go|on|up|out|there's|it's|that's|what's".split(
        "|"
    )
)
# A pronoun refers to something in its own question only if that comes before it, in another clause.
_CLAUSE = r"\b(?:when|if|after|before|because|while|since|until|once|and|but|so|than|as|that|which|who|where)\b|[,;:]"
_PERSONAL = re.compile(r"\b(?:it|it's|he|him|she|they|them|hers|theirs)\b", re.IGNORECASE)
_PRONOUN = re.compile(rf"{_PERSONAL.pattern}|\b(?:its|his|her|their)\b", re.IGNORECASE)
_SOMEBODY = re.compile(r"\b(?:he|him|his|she|hers?|they|them|theirs?)\b", re.IGNORECASE)
_POSSESSIVE = re.compile(r"\b(?:its|his|her|their)\b", re.IGNORECASE)
_POINTING = re.compile(
    r"\b(?:this|these|those)\b(?! (?:year|month|week|day|time|century|quarter)s?\b)"
    rf"|(?:^|\b(?:{_AUXILIARY}|{_PREPOSITION}|{_ASKING})\s)(?:that|that's)\b(?! \w+s? (?:is|are|was|were)\b)"
    r"|\belse\b|\bthe (?:former|latter|others?|same)\b|\b(?:which|the (?:\w+ )?|another|each) ?ones?\b"
    r"|\banother$"
    r"|(?<!\bis )(?<!are )(?<!was )(?<!were )(?<!^)\bthere\b(?! (?:is|are|was|were|been|be|any|some|a|an)\b)",
    re.IGNORECASE,
)
# "Is it possible to", "how long does it take to", "is it true that": `it` refers to what follows.
_EXPLETIVE = re.compile(r"\bit(?:'s)?\s+(?:\w+\s+){0,3}?(?:to|that|rain\w*|snow\w*)\b", re.IGNORECASE)
_ANTECEDENT = re.compile(r"\b(?:the|a|an|my|our|your|each|every|any)\s+\w+|(?<=\w\s)[A-Z]\w+|\d")
_DOING = re.compile(rf"^who\s+(?!(?:{_AUXILIARY})\b)\w+", re.IGNORECASE)  # in `who wrote ...` the verb is not the topic
_WORD = re.compile(r"[^\W_]+(?:[-_.'’/][^\W_]+)*")
_NAME = re.compile(
    r"[A-Z][\w'’&.-]*\w(?:\s+(?:of|de|von|van|the|and|for)(?:\s+the)?(?=\s+[A-Z])|\s+[A-Z][\w'’&.-]*\w|\s+\d+\b)*"
)
# Behind a value, the title of the table that it stands in: its names are no answer.
_TABLE_TITLE = re.compile(r"(\d[^()\d]{0,15})\((?:columns: )?[A-Z][^()]*(?:\([^()]*\)[^()]*)*\)(?=\.?(?:\s|\Z))")
_FIGURE = re.compile(r"\b\d[\d.,:/-]*\d\b|\b\d\b")


def standalone(question: str, history: Sequence[ChatMessage]) -> str:
    """The question as it can be searched without the earlier messages, given oldest first."""
    asked, answered = "", ""
    for turn in history:
        if turn.role == "user":
            asked, answered = _resolved(turn.content, asked, answered), ""
        else:
            answered = turn.content
    return _resolved(question, asked, answered)


def _resolved(question: str, asked: str, answered: str) -> str:
    question = " ".join(question.split())
    if not asked or len(question) > LONGEST:
        return question
    opened = _OPENING.match(question)
    opening = opened.group() if opened else ""
    focus = question[len(opening) :].strip(" ?.!")
    if not _content(focus) and not _PRONOUN.search(focus):
        # "Why?", "Tell me more": all of it is in the question before.
        return f"{question} ({' '.join(_content(asked)[:MOST_WORDS])})"
    if _is_piece(opening, focus):
        return _exchanged(asked, focus)
    if _leans(question, opening, focus):
        return f"{question} ({_topic(question, asked, answered)})"
    return question


def _is_piece(opening: str, focus: str) -> bool:
    """`And in 2019?`, `What about Berlin?`, `For ships?`, `Berlin?`: no verb, or nothing but an opening before it."""
    words = _WORD.findall(focus.lower())
    if re.match(rf"(?:{_ASKING}|{_AUXILIARY})\b", focus, re.IGNORECASE):
        return False
    if re.search(r"\b(?:about|of|with|for)\s*$", opening, re.IGNORECASE):
        return True
    if len(words) > SHORT or any(re.fullmatch(_AUXILIARY, word) for word in words):
        return False
    inner = re.match(rf"(?:{_PREPOSITION})\b", focus, re.IGNORECASE)
    return bool(opening or inner) or len(_content(focus)) == 1


def _leans(question: str, opening: str, focus: str) -> bool:
    """Whether a word of the question refers to something that the question does not say."""
    text = _EXPLETIVE.sub(" ", question)
    if _POINTING.search(text.strip(" ?.!")):
        return True
    for match in _PERSONAL.finditer(text):
        before = text[: match.start()]
        if not (_antecedent(before) and re.search(_CLAUSE, before.partition(" ")[2], re.IGNORECASE)):
            return True
    for match in _POSSESSIVE.finditer(text):
        said = _antecedent(text[: match.start()])
        if said is None or not _content(text[said : match.start()]):
            return True
    # "And who designed?": a verb without its object.
    return bool(opening) and len(_content(focus)) == 1 and not _NAME.search(focus[1:])


def _antecedent(before: str) -> int | None:
    """The end of the words that a pronoun may refer to, in the text before it; None if there are none."""
    ends = [match.end() for match in _ANTECEDENT.finditer(before)]
    if ends:
        return ends[-1]
    content = _content(before)
    return before.rfind(content[0]) + len(content[0]) if len(content) > 1 else None


def _exchanged(asked: str, piece: str) -> str:
    """The previous question with the piece in place of words of the same kind, or else at the end."""
    body = asked.rstrip(" ?.!")
    for pattern in _places(piece):
        found = list(pattern.finditer(body, len(body.split(" ")[0])))
        if len(found) == 1:
            return f"{body[: found[0].start()]}{piece}{body[found[0].end() :]}?"
    return f"{body} {piece}?"


def _places(piece: str) -> list[re.Pattern[str]]:
    """Patterns of the words that the piece may replace, the likeliest first."""
    places = []
    preposition = re.match(rf"(?:{_PREPOSITION})\b", piece, re.IGNORECASE)
    value = piece[preposition.end() :].strip() if preposition else piece
    kinds = [kind for kind in (_FIGURE, _NAME) if kind.fullmatch(re.sub(r"^the\s+", "", value))]
    for kind in kinds:
        if preposition:
            places.append(re.compile(rf"\b{preposition.group()}\s+(?:the\s+)?(?-i:{kind.pattern})", re.IGNORECASE))
        else:
            places.append(kind)
    return places


def _topic(question: str, asked: str, answered: str) -> str:
    """The words that the previous question was about, and names from the beginning of its answer."""
    known = {word.lower() for word in _WORD.findall(question)}
    figures = bool(_FIGURE.search(question))
    about = _content(_DOING.sub("", asked)) or _content(asked)
    words = [word for word in about if word.lower() not in known and not (figures and word[0].isdigit())]
    if not _SOMEBODY.search(question) and asked.lower().startswith("who"):
        return " ".join(words[:MOST_WORDS])  # the question is about a thing, and the names are of persons
    known |= {word.lower() for word in words}
    answer = _TABLE_TITLE.sub(r"\1", unmarked(answered))
    first = answer[slice(*next(iter(spans(answer)), (0, 0)))]
    names = [name for name in _NAME.findall(first) if not {word.lower() for word in _WORD.findall(name)} <= known]
    return " ".join([*words[:MOST_WORDS], *(name for name in names[:MOST_NAMES] if _content(name))])


def _content(text: str) -> list[str]:
    """The content words."""
    return [word for word in _WORD.findall(text) if word.lower().replace("’", "'") not in _EMPTY]
