"""Finds markers in a stream of tokens, and quotes in the stored page. Pure functions."""

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
