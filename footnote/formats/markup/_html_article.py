"""What an HTML page is about, and what only surrounds it: navigation, banners, sidebars, footers.

Semantic elements and roles are believed first, then the names that authors give such parts, then the density of links.
A part that surrounds the article is stored with the page and left out of its chunks; if hardly anything would be left,
nothing is left out.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

# The nodes of an HTML page, and which of them are invisible.

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
    """Whether its content is invisible."""
    attributes = node.attributes
    return node.tag in _IGNORED or "hidden" in attributes or bool(_HIDDEN.search(attributes.get("style") or ""))


_BLOCKS = {
    "article", "aside", "body", "center", "dialog", "div", "dl", "footer", "form", "header", "main", "menu", "nav",
    "ol", "p", "search", "section", "table", "td", "tr", "ul",
}  # fmt: skip
_AROUND = {"nav", "aside", "dialog", "search", "menu"}
_ROLES = {
    "navigation", "banner", "contentinfo", "complementary", "search", "dialog", "alertdialog", "menu", "menubar",
    "toolbar",
}  # fmt: skip
_CONTROLS = {"button", "input", "a"}
_WORD = re.compile(r"[a-z]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
# Notes to the text that authors mark up as asides.
_NOTES = {"note", "notes", "admonition", "tip", "warning", "callout", "important", "caution", "footnote", "footnotes"}
_CONSENT = re.compile(
    r"(cookies?|consent|gdpr|privacy)\W?(banner|bar|pop\W?up|modal|dialog|overlay|alert|prompt|manager|layer)"
    r"|cookies?\W?(consent|law)|onetrust|cookiebot|didomi|usercentrics|truste|qc-cmp",
    re.I,
)
# Where there is something to press; without, it may be a chapter of a policy or of a cookery book.
_MAY_BE_CONSENT = re.compile(
    r"(cookies?|consent|gdpr|privacy)\W?(consent|notice|message|law|info|box|disclaimer|warning|hint|wrapper|container)"
    r"|^(cookies?|consent|gdpr)$",
    re.I,
)
_ASKS_CONSENT = re.compile(
    r"\bcookies?\b.*\b(accept|reject|decline|agree|allow|got it|dismiss|akzeptieren|zustimmen|ablehnen|accepter|refuser"
    r"|aceptar|rechazar|accetta|rifiuta|aceitar)|"
    r"\b(accept|reject|allow|akzeptieren)\b.*\bcookies?\b",
    re.I | re.S,
)
_FOOTER = re.compile(
    r"(site|page|global|main|app)?[-_]?(footer|colophon)([-_](wrapper|container|inner|content|area))?", re.I
)
_PROMOTED = {
    "newsletter", "popup", "modal", "advert", "adverts", "advertisement", "ads", "sponsored", "skiplink",
}  # fmt: skip
_LINKED = {
    "nav", "navbar", "navigation", "navi", "menu", "menubar", "breadcrumb", "breadcrumbs", "sidebar", "sidenav",
    "topbar", "share", "sharing", "social", "related", "pagination", "pager", "masthead", "toolbar", "promo",
    "subscribe", "recommended", "footer", "toplinks", "sitemap", "tags",
}  # fmt: skip

_CONSENT_CHARACTERS = 1_500
_ASKED_CHARACTERS = 400
_LINKS = 4  # fewer are no list
_DENSE = 0.7  # share of a list's text that links are
_NAMED_DENSE = 0.3  # the same for one whose name says what it is
_PROSE = 40  # characters between links that make a sentence rather than a label
_TRUSTED = 0.5  # share of the page's own text that must be in `main`
_MOST_NAMED = 0.3  # share of it that a part may have that only its name gives away
_LEAST = 25  # characters below which an article is none
_MOST_MAINS = 8
_MOST_BLOCKS = 100_000  # kept in memory; a page with more is data


@dataclass(slots=True)
class _Part:
    """An element with the characters of its text, and of its text outside links; its place in the document's order."""

    node: "LexborNode"
    begin: int
    main: bool
    inside: bool  # an article
    end: int = 0
    first: float = inf  # place of its title or its first sentence
    text: int = 0
    own: int = 0
    prose: int = 0
    links: int = 0
    controls: int = 0
    titled: bool = False
    holds_main: bool = False
    words: list[str] = field(default_factory=list)  # the first ones, to be looked through

    def take(self, part: "_Part") -> None:
        self.text, self.own, self.prose = self.text + part.text, self.own + part.own, self.prose + part.prose
        self.links, self.controls = self.links + part.links, self.controls + part.controls
        self.titled, self.first = self.titled or part.titled, min(self.first, part.first)
        self.holds_main |= part.main or part.holds_main
        if self.text <= _ASKED_CHARACTERS:
            self.words += part.words

    @property
    def dense(self) -> float:
        return 1 - self.own / self.text if self.text else 0.0


def surroundings(root: "LexborNode") -> set[int]:
    """The ids (`mem_id`) of the nodes that are not part of what the page is about."""
    parts = list(islice(_parts(root), _MOST_BLOCKS + 1))
    if len(parts) > _MOST_BLOCKS:
        return set()
    whole = parts[-1]
    around = _outermost([part for part in parts if _is_around(part, whole)])
    own = whole.own - sum(part.own for part in around)
    mains = _mains(parts, own)
    if mains:
        around += _outside(mains, parts)
    else:
        around += _link_lists(parts, whole)
    around = _outermost(around)
    left = whole.text - sum(part.text for part in around)
    lost = sum(part.own for part in around)
    if left < _LEAST or (left < 2 * _LEAST and lost > 20 * _LEAST):
        return set()
    return {part.node.mem_id for part in around}


def _parts(root: "LexborNode") -> Iterator[_Part]:
    """Every block of the page that is seen, innermost first, and the page itself."""
    stack = [_Part(root, 0, False, False)]
    in_link = 0
    for number, (node, entering) in enumerate(walk(root, is_closed)):
        tag = node.tag or ""
        if tag == "-text":
            if entering:
                _count(stack[-1], number, node.text_content or "", in_link)
        elif tag == "a":
            in_link += 1 if entering else -1
            stack[-1].links += entering
            stack[-1].controls += entering
        elif tag in _BLOCKS and not is_closed(node):
            if entering:
                main = tag == "main" or node.attributes.get("role") == "main"
                inside = stack[-1].inside or stack[-1].main or tag == "article"
                stack.append(_Part(node, number, main, inside))
            else:
                part = stack.pop()
                part.end = number
                stack[-1].take(part)
                yield part
        elif entering:
            stack[-1].controls += tag in _CONTROLS
            if tag == "h1":
                stack[-1].titled, stack[-1].first = True, min(stack[-1].first, number)
    stack[0].end = number
    yield stack[0]


def _count(part: _Part, number: int, text: str, in_link: int) -> None:
    text = " ".join(text.split())
    part.text += len(text)
    if not in_link:
        part.own += len(text)
        if len(text) >= _PROSE:
            part.prose, part.first = part.prose + len(text), min(part.first, number)
    if part.text <= _ASKED_CHARACTERS and text:
        part.words.append(text)


def _is_around(part: _Part, whole: _Part) -> bool:
    """Whether an element says of itself that it surrounds the article."""
    tag, attributes = part.node.tag, part.node.attributes
    if part.main or part.holds_main or tag in {"body", "main"} or not part.text:
        return False
    names = [name for key in ("class", "id") for name in (attributes.get(key) or "").split()]
    words = {word for name in names for word in _WORD.findall(_CAMEL.sub(" ", name).lower())}
    role = attributes.get("role") or ""
    if role.startswith("doc-") or role == "note" or words & _NOTES:
        return False
    if tag in _AROUND or role in _ROLES or attributes.get("aria-modal") == "true":
        return True
    if tag == "footer":
        return not part.inside or part.dense >= _DENSE
    if tag == "header":
        return not part.inside and not part.titled
    return _is_named(part, names, words) and part.own <= max(_MOST_NAMED * whole.own, _ASKED_CHARACTERS)


def _is_named(part: _Part, names: list[str], words: set[str]) -> bool:
    """Whether the names of an element, or few words with something to press, say so."""
    if part.text <= _CONSENT_CHARACTERS and any(
        _CONSENT.search(name) or (part.controls and _MAY_BE_CONSENT.search(name)) for name in names
    ):
        return True
    if part.inside:
        return False
    if any(map(_FOOTER.fullmatch, names)) or (words & _PROMOTED and not part.titled):
        return True
    if words & _LINKED and part.dense >= _NAMED_DENSE and part.links > 1:
        return True
    asked = part.text <= _ASKED_CHARACTERS and part.controls and part.node.tag != "body"
    return bool(asked and _ASKS_CONSENT.search(" ".join(part.words)))


def _mains(parts: list[_Part], own: int) -> list[_Part]:
    """The elements that hold the article, if they hold most of the page's own text."""
    mains = [part for part in parts if part.main] or [part for part in parts if part.node.tag == "article"]
    mains = _outermost(mains)
    if len(mains) > _MOST_MAINS:
        return []
    if len(mains) > 1 and not any(part.main for part in mains):
        return []  # a list of articles, or an article among its comments
    return mains if sum(part.own for part in mains) >= max(_TRUSTED * own, 1) else []


def _outside(mains: list[_Part], parts: list[_Part]) -> list[_Part]:
    """The blocks outside the article, but for the one that has the page's title where the article has none."""
    titled = any(part.titled for part in mains)
    return [
        part
        for part in parts[:-1]
        if not any(part.begin <= main.begin <= part.end or main.begin <= part.begin <= main.end for main in mains)
        and (titled or not part.titled)
        and part.node.tag != "body"
    ]


def _link_lists(parts: list[_Part], whole: _Part) -> list[_Part]:
    """On a page that says nothing of itself: lists of links before its text, and outside the element that has it."""
    most = (1 - _MOST_NAMED) * whole.prose
    text = next((part for part in parts if part.prose > most and part.node.tag != "p"), None)
    if text is None:
        return []
    return [
        part
        for part in parts[:-1]
        if part.links >= _LINKS
        and part.dense >= _DENSE
        and not (part.begin <= text.begin and part.end >= text.end)
        and (part.end < whole.first or not text.begin < part.begin < text.end)
    ]


def _outermost(parts: list[_Part]) -> list[_Part]:
    """The parts that are not inside another one."""
    found: list[_Part] = []
    for part in sorted(parts, key=lambda part: (part.begin, -part.end)):
        if not found or part.begin > found[-1].end:
            found.append(part)
    return found
