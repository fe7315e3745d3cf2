"""The nodes of an HTML page, and which of them nobody sees."""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

HEADINGS = {f"h{level}": level for level in range(1, 7)}
CELLS = {"td", "th"}

_IGNORED = {"head", "script", "style", "noscript", "template", "svg", "iframe", "-comment", "!doctype"}
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)


def walk(root: "LexborNode", is_closed: Callable[["LexborNode"], bool]) -> Iterator[tuple["LexborNode", bool]]:
    """Every node on the way in and on the way out, without recursion: nesting is the author's to choose.

    What is within a closed node is left out; that is asked when its way in has been seen.
    """
    node, entering = root, True
    while True:
        yield node, entering
        child = node.first_child if entering else None
        if child is not None and not is_closed(node):
            node = child
            continue
        if entering:
            yield node, False
        if node.mem_id == root.mem_id:
            return
        following = node.next
        above = node.parent
        if following is not None:
            node, entering = following, True
        elif above is not None:
            node, entering = above, False
        else:
            return


def is_closed(node: "LexborNode") -> bool:
    """Whether nothing within is seen."""
    attributes = node.attributes
    return node.tag in _IGNORED or "hidden" in attributes or bool(_HIDDEN.search(attributes.get("style") or ""))
