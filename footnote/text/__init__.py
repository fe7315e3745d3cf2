"""Text rules: cleaning text for storage, and comparing text as a reader sees it."""

import re
import unicodedata
from itertools import pairwise

# U+0085, U+2028 and U+2029 end a line for Unicode, as do vertical tab and form feed.
_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# Postgres refuses NUL and lone surrogates in text and jsonb; the other controls break terminals and logs.
_UNSAFE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
# All bytes but the first ones of characters that take three or four bytes in UTF-8.
_NOT_THREE, _NOT_FOUR = bytes({*range(256)} - {*range(0xE0, 0xF0)}), bytes({*range(256)} - {*range(0xF0, 0xF8)})

# Unicode's Default_Ignorable_Code_Point: soft hyphen, joiners, marks of direction, variation selectors, fillers, tags.
INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Scripts that put no space between words.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
# Letters of these scripts, and of some of them the marks that are above, below or behind a letter.
HIRAGANA, KATAKANA = "\u3041-\u309a\u309d\u309e", "\u30a1-\u30fa\u30fc-\u30fe\u31f0-\u31ff"
HAN, HANGUL = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff", "\uac00-\ud7a3"
THAI, LAO = "\u0e01-\u0e3a\u0e40-\u0e4e", "\u0e81-\u0ebd\u0ec0-\u0ecd\u0edc-\u0edf"
MYANMAR, KHMER = "\u1000-\u103f\u1050-\u108f", "\u1780-\u17d3\u17d7\u17dc\u17dd"
_MARKS = (
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd\u102b-\u103e\u1056-\u1059\u105e-\u1060"
    "\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d\u108f\u17b6-\u17d3\u17dd\u3099\u309a"
)
HYPHENS = "\u2010\u2011\u2212"  # NFKC leaves them, or makes one of the others of them

_SEEN = re.compile(rf"[^\s{INVISIBLE}\u2800\ufff9-\ufffb]")  # the two others: an empty Braille cell, annotation marks
# A soft hyphen at the end of a line has broken a word there.
_BROKEN = re.compile("\u00ad[ \t]*\n[ \t]*(?=\\w)")
# Thai and its neighbours mark the ends of words with it; anywhere else it stands within one.
_WORD_END = re.compile(rf"(?<=[{UNSPACED}])\u200b+(?=[{UNSPACED}])")
_RUN = re.compile("|".join(f"[{script}]+" for script in (HIRAGANA, KATAKANA, HAN, HANGUL, THAI, LAO, MYANMAR, KHMER)))
_LETTER = re.compile(f"[^{_MARKS}][{_MARKS}]*|[{_MARKS}]+")
_PARTICLE = re.compile(f"[{HIRAGANA}]")
_FOLDED = re.compile(rf"(?P<invisible>[{INVISIBLE}]+)|[{HYPHENS}]")


def clean(text: str) -> str:
    r"""Text that Postgres stores as it is: `\n` line ends, NFC, no NUL, lone surrogate or control but tab.

    Idempotent. It may change the length of a text, so offsets must be counted in its result: pages are
    cleaned before they are stored, and every anchor points into the stored page.
    """
    return unicodedata.normalize("NFC", _UNSAFE.sub("", _LINE_ENDS.sub("\n", text)))


def estimated_tokens(text: str) -> int:
    """The tokens of a text without its tokenizer: an estimate for each script.

    Four bytes of UTF-8 a token; but one token for each character of three bytes (Chinese, Japanese, Korean, Thai, ...)
    and two for each of four (rare ideographs, emoji). A part of a text never has more tokens than the text.
    """
    coded = text.encode()
    three, four = len(coded.translate(None, _NOT_THREE)), len(coded.translate(None, _NOT_FOUR))
    return (len(coded) - 3 * three - 4 * four) // 4 + three + 2 * four + 1


def is_blank(text: str) -> bool:
    """Whether the text has only white space and invisible characters."""
    return _SEEN.search(text) is None


def folded(text: str) -> str:
    """The text for comparing and searching, never for storing: text that looks the same becomes equal.

    NFKC (ligatures, full and half widths), one kind of hyphen, no invisible characters. Idempotent. Both sides of a
    comparison must be folded: without joiners, words of Persian and Indic scripts are spelled differently.
    """
    if text.isascii():
        return text
    text = _WORD_END.sub(" ", _BROKEN.sub("", text))
    return _shown(unicodedata.normalize("NFKC", _shown(text)))


def searched(text: str) -> str:
    """The searchable form of a text or question: folded, and without words in scripts that put no space between them.

    Where these are found is not known, so each two neighbouring letters of a run of one script stand for a word:
    `30天内退货` is `30 天内 内退 退货`. Korean, whose words end in particles, is treated alike.
    """
    return text if text.isascii() else _RUN.sub(_pairs, folded(text))


def _pairs(run: re.Match[str]) -> str:
    letters = _LETTER.findall(run[0])
    if len(letters) > 1:
        return f" {' '.join(map(''.join, pairwise(letters)))} "
    return " " if _PARTICLE.match(run[0]) else f" {run[0]} "  # a single hiragana is hardly a word


def _shown(text: str) -> str:
    return _FOLDED.sub(lambda match: "" if match["invisible"] else "-", text)
