"""WordprocessingML: the paragraphs and tables of a document as text."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import takewhile
from typing import Any

from footnote.formats.office import _tables
from footnote.formats.office._pictures import described
from footnote.formats.office._word_math import formula
from footnote.formats.office._word_numbers import Numbers
from footnote.formats.office._word_styles import Kind, Styles
from footnote.formats.office._xml import child_of, local_name, value_of

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
    """The text of a document as finally accepted: insertions in, deletions out, a text box once.

    To be asked in the document's order, for it counts lists and notes. `drawn` gives the text of a chart or diagram by
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
        return _tables.text([self._row(row, above) for row in rows], headed)

    def _row(self, row: Any, above: dict[int, str]) -> list[_tables.Cell]:
        """A row's cells; `above` has the texts of cells that reach down, by column."""
        cells = []
        column = 0
        for element in _named(row, "tc"):
            span = value_of(child_of(element, "tcPr", "gridSpan"))
            merge = child_of(element, "tcPr", "vMerge")
            repeated = merge is not None and value_of(merge) != "restart"
            text = above.get(column, "") if repeated else self.text(element)
            above[column] = text if merge is not None else ""
            columns = int(span) if span.isdecimal() and 0 < int(span) < 1000 else 1
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
        """The text of a chart or diagram, which stands in a part of its own."""
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
