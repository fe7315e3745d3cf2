"""Markers without a square bracket: `(1)`, `(Source 1)`, `^1`, `¹`, `<sup>1</sup>`. What is around them decides.

`(1)` opens the items of lists, `10²` and `x^2` are powers, `Figure (1)` is a name, and `f(1)` is code: they are text.
"""

import re

_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_DIGITS = str.maketrans(_SUPERSCRIPTS + "（），⁾⁽", "0123456789(),)(")
OPENERS = frozenset("(（^<" + _SUPERSCRIPTS)

_LIST = r"\d{1,3}(?:\s*[,;–-]\s*\d{1,3}){0,8}"
_NAMED = re.compile(rf"\(\s*(?i:sources?|src|docs?|documents?|passages?|refs?|quellen?|fuentes?)[\s:.#]*({_LIST})\s*\)")
_PARENTHESIS = re.compile(rf"\(\s*({_LIST})\s*\)")
_RAISED = re.compile(rf"<sup>\s*\[?\s*({_LIST})\s*\]?\s*</sup>")
_CARET = re.compile(r"\^(\d{1,2})")
_SUPERSCRIPT = re.compile(rf"([{_SUPERSCRIPTS}]{{1,2}}(?:[,⁻˒][{_SUPERSCRIPTS}]{{1,2}}){{0,8}})")
_WHOLE = (_NAMED, _PARENTHESIS, _RAISED, _CARET, _SUPERSCRIPT)
_OPEN = re.compile(
    rf"[(（]\s*[A-Za-z]{{0,9}}[\s:.#]*(?:{_LIST}(?:\s*[,;–-]\s*)?\s*\)?)?|<(?:s(?:u(?:p(?:>[\s\[\]\d,;–-]*(?:<(?:/(?:s(?:u(?:p>?)?)?)?)?)?)?)?)?)?"
    rf"|\^\d{{0,2}}|[{_SUPERSCRIPTS}][{_SUPERSCRIPTS},⁻˒]*"
)
LONGEST = 60  # characters of such a marker

_LABEL = re.compile(
    r"\b(?:fig(?:ure)?|tab(?:le)?|step|section|sec|eqn?|equation|page|item|part|phase|class|type|grade|level|version|case"
    r"|column|row|example|option|question|note|article|art|paragraph|para|chapter|points?|rule|category|group|stage|number"
    r"|no|nr|abbildung|tabelle|schritt|abschnitt|seite|punkt|artikel|absatz|teil|figura|tabla|paso|página|étape|article"
    r"|one|two|three|four|five|six|seven|eight|nine|ten|eins|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn)s?\.?\s*\Z",
    re.I,
)
_AFTER_WORDS = re.compile(r"[^\s(\[{<>=+*/-]\s\Z|[^\W\d]{2}[.!?][\"'”’»]?\Z")
_AFTER_WORD = re.compile(r"(?:[^\W\d_]{3}|\w[.,;:!?][\"'”’»]?|[\"'”’»])\Z")
_MEASURE = re.compile(
    r"\b(?:feet|foot|inch(?:es)?|yards?|miles?|met(?:er|re)s?|kilomet(?:er|re)s?|mètres?|Metern?)\Z", re.I
)
_ENDS_CLAUSE = re.compile(r"[.,;:!?…。，；]?\Z|\n")


def may_become(text: str) -> bool:
    return len(text) <= LONGEST and _OPEN.fullmatch(text) is not None


def cited(text: str, before: str, behind: str, *, bracketed: bool) -> str:
    """The numbers of the marker that `text` is between the texts before and after it; empty if it is none.

    `bracketed`: the answer has markers in brackets, so a bare number in parentheses is none.
    """
    text = text.replace("（", "(").replace("）", ")")
    for form in _WHOLE:
        if match := form.fullmatch(text):
            stands = form in (_NAMED, _RAISED) or _stands(form, before, behind, bracketed=bracketed)
            return match[1].translate(_DIGITS).replace(";", ",") if stands else ""
    return ""


def _stands(form: re.Pattern[str], before: str, behind: str, *, bracketed: bool) -> bool:
    if form is _PARENTHESIS:
        after = _AFTER_WORDS.search(before) and "\n" not in before[-1:] and not _LABEL.search(before)
        return not bracketed and bool(after) and _ENDS_CLAUSE.match(behind) is not None
    if behind.isalnum() or behind in ("(", "[", "^", "_"):
        return False
    return _AFTER_WORD.search(before) is not None and _MEASURE.search(before) is None
