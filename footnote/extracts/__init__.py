"""Answers from passages without a model, by rules: what a question asks for, and which sentences contain it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Passage:
    """A retrieved text as a generator sees it; `marker` is what it must cite it by, from 1.

    `before` is the text before it on its page, for rows of a split table the table's header. `document` is the id of
    its document, because several may have the same title.
    """

    marker: int
    title: str
    text: str
    before: str = ""
    document: str = ""
