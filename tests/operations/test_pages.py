"""The commands that the documentation shows are commands of this version.

Those of docs/operations.md are also run, all of them, by `make operations`; examples by tests/system/test_examples.py.
"""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer import BadParameter, Context
from typer.core import TyperGroup
from typer.main import get_command

from footnote.cli import app
from tests import ROOT
from tests.system.operations import PAGE, blocks

# Line ends and variables in front, then the command up to a comment, a pipe or the next command.
_COMMAND = re.compile(r"^(?:\w+=\S* )*footnote (.+?)(?:\s+#.*|\s*[|;>&].*)?$", re.MULTILINE)
COMMANDS = get_command(app)
STANDS_IN = {"pipx", "systemctl", "curl", "export", "set", "footnote", "FOOTNOTE_DATA_DIR=restored"}


def shown() -> list[tuple[Path, str]]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = [
        (page, block.code.replace("\\\n", " "))
        for page in pages
        for block in blocks(page.read_text())
        if block.language == "sh"
    ]
    return [(page, command[1]) for page, code in found for command in _COMMAND.finditer(code)]


@pytest.mark.parametrize(("page", "command"), shown(), ids=lambda each: each.name if isinstance(each, Path) else each)
def test_a_command_in_the_documentation_is_one(page: Path, command: str) -> None:
    parse(COMMANDS, None, shlex.split(command))


def parse(command: Any, context: Context | None, words: list[str]) -> None:
    """Raises a UsageError for a command or an option that does not exist. Nothing is run."""
    try:
        context = command.make_context(command.name, words, parent=context)
    except BadParameter as wrong:
        if "does not exist" not in str(wrong):  # a file of the reader
            raise
        return
    if isinstance(command, TyperGroup) and (rest := [*context._protected_args, *context.args]):
        _, found, words = command.resolve_command(context, rest)
        parse(found, context, words)


def test_all_lines_of_the_operations_page_are_run_as_they_stand() -> None:
    code = [block.code for block in blocks(PAGE.read_text()) if block.language == "sh"]
    assert {line.split()[0] for each in code for line in each.splitlines()} <= STANDS_IN


def test_targets_that_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    named = {each for page in pages for each in re.findall(r"`make ([a-z-]+)", page.read_text())}
    assert named - targets == set()
