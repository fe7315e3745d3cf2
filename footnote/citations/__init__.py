"""Citations: markers found in a stream of tokens, quotes looked up in the stored page. Pure."""

from footnote.citations.markers import CodeIndex, Marker, MarkerParser, Part, reads_as_marker, unmarked
from footnote.citations.quotes import SHORTEST_QUOTE, best_sentence, locate, quoted, widened
from footnote.citations.shapes import JsonAnswer, SourceList

__all__ = [
    "SHORTEST_QUOTE",
    "CodeIndex",
    "JsonAnswer",
    "Marker",
    "MarkerParser",
    "Part",
    "SourceList",
    "best_sentence",
    "locate",
    "quoted",
    "reads_as_marker",
    "unmarked",
    "widened",
]
