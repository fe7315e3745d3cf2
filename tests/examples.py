"""The examples in the documentation, run as a reader runs them.

A block of `text` behind an example is what it prints; `...` stands for anything, and lines may be broken where they are
too long. The examples of a page in Python build on each other, and so do those for the shell: they are one program. In
JavaScript each is one of its own. Each program has the document that all pages ask about, `lamp.txt`, in its folder.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [
    *(DOCS / f"{name}.md" for name in ("client", "clients", "openai", "mcp")),
    *sorted((DOCS / "clients").glob("*.md")),
]
TEXT = "The zircon lamp was lit by Agnes Tolmie in the year 1874. The zircon lamp burns paraffin oil."
URL, KEY, STORE = "http://127.0.0.1:8000", "fn_...", "vs_..."  # as the pages write them
SECONDS = 300
# What needs packages that only `make clients` installs.
APART = re.compile(
    r"^(?:from|import) (agents|footnote\.client\.llamaindex|langchain_openai|litellm|llama_index)\b", re.MULTILINE
)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
_BETWEEN = {"python": 'print("\\f", end="")', "sh": "printf '\\f'", "js": 'process.stdout.write("\\f");'}
_ENDING = {"python": "py", "sh": "sh", "js": "mjs"}


@dataclass(frozen=True)
class Example:
    page: Path
    line: int  # of its first line of code; 1 is the page's first
    language: str
    code: str
    prints: str | None

    def check(self, printed: str) -> None:
        """Raises AssertionError if it is not what the page shows."""
        parts = (re.escape(each).replace("\\\n", r"\s*") for each in (self.prints or "...").strip().split("..."))
        pattern = ".*".join(parts)
        assert re.fullmatch(pattern, printed.strip(), re.DOTALL), f"{self.page}:{self.line} printed:\n{printed}"


@dataclass(frozen=True)
class Product:
    """Where it answers, a key of it, and the vector store with the document."""

    url: str
    key: str
    store: str

    @property
    def names(self) -> dict[str, str]:
        """By what the pages write, what to write instead."""
        return {URL: self.url, KEY: self.key, STORE: self.store}


def examples(page: Path) -> Iterator[Example]:
    """All blocks of code on the page."""
    told = page.read_text()
    for block in _BLOCK.finditer(told):
        language, code, prints = block.groups()
        yield Example(page, told.count("\n", 0, block.start()) + 2, language, code, prints)


def programs(language: str) -> list[list[Example]]:
    """What is run at once, of all pages."""
    found = [each for page in PAGES for each in examples(page) if each.language == language]
    return [[*group] for _, group in groupby(found, lambda each: (each.page, each.line if language == "js" else 0))]


def is_apart(program: Iterable[Example]) -> bool:
    """Whether it needs packages that are not installed with Footnote's own."""
    return any(APART.search(each.code) for each in program)


def run(program: Iterable[Example], command: list[str], product: Product, folder: Path | None = None) -> None:
    """Runs it in a folder below this one. Raises AssertionError if it fails or prints something else."""
    program = [*program]
    with tempfile.TemporaryDirectory(prefix="example-", dir=folder) as directory:
        script = Path(directory) / f"example.{_ENDING[program[0].language]}"
        script.write_text(replaced(product.names, _script(program)))
        (Path(directory) / "lamp.txt").write_text(TEXT)
        ended = subprocess.run(
            [*command, script.name], cwd=directory, env=_environment(), capture_output=True, text=True, timeout=SECONDS
        )
    assert ended.returncode == 0, f"{program[0].page}: {ended.stderr}"
    back = {there: here for here, there in product.names.items()}
    for example, printed in zip(program, replaced(back, ended.stdout).split("\f")[1:], strict=True):
        example.check(printed)


def _script(program: list[Example]) -> str:
    """With each line where it is on the page, so that errors name it."""
    lines: list[str] = []
    for example in program:
        lines += [""] * (example.line - 2 - len(lines))
        lines += [_BETWEEN[example.language], *example.code.splitlines()]
    return "\n".join(lines) + "\n"


def replaced(names: Mapping[str, str], told: str) -> str:
    """The text with each name as the other place writes it."""
    for here, there in names.items():
        told = told.replace(here, there)
    return told


def _environment() -> dict[str, str]:
    """Without the addresses and keys of anything else."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("FOOTNOTE_", "OPENAI_"))}
