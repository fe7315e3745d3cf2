"""The house rules that can be counted."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from api.errors import STATUS
from footnote import errors
from footnote.settings import Settings
from scripts import generate_docs
from tests import ROOT

CODE = sorted(
    path
    for folder in ("footnote", "api", "worker", "scripts", "benchmarks", "tests/system")
    for path in (ROOT / folder).rglob("*.py")
)
MOST_FILE_LINES = 400
MOST_FUNCTION_LINES = 50


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path):
    assert len(path.read_text().splitlines()) <= MOST_FILE_LINES
    assert {node.name: length(node) for node in functions(path) if length(node) > MOST_FUNCTION_LINES} == {}


def test_most_functions_are_short():
    lengths = sorted(length(node) for path in CODE for node in functions(path))
    assert lengths[int(len(lengths) * 0.9)] <= 32


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_ignored_lint_says_why(path: Path):
    bare = [line for line in path.read_text().splitlines() if re.search(r"# noqa: [A-Z0-9, ]+$", line)]
    assert bare == []


def test_only_settings_reads_the_environment():
    # Starting a process needs an environment for it, which is not a setting.
    starts_processes = (
        "footnote/formats/sandbox/process.py",
        "footnote/local_stack",
        "footnote/cli/processes.py",
        "worker/__main__.py",
        "api/__main__.py",
    )
    readers = {
        str(path.relative_to(ROOT))
        for path in CODE
        if re.search(r"os\.environ|os\.getenv", path.read_text())
        and not {"scripts", "benchmarks", "tests"} & set(path.parts)
    }
    assert [path for path in sorted(readers) if not path.startswith(starts_processes)] == []


def test_generated_documents_say_what_the_code_says():
    assert generate_docs.stale() == []


def test_every_setting_says_what_it_is_for():
    assert [name for name, info in Settings.model_fields.items() if not info.description] == []


def test_every_kind_of_error_has_a_status():
    classes = [each for each in vars(errors).values() if isinstance(each, type)]
    assert {each.kind for each in classes if issubclass(each, errors.FootnoteError)} == STATUS.keys()


def test_every_dependency_has_a_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["local"],
        *(each for group in project["dependency-groups"].values() for each in group),
    ]
    names = {re.split(r"[\[<>=]", line)[0] for line in declared}
    table = (ROOT / "docs" / "dependencies.md").read_text()
    assert names == set(re.findall(r"^\| ([a-z0-9-]+) \| .", table, re.MULTILINE)) - {"package"}


def test_no_line_names_a_registry_or_a_path_of_some_machine():
    hosts = re.compile(
        "|".join(("pypi" + r"\.org", "python" + r"hosted\.org", "npm" + r"js\.org", "/ro" + "ot/", "/wo" + "rk/"))
    )
    tracked = [*CODE, *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("requirements/*"), ROOT / "Makefile"]
    assert [path.name for path in tracked if hosts.search(path.read_text())] == []
