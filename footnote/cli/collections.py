"""`collections`: documents that share a language, a chunking and a model."""

import json
from collections.abc import Callable
from enum import StrEnum
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from footnote.cli.arguments import json_object
from footnote.cli.commands import Columns, Command, Json, Resource, call, listing
from footnote.cli.terminal import counted, moment, say

if TYPE_CHECKING:
    from footnote.client import TaskStatus

Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name or id.")]
SAY_SECONDS = 2.0  # between two lines about its progress


class ChunkUnit(StrEnum):
    characters = "characters"
    tokens = "tokens"


def _settings(
    language: Annotated[
        str | None, typer.Option(help="auto, english, german, ...: as Postgres' text search names them.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="The longest chunk, in characters or tokens.")] = None,
    overlap: Annotated[int | None, typer.Option(help="How much neighbouring chunks share.")] = None,
    unit: Annotated[ChunkUnit | None, typer.Option(help="What chunks are measured in.")] = None,
    by_headings: Annotated[
        bool | None, typer.Option("--by-headings/--across-headings", help="Whether small sections stay apart.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="PROVIDER[/MODEL]", help="The embedding model; fixed once the collection has documents."),
    ] = None,
    metadata: Annotated[
        str | None, typer.Option(metavar="JSON", help="An object; merged into the present metadata.")
    ] = None,
) -> Json:
    """The options that were given, with the API's names; the API checks their values."""
    chunking = {"size": size, "overlap": overlap, "unit": unit and unit.value, "by_headings": by_headings}
    provider, _, name = (model or "").partition("/")
    given: Json = {
        "language": language,
        "chunking": {each: value for each, value in chunking.items() if value is not None} or None,
        "embedding": {"provider": provider} | ({"model": name} if name else {}) if model else None,
        "metadata": None if metadata is None else json_object(metadata, "--metadata"),
    }
    return {each: value for each, value in given.items() if value is not None}


def _create(name: Annotated[str, typer.Argument(metavar="NAME")], given: Json) -> Json:
    """Create a collection with its own settings; `add` creates one with the configured settings."""
    return call("POST", "/v1/collections", body={"name": name, **given})


def _show(name: Name) -> Json:
    """Show a collection's settings and the size of its content."""
    return call("GET", "/v1/collections/{}", name)


def _update(
    name: Name,
    rename: Annotated[str | None, typer.Option(metavar="NAME", help="Another name.")] = None,
    *,
    given: Json,
) -> Json:
    """Change the given settings. Another chunking or language re-ingests every document, in the background.

    Until then, a document is found as before.
    """
    changes = given if rename is None else {**given, "name": rename}
    if not changes:
        raise typer.BadParameter("Give at least one setting to change.")
    return call("PATCH", "/v1/collections/{}", name, body=changes)


def _delete(name: Name) -> Json:
    """Delete a collection with its documents; prints the receipt. If this is interrupted, the server continues."""
    from footnote.cli.connection import open_api

    with open_api() as api:
        return api.collections.delete(name, on_progress=_reporting()).raw


def _reporting() -> "Callable[[TaskStatus], None]":
    """Reports the progress of a task as lines on stderr."""
    reported, due = -1, monotonic() + SAY_SECONDS

    def report(task: "TaskStatus") -> None:
        nonlocal reported, due
        done, total = task.progress.done, task.progress.total
        if done != reported and monotonic() >= due:
            say(f"deleting  {done} of {counted(total, 'document')}", err=True)
            reported, due = done, monotonic() + SAY_SECONDS

    return report


def _print(collection: Json) -> None:
    counts = collection["counts"]
    size = f"{counted(counts['documents'], 'document')}, {counted(counts['chunks'], 'chunk')}"
    waiting = f", {counted(counts['reingesting'], 'document')} to be re-ingested" if counts["reingesting"] else ""
    say(f"{collection['name']}  {collection['id']}  {size}{waiting}")
    headings = "by headings, " if collection["chunking"]["by_headings"] else ""
    say(f"{collection['language']}, {headings}chunks of {_chunking(collection)}, {_model(collection)}")
    if collection["metadata"]:
        say(json.dumps(collection["metadata"], ensure_ascii=False))
    say(f"created {moment(collection['created_at'])}")


def _chunking(collection: Json) -> str:
    """`1000 characters, 150 shared`."""
    chunking = collection["chunking"]
    return f"{chunking['size']} {chunking['unit']}, {chunking['overlap']} shared"


def _model(collection: Json) -> str:
    """`local/all-MiniLM-L6-v2`."""
    return f"{collection['embedding']['provider']}/{collection['embedding']['model']}"


def _deletion(receipt: Json) -> str:
    counts = ", ".join(f"{number} {each}" for each, number in receipt["counts"].items() if number)
    return f"deleted  {receipt['name']}  {receipt['collection_id']}  {counts or 'empty'}"


COLUMNS: Columns = {
    **{"NAME": "name", "ID": "id", "LANGUAGE": "language", "CHUNKS OF": _chunking, "MODEL": _model},
    "DOCUMENTS": lambda collection: collection["counts"]["documents"],
    "CHUNKS": lambda collection: collection["counts"]["chunks"],
    "REINGESTING": lambda collection: collection["counts"]["reingesting"],
}
COLLECTIONS = Resource(
    "collections",
    "Documents",
    help="Documents that share a language, a chunking and a model.",
    commands=[
        listing(
            "/v1/collections",
            COLUMNS,
            "List collections, newest first.",
            empty="No collections yet: `footnote add PATH` creates one.",
            say_more=True,
        ),
        Command("create", _create, _print, _settings),
        Command("show", _show, _print),
        Command("update", _update, _print, _settings),
        Command("delete", _delete, _deletion),
    ],
)
