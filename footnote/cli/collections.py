"""Collections on the command line: `collections list`, `create`, `show`, `update`, `delete`."""

import json
from enum import StrEnum
from time import monotonic, sleep
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footnote.cli.arguments import json_object
from footnote.cli.terminal import counted, moment, say, say_json, table

if TYPE_CHECKING:
    from footnote.cli.client import Api

Json = dict[str, Any]
LOOK_SECONDS = 0.2  # between two looks at a deletion
SAY_SECONDS = 2.0  # between two lines about its progress

collections = typer.Typer(no_args_is_help=True, help="Documents that share a language, a chunking and a model.")


class Unit(StrEnum):
    characters = "characters"
    tokens = "tokens"


def register(app: typer.Typer) -> None:
    app.add_typer(collections, name="collections", rich_help_panel="Documents")


Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name or id.")]
Language = Annotated[str | None, typer.Option(help="english, german, ...: as Postgres' text search names them.")]
Size = Annotated[int | None, typer.Option(help="The longest chunk, in characters or tokens.")]
Overlap = Annotated[int | None, typer.Option(help="What neighbouring chunks repeat of each other.")]
UnitOf = Annotated[Unit | None, typer.Option(help="What chunks are measured in.")]
ByHeadings = Annotated[
    bool | None, typer.Option("--by-headings/--across-headings", help="Whether small sections stay apart.")
]
Model = Annotated[
    str | None, typer.Option(metavar="PROVIDER[/MODEL]", help="What makes the vectors; for good once it has documents.")
]
Metadata = Annotated[str | None, typer.Option(metavar="JSON", help="An object; merged into what is there.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's reply.")]


def _given(
    language: str | None,
    size: int | None,
    overlap: int | None,
    unit: Unit | None,
    by_headings: bool | None,
    model: str | None,
    metadata: str | None,
) -> Json:
    """What was given, as the API names it; what it says is the API's to judge."""
    cut = {"size": size, "overlap": overlap, "unit": unit and unit.value, "by_headings": by_headings}
    provider, _, name = (model or "").partition("/")
    given: Json = {
        "language": language,
        "chunking": {each: value for each, value in cut.items() if value is not None} or None,
        "embedding": {"provider": provider} | ({"model": name} if name else {}) if model else None,
        "metadata": None if metadata is None else json_object(metadata, "--metadata"),
    }
    return {each: value for each, value in given.items() if value is not None}


@collections.command("list")
def list_collections(
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Collections, newest first."""
    from footnote.cli.client import open_api

    with open_api() as api:
        found = api.listed("/v1/collections", limit)
    if as_json:
        say_json(found)
    elif not found["data"]:
        say("No collections yet: `footnote add PATH` makes one.")
    else:
        rows = [
            (each["name"], each["id"], each["language"], _chunking(each), _model(each), *each["counts"].values())
            for each in found["data"]
        ]
        table(("NAME", "ID", "LANGUAGE", "CHUNKS OF", "MODEL", "DOCUMENTS", "CHUNKS", "REINGESTING"), rows)
        if found["next_cursor"]:
            say(f"The newest {limit}; there are more.")


@collections.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    language: Language = None,
    size: Size = None,
    overlap: Overlap = None,
    unit: UnitOf = None,
    by_headings: ByHeadings = None,
    model: Model = None,
    metadata: Metadata = None,
    as_json: AsJson = False,
) -> None:
    """Make a collection with settings of its own; `add` makes one as configured."""
    from footnote.cli.client import open_api

    given = _given(language, size, overlap, unit, by_headings, model, metadata)
    with open_api() as api:
        _show(api.post("/v1/collections", {"name": name, **given}), as_json)


@collections.command("show")
def show(name: Name, as_json: AsJson = False) -> None:
    """A collection's settings, and what is in it."""
    from footnote.cli.client import open_api, segment

    with open_api() as api:
        _show(api.get(f"/v1/collections/{segment(name)}"), as_json)


@collections.command("update")
def update(
    name: Name,
    rename: Annotated[str | None, typer.Option(metavar="NAME", help="Another name.")] = None,
    language: Language = None,
    size: Size = None,
    overlap: Overlap = None,
    unit: UnitOf = None,
    by_headings: ByHeadings = None,
    model: Model = None,
    metadata: Metadata = None,
    as_json: AsJson = False,
) -> None:
    """Change what is given. Another chunking or language has every document ingested anew, in the background.

    Until a document is, it is found as it was.
    """
    from footnote.cli.client import open_api, segment

    given = _given(language, size, overlap, unit, by_headings, model, metadata)
    if rename is not None:
        given["name"] = rename
    if not given:
        raise typer.BadParameter("say what to change")
    with open_api() as api:
        _show(api.patch(f"/v1/collections/{segment(name)}", given), as_json)


@collections.command("delete")
def delete(name: Name, as_json: AsJson = False) -> None:
    """Delete a collection with all of its documents; prints the receipt. If this is interrupted, the server goes on."""
    from footnote.cli.client import open_api, segment

    with open_api() as api:
        receipt = api.delete(f"/v1/collections/{segment(name)}")
        if "kind" in receipt:
            _follow(api, receipt)
            receipt = api.delete(f"/v1/collections/{segment(receipt['subject_id'])}")
    if as_json:
        say_json(receipt)
    else:
        counts = ", ".join(f"{number} {each}" for each, number in receipt["counts"].items() if number)
        say(f"deleted  {receipt['name']}  {receipt['collection_id']}  {counts or 'empty'}")


def _follow(api: "Api", task: Json) -> None:
    """Waits until a background task is completed; says how far it is when that changes, for logs and people alike."""
    from footnote.cli.client import segment

    said, due = -1, monotonic() + SAY_SECONDS
    while task["status"] != "completed":
        done, total = task["progress"]["done"], task["progress"]["total"]
        if done != said and monotonic() >= due:
            say(f"deleting  {done} of {counted(total, 'document')}", err=True)
            said, due = done, monotonic() + SAY_SECONDS
        sleep(LOOK_SECONDS)
        task = api.get(f"/v1/tasks/{segment(task['id'])}")


def _show(collection: Json, as_json: bool) -> None:
    if as_json:
        say_json(collection)
        return
    counts = collection["counts"]
    size = f"{counted(counts['documents'], 'document')}, {counted(counts['chunks'], 'chunk')}"
    anew = f", {counted(counts['reingesting'], 'document')} to be ingested anew" if counts["reingesting"] else ""
    say(f"{collection['name']}  {collection['id']}  {size}{anew}")
    headings = "by headings, " if collection["chunking"]["by_headings"] else ""
    say(f"{collection['language']}, {headings}chunks of {_chunking(collection)}, {_model(collection)}")
    if collection["metadata"]:
        say(json.dumps(collection["metadata"], ensure_ascii=False))
    say(f"made {moment(collection['created_at'])}")


def _chunking(collection: Json) -> str:
    """`1000 characters, 150 shared`."""
    chunking = collection["chunking"]
    return f"{chunking['size']} {chunking['unit']}, {chunking['overlap']} shared"


def _model(collection: Json) -> str:
    """`local/all-MiniLM-L6-v2`."""
    return f"{collection['embedding']['provider']}/{collection['embedding']['model']}"
