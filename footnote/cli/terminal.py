"""Output for a terminal. Control characters in texts of documents are removed."""

import json
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import typer

# A file name or an answer could hold escape sequences; line feed and tab are harmless.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_LONGEST = 60  # characters of a cell in a terminal


def plain(text: str) -> str:
    return _CONTROLS.sub("", text)


def say(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    typer.echo(plain(text), err=err, nl=nl)


def say_json(value: Any, *, indent: int | None = 2) -> None:
    typer.echo(json.dumps(value, indent=indent, ensure_ascii=False))


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as their content, so that ids stay whole in pipes and in narrow windows.

    In a terminal a long name is cut, so that it does not push the columns behind it away.
    """
    longest = _LONGEST if sys.stdout.isatty() else None
    cells = [list(header)]
    for row in rows:
        *before, last = ("" if cell is None else str(cell) for cell in row)
        cells.append([*(one_line(cell, longest) for cell in before), one_line(last)])
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    for row in cells:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def one_line(text: str, longest: int | None = None) -> str:
    """White space folded; at most `longest` characters, an ellipsis at the end if some are missing."""
    folded = " ".join(text.split())
    return folded if longest is None or len(folded) <= longest else folded[: longest - 1].rstrip() + "…"


def counted(number: int | None, noun: str) -> str:
    """`1 page`, `2 pages`, `? pages`."""
    return f"{'?' if number is None else number} {noun}{'' if number == 1 else 's'}"


def pages_of(anchor: dict[str, Any]) -> str:
    """`page 11` or `pages 11-12` of a hit or a citation."""
    first, last = anchor["page_start"], anchor["page_end"]
    return f"page {first}" if first == last else f"pages {first}-{last}"


def location_of(citation: dict[str, Any]) -> str:
    """Where a quote stands, for people: the headings above it where pages have no pictures, else its page."""
    heading, drawn = citation.get("heading"), citation.get("highlights_url")
    if drawn or not heading:
        return pages_of(citation)
    return heading if citation["page_start"] == 1 else f"{pages_of(citation)}, {heading}"


def status_line(status: dict[str, Any]) -> str:
    """The status of a job or a document in a few words: `embed 120/418 chunks`, `queued: a free worker`,
    `waiting: another attempt: the provider could not be reached, until 10:05:00`, `failed: no_text: ...`.
    """
    state, error, until = status["status"], status["error"], status["next_attempt_at"]
    if state == "running":
        progress = status["progress"]
        done, total, unit = progress["done"], progress["total"], progress["unit"]
        if total:
            return f"{status['step']} {done}/{total} {unit}"
        return f"{status['step']} {done} {unit}" if done else str(status["step"])
    if status["waiting_for"]:
        waiting = f"{state}: {status['waiting_for'].rstrip('.')}"
        ahead = until and datetime.fromisoformat(until) > datetime.now(UTC)
        return f"{waiting}, until {moment(until).split()[1]}" if ahead else waiting
    return f"{state}: {error['code']}: {error['message']}" if error else str(state)


def moment(value: str | None) -> str:
    """A time of the API in this machine's zone, to the second."""
    return f"{datetime.fromisoformat(value).astimezone():%Y-%m-%d %H:%M:%S}" if value else ""


def took(started: str | None, finished: str | None) -> str:
    if not started or not finished:
        return ""
    return f"{(datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds():.1f} s"
