"""Making text safe to store, before anything counts its characters."""

import re
import unicodedata

# U+0085, U+2028 and U+2029 end a line for Unicode, as do vertical tab and form feed.
_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# Postgres refuses NUL and lone surrogates in text and jsonb; the other controls break terminals and logs.
_UNSAFE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")
# All bytes but the first ones of characters that take three or four bytes in UTF-8.
_NOT_THREE, _NOT_FOUR = bytes({*range(256)} - {*range(0xE0, 0xF0)}), bytes({*range(256)} - {*range(0xF0, 0xF8)})


def clean(text: str) -> str:
    r"""Text that Postgres stores as it is: `\n` line ends, NFC, no NUL, lone surrogate or C0 control but tab.

    Idempotent. It may change the length of a text, so offsets must be counted in its result: pages are
    cleaned before they are stored, and every anchor points into the stored page.
    """
    return unicodedata.normalize("NFC", _UNSAFE.sub("", _LINE_ENDS.sub("\n", text)))


def estimated_tokens(text: str) -> int:
    """What a text is in tokens where nobody can tell: an estimate for each script.

    Four bytes of UTF-8 a token; but one token for each character of three bytes (Chinese, Japanese, Korean, Thai, ...)
    and two for each of four (rare ideographs, emoji). A text has never more tokens than one that it is a part of.
    """
    coded = text.encode()
    three, four = len(coded.translate(None, _NOT_THREE)), len(coded.translate(None, _NOT_FOUR))
    return (len(coded) - 3 * three - 4 * four) // 4 + three + 2 * four + 1
