"""Writes the documents that are made from the code: settings, error codes, OpenAPI. `--check` only compares."""

import json
import sys
from pathlib import Path
from typing import Any

from api.app import create_app
from api.description.failures import MEANINGS
from api.errors import STATUS
from footnote.errors import CODES
from footnote.settings import Settings, variable

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def settings() -> str:
    rows = [
        "# Settings",
        "",
        "Every setting is an environment variable; `.env` in the working directory is read too. This page is made from",
        "`footnote/settings.py` by `make docs`.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for name, info in Settings.model_fields.items():
        default = "" if info.default is None else f"`{info.default}`"
        meaning = " ".join((info.description or "").split()).replace("|", "\\|")
        rows.append(f"| `{variable(name)}` | {default} | {meaning} |")
    return "\n".join(rows) + "\n"


def env_example() -> str:
    rows = ["# Copy to .env and uncomment what you change. docs/settings.md is the same list as a table.", ""]
    for name, info in Settings.model_fields.items():
        default = "" if info.default is None else str(info.default)
        rows += [f"# {' '.join((info.description or '').split())}", f"#{variable(name)}={default}", ""]
    return "\n".join(rows)


def errors() -> str:
    rows = [
        "# Errors",
        "",
        "Every error of the API is `application/problem+json` (RFC 9457) with `type`, `title`, `status`, `detail`, a",
        "stable `code`, the `request_id`, and `errors` per field where there are any. This page is made from",
        "`footnote/errors.py`, `api/errors.py` and `api/description/failures.py` by `make docs`.",
        "",
        "## Why a document fails",
        "",
        "`error.code` of a document or job:",
        "",
        "| code | what a person is told |",
        "|---|---|",
    ]
    rows += [f"| `{code}` | {sentence} |" for code, sentence in sorted(CODES.items())]
    rows += ["", "## Why a request is refused", "", "`code` of an answer, beside those above:", ""]
    rows += ["| code | meaning |", "|---|---|"]
    rows += [f"| `{code}` | {sentence} |" for code, sentence in sorted(MEANINGS.items()) if code not in CODES]
    rows += ["", "## Kinds and statuses", "", "| kind | status |", "|---|---|"]
    rows += [f"| {kind} | {status} |" for kind, status in sorted(STATUS.items())]
    return "\n".join(rows) + "\n"


def openapi() -> str:
    schema: dict[str, Any] = create_app(Settings(_env_file=None)).openapi()
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


PAGES = {
    ROOT / ".env.example": env_example,
    DOCS / "settings.md": settings,
    DOCS / "errors.md": errors,
    DOCS / "openapi.json": openapi,
}


def stale() -> list[Path]:
    """The documents that are not what the code says."""
    return [path for path, make in PAGES.items() if not path.exists() or path.read_text() != make()]


def main() -> int:
    if sys.argv[1:] == ["--check"]:
        for path in stale():
            print(f"{path.relative_to(ROOT)} is not what the code says; run `make docs`.", file=sys.stderr)
        return bool(stale())
    for path, make in PAGES.items():
        path.write_text(make())
    return 0


if __name__ == "__main__":
    sys.exit(main())
