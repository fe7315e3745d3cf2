"""What was found about one thing."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Diagnosis:
    """`remedy`: what to do, if anything is to be done. A warning may be as you want it."""

    about: str
    state: Literal["ok", "warning", "broken"]
    found: str
    remedy: str = ""

    @property
    def is_broken(self) -> bool:
        return self.state == "broken"


def ok(about: str, found: str) -> Diagnosis:
    return Diagnosis(about, "ok", found)


def warning(about: str, found: str, remedy: str) -> Diagnosis:
    return Diagnosis(about, "warning", found, remedy)


def broken(about: str, found: str, remedy: str) -> Diagnosis:
    return Diagnosis(about, "broken", found, remedy)


def age(seconds: float) -> str:
    """In words: "26 h"."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def size(count: float) -> str:
    """In words: "1.5 GB"."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
