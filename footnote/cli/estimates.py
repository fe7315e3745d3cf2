"""`add --dry-run`: what adding files would cost."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from footnote.cli.option_names import with_options
from footnote.cli.terminal import counted, say, say_json
from footnote.cli.uploads import Skipped, ends_all
from footnote.client import ApiError, DocumentOptions, Footnote

Json = dict[str, Any]
COUNTS = ("documents", "pages", "chunks", "tokens", "new_tokens")


def show(
    api: Footnote, files: Sequence[Path], fields: DocumentOptions, skipped: Sequence[Skipped], as_json: bool
) -> None:
    """Estimates each file alone: a text that two of them share counts twice. Exits with 1 if one could not be added."""
    results = [_result(api, path, fields, as_json) for path in files]
    found = [result["estimate"] for result in results if result["estimate"]]
    total: Json = {name: sum(each[name] for each in found) for name in COUNTS}
    total["cost"] = None if any(each["cost"] is None for each in found) else sum(each["cost"] for each in found)
    if as_json:
        named = [{"path": str(each.path), "reason": each.reason} for each in skipped]
        say_json({"data": results, "total": total, "skipped": named})
    elif len(files) > 1:
        say(f"{counted(len(files), 'file')}: {_line(total)}")
    if len(found) < len(files):
        raise typer.Exit(1)


def _result(api: Footnote, path: Path, fields: DocumentOptions, silent: bool) -> Json:
    estimate, error = None, None
    try:
        estimate = api.estimate(path, **fields).raw
    except OSError as failure:
        error = {"code": "unreadable", "message": failure.strerror or str(failure)}
    except ApiError as failure:
        if ends_all(failure):
            raise
        error = {"code": failure.code, "message": with_options(failure.message, failure.fields)}
    if not silent:
        say(f"{path}  {_line(estimate) if estimate else _failure(error or {})}")
    return {"path": str(path), "estimate": estimate, "error": error}


def _failure(error: Json) -> str:
    return f"{error['code']}: {error['message']}"


def _line(estimate: Json) -> str:
    cost = "cost unknown" if estimate["cost"] is None else f"${estimate['cost']:.4f}"
    size = f"{counted(estimate['pages'], 'page')}, {counted(estimate['chunks'], 'chunk')}"
    return f"{size}, {estimate['tokens']} tokens, {estimate['new_tokens']} of them new, {cost}"
