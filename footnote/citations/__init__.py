"""Citations: markers found in a stream of tokens, quotes looked up in the stored page. Pure."""

from footnote.citations.markers import Marker, MarkerParser, reads_as_marker, unmarked
from footnote.citations.quotes import SHORTEST_QUOTE, best_sentence, locate

__all__ = ["SHORTEST_QUOTE", "Marker", "MarkerParser", "best_sentence", "locate", "reads_as_marker", "unmarked"]
