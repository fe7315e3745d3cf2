"""Whether an answer says what a judged question expects, and cites it from the right place. No language model."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

Outcome = Literal["right", "partly", "wrong", "refused wrongly", "refused rightly", "answered absent"]
OUTCOMES: tuple[Outcome, ...] = ("right", "partly", "wrong", "refused wrongly", "refused rightly", "answered absent")
REFUSALS = ("not_found", "related")  # related: the nearest passages, without a claim to answer

_PLAIN = str.maketrans(
    dict.fromkeys("‘’", "'") | dict.fromkeys("“”", '"') | dict.fromkeys("–—−‑", "-") | {"\xad": None}
)
_MARKER = re.compile(r"\[\d+\]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_SHORT = 4  # letters of a word that counts only as a whole


@dataclass(frozen=True)
class Question:
    """A row of `questions.jsonl`; its README says what the fields mean. `files` are names without folders."""

    id: str
    kind: str
    text: str
    collection: str
    expected: Sequence[Sequence[str]] = ()
    files: Sequence[str] = ()
    pages: Sequence[int] = ()
    absent: bool = False
    part: str = ""

    @staticmethod
    def of(row: Mapping[str, Any]) -> "Question":
        files = row["expect_file"] or []
        return Question(
            id=row["id"],
            kind=row["kind"],
            text=row["question"],
            collection=row["collection"],
            expected=row["expect_any"],
            files=[PurePath(name).name for name in ([files] if isinstance(files, str) else files)],
            pages=row["expect_pages"],
            absent=row["not_found"],
            part=row.get("part", ""),
        )


@dataclass(frozen=True)
class Judgement:
    """The outcome, and how many of the expectations are met."""

    outcome: Outcome
    met: int = 0

    @property
    def good(self) -> bool:
        return self.outcome in ("right", "refused rightly")


def judge(question: Question, reply: Mapping[str, Any]) -> Judgement:
    """`reply`: the body of `POST /v1/query`.

    right: every expectation is in the answer, and a verified citation is of an expected file and page. partly: some
    expectation, or a verified citation of an expected file; also all of it among `related` passages.
    """
    refused = reply["answer_status"] in REFUSALS
    if question.absent:
        return Judgement("refused rightly" if refused else "answered absent")
    if reply["answer_status"] == "not_found":
        return Judgement("refused wrongly")
    answer = _MARKER.sub(" ", folded(reply["answer"]))
    met = sum(says(answer, spellings) for spellings in question.expected)
    cited = [each for each in reply["citations"] if each["verified"] and each["filename"] in question.files]
    all_met = met == len(question.expected) and any(_is_of(each, question.pages) for each in cited)
    if refused:
        return Judgement("partly" if all_met else "refused wrongly", met)
    if all_met:
        return Judgement("right", met)
    return Judgement("partly" if met or cited else "wrong", met)


def _is_of(citation: Mapping[str, Any], pages: Sequence[int]) -> bool:
    return not pages or any(citation["page_start"] <= page <= citation["page_end"] for page in pages)


def says(text: str, spellings: Sequence[str]) -> bool:
    """Whether one of the spellings is in the folded text, whatever the white space."""
    return any(_has(text, spelling) for spelling in spellings)


def _has(text: str, wanted: str) -> bool:
    """A number, or a word of up to four letters, counts only as a whole."""
    wanted = "".join(folded(wanted).split())
    pattern = r"\s*".join(map(re.escape, wanted))
    if wanted[:1].isdigit():
        pattern = r"(?<!\d)(?<!\d\.)" + pattern
    if wanted[-1:].isdigit():
        pattern += r"(?!\d)(?!\.\d)"
    if wanted.isalpha() and len(wanted) <= _SHORT:
        pattern = rf"\b{pattern}\b"
    return bool(wanted) and re.search(pattern, text) is not None


def folded(text: str) -> str:
    """Without differences of case, width, quotes and dashes, and without marks, currency signs, thousands commas."""
    text = unicodedata.normalize("NFKC", text).translate(_PLAIN).casefold()
    text = "".join(each for each in text if unicodedata.category(each) != "Sc" and each not in "*`")
    return _THOUSANDS.sub("", text)
