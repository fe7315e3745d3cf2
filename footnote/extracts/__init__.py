"""What in the passages answers a question, chosen by rules: what is asked, and which sentences hold it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Passage:
    """A retrieved text as a generator sees it; `marker` is what it must cite it by, from 1."""

    marker: int
    title: str
    text: str
