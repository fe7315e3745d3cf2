"""`footnote sync`: makes Footnote's documents match a folder."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footnote.cli import identity
from footnote.cli.documents import follow, progress, suffixes, sum_up
from footnote.cli.terminal import counted, say, say_json

if TYPE_CHECKING:
    from footnote.cli.uploads import Skipped
    from footnote.client import DocumentOptions, Footnote

Json = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """The differences: files to send, with the id of each, and documents whose file is gone."""

    changed: dict[Path, str]
    gone: list[Json]
    unchanged: int
    skipped: "list[Skipped]"


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Documents")(sync)


def sync(
    directory: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="The folder.")],
    name: Annotated[str | None, typer.Option(help="The name that identifies the folder; default: its own.")] = None,
    collection: Annotated[str, typer.Option(help="Collection for its documents.")] = "default",
    delete: Annotated[bool, typer.Option("--delete/--keep", help="Delete documents whose file is gone.")] = True,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow every file until it is ready.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Send new and changed files of a folder, delete documents whose file is gone. Unchanged files cost nothing.

    A file is identified by the folder's name and the path within it: use --name for folders of the same name.
    Documents that `add` made of files in the folder are reused.

    Exit codes: those of `add`.
    """
    from footnote.cli.connection import open_api
    from footnote.cli.uploads import Ingestion

    prefix = identity.of_folder(directory, name)
    added = identity.of_file(directory).rstrip("/") + "/"
    with open_api() as api:
        plan = _plan(directory, prefix, added, _known(api, collection, (prefix, added)))
        gone = plan.gone if delete else []
        if dry_run:
            _show(plan, gone, as_json)
            return
        identity.remember(directory, name)
        shown = progress(len(plan.changed), as_json)
        fields: DocumentOptions = {"collection": collection}
        done = follow(Ingestion(api, list(plan.changed), fields, shown, plan.changed), shown, wait)
        for document in gone:
            api.documents.delete(document["id"])
            if not as_json:
                say(f"deleted  {document['external_id'].removeprefix(prefix)}  {document['id']}")
    if not as_json:
        say(f"{plan.unchanged} unchanged, {len(done)} sent, {len(gone)} deleted.")
    sum_up(done, plan.skipped, as_json, deleted=[document["id"] for document in gone], unchanged=plan.unchanged)


def _known(api: "Footnote", collection: str, prefixes: tuple[str, ...]) -> dict[str, Json]:
    """Documents of the folder by external id: those of `sync`, and those of `add`."""
    from footnote.client import UnknownIdError

    try:
        documents = [each.raw for each in api.documents.list(collection=collection)]
    except UnknownIdError as error:
        if error.code == "collection_not_found":  # it is new
            return {}
        raise
    return {each["external_id"]: each for each in documents if (each["external_id"] or "").startswith(prefixes)}


def _plan(directory: Path, prefix: str, added: str, known: dict[str, Json]) -> Plan:
    from footnote.cli.uploads import find

    try:
        files, skipped = find([str(directory)], suffixes())
    except FileNotFoundError:  # nothing of a supported type is left in it
        files, skipped = [], []
    names = {path: _name(path, identity.within(prefix, path, directory), known) for path in files}
    changed = {path: name for path, name in names.items() if not _same(path, known.get(name))}
    gone = [known[name] for name in known.keys() - names.values() if _is_gone(directory, name, added)]
    return Plan(changed, gone, len(files) - len(changed), skipped)


def _name(path: Path, synced: str, known: dict[str, Json]) -> str:
    """The id of a file: the one that `add` gave it, if `sync` gave none."""
    added = identity.of_file(path)
    return added if added in known and synced not in known else synced


def _is_gone(directory: Path, name: str, added: str) -> bool:
    """Whether a document's file is gone. `add` may have sent one that `sync` skips, such as a hidden file."""
    if not name.startswith(added):
        return True
    shortened = len(name) == identity.LONGEST
    return not shortened and not (directory / name.removeprefix(added)).exists()


def _same(path: Path, document: Json | None) -> bool:
    """Whether the file is unchanged; one whose document failed is sent again."""
    if document is None or document["status"] in ("failed", "cancelled"):
        return False
    if document["bytes"] != path.stat().st_size:
        return False
    with path.open("rb") as file:
        return bool(hashlib.file_digest(file, "sha256").hexdigest() == document["sha256"])


def _show(plan: Plan, gone: list[Json], as_json: bool) -> None:
    if as_json:
        named = {"send": [str(path) for path in plan.changed], "delete": [each["id"] for each in gone]}
        say_json({**named, "unchanged": plan.unchanged})
        return
    for path in plan.changed:
        say(f"would send    {path}")
    for document in gone:
        say(f"would delete  {document['filename']}  {document['id']}")
    say(f"{counted(plan.unchanged, 'file')} unchanged.")
