"""What in the passages answers a question, chosen by rules: what is asked, and which sentences hold it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Passage:
    """A retrieved text as a generator sees it; `marker` is what it must cite it by, from 1.

    `before` is what stands before the text on its page: of the rows of a table that was split, the head. `document` is
    the id of the document that it is from: several may have one title.
    """

    marker: int
    title: str
    text: str
    before: str = ""
    document: str = ""
