"""The title a page opens with, for paged documents that have no outline (statements, slides, reports)."""

import re
from collections import Counter

_TOP_LINES = 6
_TITLE_LINES = 2
_RUNNING_PAGES = 2  # a line that opened this many pages before is a running header
_NUMBER = re.compile(r"\d+")
_WORD = re.compile(r"[^\W\d_]{4,}")


class PageTitles:
    """Reads pages in order; remembers what tops many of them, which is no title."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def title(self, text: str) -> str:
        """The first title-like lines at the top of the page that are not running headers, or nothing."""
        top = [" ".join(line.split()) for line in text.lstrip().split("\n", _TOP_LINES)[:_TOP_LINES]]
        keys = [_NUMBER.sub("#", line) for line in top]
        fresh = [line for line, key in zip(top, keys, strict=True) if self._seen[key] < _RUNNING_PAGES]
        self._seen.update(set(keys))
        found: list[str] = []
        for line in fresh:
            if _title_like(line) and len(found) < _TITLE_LINES:
                found.append(line)
            elif found:
                break
        return ", ".join(found)


def _title_like(line: str) -> bool:
    """Short, no sentence, mostly words that begin with a capital."""
    words = _WORD.findall(line)
    capital = sum(word[0].isupper() for word in words)
    letters = sum(map(str.isalpha, line))
    return (
        5 <= len(line) <= 90
        and not line.endswith((".", ",", ";", ":", "-"))
        and letters >= 0.6 * len(line.replace(" ", ""))
        and capital > 0.6 * len(words)
    )
