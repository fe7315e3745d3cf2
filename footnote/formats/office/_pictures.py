"""What the author of a document says that a picture shows."""

import re

# Names of files, and what programs write by themselves, say nothing.
_FILE = re.compile(r"\S*[\\/]\S*|.*[\\/].*\.\w{2,4}|.*\.(?:png|jpe?g|gif|bmp|emf|wmf|tiff?|svg|pict?|webp)", re.I)
_GENERATED = re.compile(r"\s*Description automatically generated.*", re.S)


def described(alternative: str) -> str:
    """An alternative text in brackets, or nothing."""
    words = " ".join(_GENERATED.sub("", alternative).split())
    return f"[{words}]" if words and not _FILE.fullmatch(words) else ""
