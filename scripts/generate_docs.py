"""Writes what is generated from the code: settings, errors, OpenAPI, the client's types. `--check` only compares."""

import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from api.app import create_app
from api.description import DescribedApi
from api.description.failures import MEANINGS
from api.errors import STATUS
from footnote.errors import CODES
from footnote.settings import Settings, variable
from scripts import client_types

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TYPES = ROOT / "footnote" / "client" / "types"


def settings() -> str:
    rows = [
        "# Settings",
        "",
        "Set an environment variable, or put it into `.env` in the working directory (`.env.example` lists all).",
        "Instead of a variable, the same name with `_FILE` behind it may name a file that holds the value, as secrets",
        "are mounted: `OPENAI_API_KEY_FILE=/run/secrets/openai_api_key`. Space around the value is cut off. A file",
        "that is missing, empty or not UTF-8 stops the start with a sentence that names it; so do a variable and its",
        "file at once.",
        "",
        "`make docs` writes this page from `footnote/settings.py`.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for name, info in Settings.model_fields.items():
        default = "" if info.default in (None, "") else f"`{info.default}`"
        meaning = " ".join((info.description or "").split()).replace("|", "\\|")
        rows.append(f"| `{variable(name)}` | {default} | {meaning} |")
    return "\n".join(rows) + "\n"


def env_example() -> str:
    rows = [
        "# Copy this file to .env and uncomment the settings that you change. docs/settings.md has them as a table.",
        "# NAME_FILE=path instead of NAME=value reads the value from a file.",
        "",
    ]
    for name, info in Settings.model_fields.items():
        default = "" if info.default is None else str(info.default)
        rows += [f"# {' '.join((info.description or '').split())}", f"#{variable(name)}={default}", ""]
    return "\n".join(rows)


def errors() -> str:
    rows = [
        "# Errors",
        "",
        "Look up an error by its `code`. Every error of the API is `application/problem+json` (RFC 9457) with `type`,",
        "`title`, `status`, `detail`, the stable `code`, the `request_id`, and `errors` for each field that is wrong.",
        "`make docs` writes this page from `footnote/errors.py`, `api/errors.py` and `api/description/failures.py`.",
        "",
        "## Why a document fails",
        "",
        "`error.code` of a document or job:",
        "",
        "| code | meaning |",
        "|---|---|",
    ]
    rows += [f"| `{code}` | {sentence} |" for code, sentence in sorted(CODES.items())]
    rows += ["", "## Why a request is refused", "", "`code` of an answer, in addition to those above:", ""]
    rows += ["| code | meaning |", "|---|---|"]
    rows += [f"| `{code}` | {sentence} |" for code, sentence in sorted(MEANINGS.items()) if code not in CODES]
    rows += ["", "## Kinds and statuses", "", "| kind | status |", "|---|---|"]
    rows += [f"| {kind} | {status} |" for kind, status in sorted(STATUS.items())]
    return "\n".join(rows) + "\n"


@cache
def _api() -> DescribedApi:
    return create_app(Settings(_env_file=None))


def openapi() -> str:
    return _written(_api().openapi())


def openai_surface() -> str:
    return _written(_api().openai_surface())


def _written(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


PAGES: dict[Path, Callable[[], str]] = {
    ROOT / ".env.example": env_example,
    DOCS / "settings.md": settings,
    DOCS / "errors.md": errors,
    DOCS / "openapi.json": openapi,
    DOCS / "openai-surface.json": openai_surface,
    TYPES / "answers.py": lambda: client_types.answers(_api().openapi()),
    TYPES / "documents.py": lambda: client_types.documents(_api().openapi()),
}


def stale() -> list[Path]:
    """The documents that differ from the code."""
    return [path for path, make in PAGES.items() if not path.exists() or path.read_text() != make()]


def main() -> int:
    if sys.argv[1:] == ["--check"]:
        for path in stale():
            print(f"{path.relative_to(ROOT)} differs from the code; run `make docs`.", file=sys.stderr)
        return bool(stale())
    for path, make in PAGES.items():
        path.write_text(make())
    return 0


if __name__ == "__main__":
    sys.exit(main())
