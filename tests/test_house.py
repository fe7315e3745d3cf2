"""The house rules that can be counted."""

import ast
import re
import tomllib
from pathlib import Path

from api.app import create_app
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


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_files_stay_small():
    lines = {name(path): len(path.read_text().splitlines()) for path in CODE}
    assert {path: count for path, count in lines.items() if count > MOST_FILE_LINES} == {}


def test_functions_stay_small_and_most_are_short():
    lengths = {(name(path), node.name): length(node) for path in CODE for node in functions(path)}
    assert {function: lines for function, lines in lengths.items() if lines > MOST_FUNCTION_LINES} == {}
    assert sorted(lengths.values())[int(len(lengths) * 0.9)] <= 32


def test_every_ignored_lint_says_why():
    bare = re.compile(r"# noqa: [A-Z0-9, ]+$", re.MULTILINE)
    assert [name(path) for path in CODE if bare.search(path.read_text())] == []


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


def test_operation_ids_are_chosen():
    operations = [
        operation["operationId"]
        for path in create_app(Settings(_env_file=None)).openapi()["paths"].values()
        for operation in path.values()
    ]
    assert len(set(operations)) == len(operations)
    assert [name for name in operations if "__" in name or name.endswith(("_get_v1", "_post"))] == []


def test_no_line_names_a_registry_or_a_path_of_some_machine():
    hosts = re.compile(
        "|".join(("pypi" + r"\.org", "python" + r"hosted\.org", "npm" + r"js\.org", "/ro" + "ot/", "/wo" + "rk/"))
    )
    tracked = [*CODE, *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("requirements/*"), ROOT / "Makefile"]
    assert [path.name for path in tracked if hosts.search(path.read_text())] == []
