"""Word documents (.docx): paragraphs, lists and tables in order, headings by style or outline level, then notes."""

import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from footnote.formats import Block, Headings
from footnote.formats.office import _drawingml, _package, _tables
from footnote.formats.office._drawingml import described, span
from footnote.formats.office._package import child_of, children_at, children_of, local_name, value_of
from footnote.formats.office._word_styles import Kind, Numbers, Styles
from footnote.formats.sniffing import DOCX

MEDIA_TYPES: dict[str, tuple[str, ...]] = {DOCX: (".docx", ".docm", ".dotx", ".dotm")}
MEMBERS = ("word/",)


# Office Math as a line of text: x_i^2, (a + b)/c, √(x).

_FORMULA_SKIPPED = {"rPr", "ctrlPr"}


def formula(element: Any) -> str:
    name = local_name(element)
    if name == "t":
        return element.text or ""
    if name in _STRUCTURES:
        return _STRUCTURES[name](element)
    if name in _FORMULA_SKIPPED or name.endswith("Pr"):
        return ""
    return "".join(map(formula, element))


def _part(element: Any, name: str) -> str:
    found = child_of(element, name)
    return "" if found is None else formula(found).strip()


def _bound(text: str) -> str:
    """Text that stands as one operand."""
    return text if len(text) < 2 or text.isdecimal() else f"({text})"


def _scripts(element: Any) -> str:
    sub, sup = _part(element, "sub"), _part(element, "sup")
    return _part(element, "e") + (f"_{_bound(sub)}" if sub else "") + (f"^{_bound(sup)}" if sup else "")


def _fraction(element: Any) -> str:
    return f"{_bound(_part(element, 'num'))}/{_bound(_part(element, 'den'))}"


def _root(element: Any) -> str:
    return f"{_part(element, 'deg')}√({_part(element, 'e')})"


def _sum(element: Any) -> str:
    sign = value_of(child_of(element, "naryPr", "chr")) or "∫"
    sub, sup = _part(element, "sub"), _part(element, "sup")
    return sign + (f"_{_bound(sub)}" if sub else "") + (f"^{_bound(sup)}" if sup else "") + f" {_part(element, 'e')}"


def _brackets(element: Any) -> str:
    properties = child_of(element, "dPr")
    begin, end = (_sign(properties, name, usual) for name, usual in (("begChr", "("), ("endChr", ")")))
    return begin + ", ".join(map(formula, children_of(element, "e"))) + end


def _sign(properties: Any, name: str, usual: str) -> str:
    found = None if properties is None else child_of(properties, name)
    return usual if found is None else value_of(found)


def _matrix(element: Any) -> str:
    return "; ".join(", ".join(map(formula, children_of(row, "e"))) for row in children_of(element, "mr"))


_STRUCTURES = {
    "sSub": _scripts, "sSup": _scripts, "sSubSup": _scripts, "sPre": _scripts, "f": _fraction, "rad": _root,
    "nary": _sum, "d": _brackets, "m": _matrix,
}  # fmt: skip


# WordprocessingML: the paragraphs and tables of a document as text.

_SKIPPED = {"del", "moveFrom", "pPr", "rPr", "tblPr", "Fallback", "instrText", "delText", "sdtPr"}
_CHARACTERS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_NOTES = {"footnoteReference", "endnoteReference"}
_DRAWN = {"chart", "relIds"}  # what a drawing shows: charts and diagrams, in parts of their own
# Symbol fonts have their signs where no character is.
_SYMBOLS = {
    "F0B7": "•", "F0A7": "▪", "F0D8": "➢", "F0E0": "→", "F0FC": "✓", "F0FB": "✗", "F0A8": "☐", "F06F": "☐",
    "F071": "☐", "F0FE": "☑", "F0FD": "☒", "F078": "☒", "F04A": "☺",
}  # fmt: skip
_OFF = {"0", "false", "off", "none"}


def blocks(parent: Any) -> Iterator[Any]:
    """Paragraphs and tables in order, also those inside content controls and other wrappers."""
    for child in parent:
        name = local_name(child)
        if name in {"p", "tbl"}:
            yield child
        elif name and name not in _SKIPPED:
            yield from blocks(child)


class Story:
    """The text of a document with all changes accepted: with insertions, without deletions, a text box once.

    Call it in the document's order: it counts lists and notes. `drawn` gives the text of a chart or diagram by
    the id of its relation.
    """

    def __init__(self, styles: Styles, numbers: Numbers, drawn: Callable[[str], str]) -> None:
        self._styles = styles
        self._numbers = numbers
        self._drawn = drawn
        self.marks: dict[tuple[str, str], str] = {}  # kind and id of a note that was referred to -> its mark
        self._readers: dict[str, Callable[[Any], str]] = {
            "t": lambda text: text.text or "",
            "r": self._run,
            "sym": lambda sign: _SYMBOLS.get(value_of(sign, "char").upper(), ""),
            "checkBox": lambda box: "☑ " if _is_checked(box) else "☐ ",
            "docPr": lambda picture: described(value_of(picture, "descr")),
            "txbxContent": lambda box: f"\n{self.text(box)}\n",
            "oMath": formula,
            **dict.fromkeys(_NOTES, self._mark),
            **dict.fromkeys(_DRAWN, self._shown),
            **{name: partial(_always, sign) for name, sign in _CHARACTERS.items()},
        }

    def block(self, element: Any) -> tuple[Kind, str, str]:
        """What a paragraph or table is (of kind `table`), its text, and the header that a table's rows lack."""
        if local_name(element) == "tbl":
            return Kind(None, "table"), *self.table(element)
        return *self._paragraph(element), ""

    def _paragraph(self, element: Any) -> tuple[Kind, str]:
        kind = self._styles.kind_of(element)
        # A paragraph without text counts too.
        label = self._numbers.label(kind.number, kind.depth) if kind.number else "-" if kind.kind == "item" else ""
        text = self._words(element)
        if not text.strip():
            return kind, ""
        if kind.level is not None:
            return kind, f"{label} {text}" if kind.number and label else text
        indent = "  " * kind.depth if kind.kind == "item" else ""
        return kind, f"{indent}{label} {text}" if label else text

    def text(self, element: Any) -> str:
        """All text inside, a line per paragraph."""
        return "\n".join(text.strip() for _, text, _ in map(self.block, blocks(element)) if text.strip())

    def table(self, table: Any) -> tuple[str, str]:
        """The text of a table, and the header that its rows lack."""
        above: dict[int, str] = {}
        rows = list(_named(table, "tr"))
        headed = sum(1 for _ in takewhile(lambda row: child_of(row, "trPr", "tblHeader") is not None, rows))
        return _tables.table_text([self._row(row, above) for row in rows], headed)

    def _row(self, row: Any, above: dict[int, str]) -> list[_tables.Cell]:
        """A row's cells; `above` has the texts of cells that reach down, by column."""
        cells = []
        column = 0
        for element in _named(row, "tc"):
            merge = child_of(element, "tcPr", "vMerge")
            repeated = merge is not None and value_of(merge) != "restart"
            text = above.get(column, "") if repeated else self.text(element)
            above[column] = text if merge is not None else ""
            columns = span(child_of(element, "tcPr", "gridSpan"))
            cells.append(_tables.Cell(text, columns, repeated))
            column += columns
        return cells

    def _words(self, element: Any) -> str:
        return "".join(self._runs(element))

    def _runs(self, element: Any) -> Iterator[str]:
        for child in element:
            name = local_name(child)
            if name in self._readers:
                yield self._readers[name](child)
            elif name and name not in _SKIPPED:
                yield from self._runs(child)

    def _run(self, run: Any) -> str:
        hidden = child_of(run, "rPr", "vanish")
        return self._words(run) if hidden is None or value_of(hidden) in _OFF else ""

    def _shown(self, drawing: Any) -> str:
        """The text of a chart or diagram, which is in a part of its own."""
        return "".join(f"\n{text}\n" for text in map(self._drawn, drawing.attrib.values()) if text)

    def _mark(self, reference: Any) -> str:
        note = local_name(reference).removesuffix("Reference"), value_of(reference, "id")
        return self.marks.setdefault(note, f"[{len(self.marks) + 1}]")


def _always(sign: str, _: Any) -> str:
    return sign


def _is_checked(box: Any) -> bool:
    state = child_of(box, "checked")
    if state is None:
        state = child_of(box, "default")
    return state is not None and value_of(state) not in _OFF


def _named(parent: Any, name: str) -> Iterator[Any]:
    """Children of a name, also those inside content controls."""
    for child in parent:
        if local_name(child) == name:
            yield child
        elif local_name(child) in {"sdt", "sdtContent", "ins", "customXml"}:
            yield from _named(child, name)


def parse(path: Path) -> Iterator[Block]:
    with _package.opened(path) as archive:
        main = _package.main_part(archive, "word/document.xml")
        body = children_at(_package.expect(_read(archive, main), "document"), "body")
        parts = _package.relations(archive, main)
        related = dict(parts.values())
        numbers = Numbers(_read(archive, related["numbering"]) if "numbering" in related else ())
        styles = Styles(_read(archive, related["styles"]) if "styles" in related else (), numbers)
        story = Story(styles, numbers, partial(_drawn, archive, parts))
        yield from _sections(body, story)
        for kind in ("footnotes", "endnotes"):
            if kind in related:
                yield Block(_notes(_read(archive, related[kind]), story), heading=(kind.capitalize(),))
        if "comments" in related:
            yield Block(_comments(_read(archive, related["comments"]), story), heading=("Comments",))
        margins = [target for kind, target in parts.values() if kind in {"header", "footer"}]
        texts = dict.fromkeys(story.text(_read(archive, part)) for part in margins)
        yield Block("\n".join(text for text in texts if any(map(str.isalpha, text))), heading=("Headers and footers",))


def _read(archive: zipfile.ZipFile, name: str) -> Any:
    """A part's XML, by python-docx's parser, which resolves no entities."""
    from docx.oxml import parse_xml

    with _package.xml_limits():
        return parse_xml(_package.read_member(archive, name))


def _drawn(archive: zipfile.ZipFile, parts: dict[str, tuple[str, str]], relation: str) -> str:
    """The text of a chart or diagram; nothing for any other relation."""
    kind, part = parts.get(relation, ("", ""))
    read = {"chart": _drawingml.chart_text, "diagramData": _drawingml.diagram_text}.get(kind)
    return read(_package.read_xml(archive, part)) if read else ""


def _sections(body: Any, story: Story) -> Iterator[Block]:
    """A block per paragraph or table; list items and code lines that follow each other share one."""
    headings = Headings()
    lines: list[str] = []
    shared = ""
    for element in blocks(body):
        kind, text, columns = story.block(element)
        if not text.strip():
            continue
        if lines and not (kind.kind and kind.kind == shared and kind.level is None):
            yield Block("\n".join(lines), heading=headings.path)
            lines = []
        shared = kind.kind if kind.kind != "table" else ""
        if kind.level is not None:
            headings.begin(kind.level, " ".join(text.split()))
        if columns:
            yield Block(text, heading=headings.path, columns=columns)
        else:
            lines.append(text)
    yield Block("\n".join(lines), heading=headings.path)


def _notes(notes: Any, story: Story) -> str:
    """Foot- or endnotes with the marks that refer to them."""
    kind = _package.local_name(notes).removesuffix("s")
    lines = ((story.marks.get((kind, value_of(note, "id")), ""), story.text(note)) for note in notes)
    return "\n".join(f"{mark} {text}".strip() for mark, text in lines if text)


def _comments(comments: Any, story: Story) -> str:
    lines = ((value_of(comment, "author"), story.text(comment)) for comment in comments)
    return "\n".join(f"{author}: {text}" if author else text for author, text in lines if text)
