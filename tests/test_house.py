"""The house rules that can be counted."""

import ast
import io
import re
import tokenize
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from api.errors import STATUS
from footnote import errors
from footnote.models import Base
from footnote.settings import Settings
from scripts import generate_docs
from tests import ROOT

CODE = sorted(
    path
    for folder in ("footnote", "api", "worker", "scripts", "benchmarks", "tests/system")
    for path in (ROOT / folder).rglob("*.py")
    if not path.name.startswith("test_")
)
MOST_FILE_LINES = 400
LISTS = {"footnote/settings.py": 500}  # one entry after another, which nothing is gained from dividing
MOST_FUNCTION_LINES = 50

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
MOST_PAGE_LINES = 200
MOST_README_LINES = 150
PLAIN_ENGLISH = ("README.md", "CONTRIBUTING.md", "docs/*.md", "footnote/**/*.py", "api/**/*.py", "worker/**/*.py")
LINKED = [*PAGES, ROOT / "CHANGELOG.md", *sorted(DOCS.glob("adr/*.md"))]
NOT_PLAIN = (
    *("whoever", "nobody", "somebody", "anew", "for ever", "so many", "is had", "doorbell", "deed", "deeds"),
    *("ring again", "rings again", "drive on", "driven on", "take in", "takes in", "taken in", "made of it"),
    *("told", "told apart", "lacking", "reap", "reaps", "reaped", "doubted", "turn by turn"),
    *(
        r"(?<!-)beside",
        "besides",
        "unheld",
        "given again",
        "answer writer",
        "the release before",
        "mends",
        "all the same",
        "is away",
        "gives way",
    ),
    *("who adds", "who asks", "who changes", "who leaves", "who sets", "has its say", "of ours", "stands still"),
)


@cache
def definitions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in definitions(path) if not isinstance(node, ast.ClassDef)]


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_files_stay_small():
    lines = {name(path): len(path.read_text().splitlines()) for path in CODE}
    assert {path: count for path, count in lines.items() if count > LISTS.get(path, MOST_FILE_LINES)} == {}


def test_a_public_class_name_stands_once():
    names = Counter(
        node.name
        for path in CODE
        if path.relative_to(ROOT).parts[0] in ("footnote", "api", "worker")
        for node in definitions(path)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [each for each, count in names.items() if count > 1] == []


def test_functions_stay_small_and_most_are_short():
    lengths = {(name(path), node.name): length(node) for path in CODE for node in functions(path)}
    assert {function: lines for function, lines in lengths.items() if lines > MOST_FUNCTION_LINES} == {}
    assert sorted(lengths.values())[int(len(lengths) * 0.9)] <= 20


def test_every_ignored_lint_says_why():
    bare = re.compile(r"# noqa: [A-Z0-9, ]+$", re.MULTILINE)
    assert [name(path) for path in CODE if bare.search(path.read_text())] == []


def test_only_settings_reads_the_environment():
    # Starting a process needs an environment for it, which is not a setting.
    starts_processes = (
        "footnote/formats/sandbox",
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
        *(each for extra in project["project"]["optional-dependencies"].values() for each in extra),
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


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_stay_short(path: Path):
    most = MOST_README_LINES if path.name == "README.md" else MOST_PAGE_LINES
    assert len(path.read_text().splitlines()) <= most


def prose(path: Path) -> str:
    """The text of a page without its code; of code, its docstrings and comments."""
    text = path.read_text()
    if path.suffix == ".py":
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        said = (each.string for each in tokens if each.type == tokenize.COMMENT or each.string.startswith('"""'))
        text = "\n".join(said)
    return re.sub(r"^```.*?^```|`[^`]+`", "", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("pattern", PLAIN_ENGLISH)
def test_words_are_plain(pattern: str):
    texts = {path: " ".join(prose(path).lower().split()) for path in ROOT.glob(pattern)}
    assert texts
    assert [
        (path.name, each) for path, text in texts.items() for each in NOT_PLAIN if re.search(rf"\b{each}\b", text)
    ] == []


@pytest.mark.parametrize("path", LINKED, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path):
    broken = []
    for target in re.findall(r"\]\((?!https?:)([^)\s]*)\)", prose(path)):
        name, _, anchor = target.partition("#")
        page = (path.parent / name).resolve() if name else path
        if not page.exists() or (anchor and anchor not in _anchors(page)):
            broken.append(target)
    assert broken == []


def _anchors(page: Path) -> set[str]:
    """The ids that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_the_table_of_rooms_is_the_contract():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (each["layers"] for each in contracts if each.get("containers") == ["footnote"])
    contract = {room: floor for floor, rooms in enumerate(reversed(layers), 1) for room in rooms.split(" | ")}
    table: dict[str, int] = {}
    floor = 0
    for number, room in re.findall(r"^\| (\d*) ?\| `(\w+)` \|", (DOCS / "architecture.md").read_text(), re.MULTILINE):
        floor = int(number or floor)
        table[room] = floor
    assert table == contract


def test_the_files_of_the_walks_exist():
    named = re.findall(r"`((?:api|footnote|worker|tests)/[\w/]+\.py)`", (DOCS / "architecture.md").read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_list_of_tables_is_complete():
    listed = (DOCS / "architecture.md").read_text().partition("\n## Tables\n")[2]
    rows = re.findall(r"^\| [a-z]+ \| (.+) \|$", listed, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named - {"embed"} == set(Base.metadata.tables)
