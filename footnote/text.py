"""Making text safe to store, before anything counts its characters."""

import re
import unicodedata

# U+0085, U+2028 and U+2029 end a line for Unicode, as do vertical tab and form feed.
_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# Postgres refuses NUL and lone surrogates in text and jsonb; the other controls break terminals and logs.
_UNSAFE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")


def clean(text: str) -> str:
    r"""Text that Postgres stores as it is: `\n` line ends, NFC, no NUL, lone surrogate or C0 control but tab.

    Idempotent. It may change the length of a text, so offsets must be counted in its result: pages are
    cleaned before they are stored, and every anchor points into the stored page.
    """
    return unicodedata.normalize("NFC", _UNSAFE.sub("", _LINE_ENDS.sub("\n", text)))
