"""Text rules: what is safe to store, and what looks the same to a reader."""

import re
import unicodedata

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
KATAKANA, KANA_AND_HAN = "\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff", "\u3041-\u309f\u3400-\u9fff"
HYPHENS = "\u2010\u2011\u2212"  # NFKC leaves them, or makes one of the others of them

_SEEN = re.compile(rf"[^\s{INVISIBLE}\u2800\ufff9-\ufffb]")  # the two others: an empty Braille cell, annotation marks
# A soft hyphen at the end of a line has broken a word there.
_BROKEN = re.compile("\u00ad[ \t]*\n[ \t]*(?=\\w)")
# Thai and its neighbours mark the ends of words with it; anywhere else it stands within one.
_WORD_END = re.compile(rf"(?<=[{UNSPACED}])\u200b+(?=[{UNSPACED}])")
# Where a word ends in scripts that put no space there: at Latin words and figures, and at words in katakana.
PARTS = (
    rf"(?<=[{UNSPACED}])(?=[0-9A-Za-z])|(?<=[0-9A-Za-z])(?=[{UNSPACED}])"
    rf"|(?<=[{KATAKANA}])(?=[{KANA_AND_HAN}])|(?<=[{KANA_AND_HAN}])(?=[{KATAKANA}])"
)
_PARTS = re.compile(PARTS)
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
    """The text for comparing and searching, never for storing: what looks the same becomes the same.

    NFKC (ligatures, full and half widths), one kind of hyphen, no invisible characters. Idempotent. Both sides of a
    comparison must be folded: without joiners, words of Persian and Indic scripts are spelled differently.
    """
    if text.isascii():
        return text
    text = _WORD_END.sub(" ", _BROKEN.sub("", text))
    return _shown(unicodedata.normalize("NFKC", _shown(text)))


def searched(text: str) -> str:
    """The searchable form of a text or question: folded, with spaces where scripts without spaces meet others."""
    return text if text.isascii() else _PARTS.sub(" ", folded(text))


def _shown(text: str) -> str:
    return _FOLDED.sub(lambda match: "" if match["invisible"] else "-", text)
