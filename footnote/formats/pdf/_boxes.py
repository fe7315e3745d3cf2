"""Rectangles on a PDF's page, and lines of its text by where they begin and end."""

from typing import NamedTuple

_SAME_ROW = 0.5  # parts of the smaller height


class Box(NamedTuple):
    """A rectangle on the page, in points to the right and upwards."""

    left: float
    bottom: float
    right: float
    top: float

    def is_level_with(self, other: "Box") -> bool:
        """Whether the lower of the two stands within the other's height, mostly."""
        shared = min(self.top, other.top) - max(self.bottom, other.bottom)
        return shared > _SAME_ROW * min(self.top - self.bottom, other.top - other.bottom)

    def around(self, other: "Box") -> "Box":
        """The smallest box that holds both."""
        left, bottom = min(self.left, other.left), min(self.bottom, other.bottom)
        return Box(left, bottom, max(self.right, other.right), max(self.top, other.top))

    def mirrored(self) -> "Box":
        """The box on a page seen from behind."""
        return Box(-self.right, self.bottom, -self.left, self.top)

    def apart(self, other: "Box") -> bool:
        return self.right < other.left or other.right < self.left or self.top < other.bottom or other.top < self.bottom


class TextLine(NamedTuple):
    """A line as PDFium broke it: offsets of its text, boxes of its first and its last character."""

    start: int
    end: int
    first: Box
    last: Box
