"""Documents on the command line: `add`, `documents`, `move`, `reingest`, `delete`, `status`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footnote.cli.arguments import json_object
from footnote.cli.commands import Columns, Command, call, fetch_list, listed, listing, show_list, show_table, time_of
from footnote.cli.terminal import counted, moment, say, say_json, status_line, table, took

if TYPE_CHECKING:
    from footnote.cli.progress import Progress
    from footnote.cli.uploads import FileUpload, Ingestion, Skipped
    from footnote.client import DocumentOptions, Footnote

Json = dict[str, Any]
FAILED, INTERRUPTED = 1, 130
SKIPPED_SHOWN = 10


REFUSED = listing(
    "/v1/documents/refused",
    {"WHEN": time_of("created_at"), "FILE": "filename", "CODE": "code", "WHY": "message"},
    "Files that were refused at upload, newest first, with the reason; later failures are in `footnote jobs`.",
    empty="No file was refused.",
)


def _list(
    find: Annotated[str | None, typer.Option(metavar="TEXT", help="A part of the name or of the external id.")] = None,
    collection: Annotated[str | None, typer.Option(help="Of this collection.")] = None,
    status: Annotated[list[str] | None, typer.Option(help="With this status; repeat it for several.")] = None,
    sort: Annotated[str, typer.Option(help="newest, oldest or name.")] = "newest",
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
) -> Json:
    """List documents: all, or those that you look for."""
    wanted = {"q": find, "collection": collection, "status": status, "sort": sort}
    return fetch_list("/v1/documents", limit, **{name: value for name, value in wanted.items() if value})


def _reingest(ids: Annotated[list[str], typer.Argument(help="Ids of documents.", metavar="ID...")]) -> Json:
    """Have documents ingested again from their stored files, in the background."""
    return call("POST", "/v1/documents/reingest", body={"ids": ids})


def _move(
    ids: Annotated[list[str], typer.Argument(help="Ids of documents.", metavar="ID...")],
    to: Annotated[str, typer.Option(metavar="COLLECTION", help="Where to; created if it is new.")],
) -> Json:
    """Move documents to another collection, in the background. They are found there at once."""
    return call("POST", "/v1/documents/move", body={"ids": ids, "collection": to})


COLUMNS: Columns = {
    "ID": "id",
    "FILE": "filename",
    "COLLECTION": "collection",
    "PAGES": "pages",
    "CHUNKS": "chunks",
    "STATUS": lambda each: status_line(each),
}
DOCUMENTS = Command("documents", _list, show_list(COLUMNS, empty="None.", say_more=True))
MOVE, REINGEST = (
    Command(name, work, lambda task: f"queued  {counted(task['progress']['total'], 'document')}")
    for name, work in (("move", _move), ("reingest", _reingest))
)


def register(app: typer.Typer) -> None:
    for name, command in (
        ("add", add),
        ("documents", DOCUMENTS.callback()),
        ("refused", REFUSED.callback()),
        ("move", MOVE.callback()),
        ("reingest", REINGEST.callback()),
        ("delete", delete),
        ("status", status),
    ):
        app.command(name, rich_help_panel="Documents")(command)


def add(
    paths: Annotated[list[str], typer.Argument(help="Files, directories and patterns.", metavar="PATH...")],
    collection: Annotated[str, typer.Option(help="Collection to add to; created if it is new.")] = "default",
    metadata: Annotated[str | None, typer.Option(metavar="JSON", help="An object stored with every file.")] = None,
    external_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Your own id for one file: other content becomes its new version.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow every file until it is ready.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only estimate the cost; store nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Add files. Of a directory, every file of a supported type in it. The same file again costs nothing.

    A file is identified by its path on this machine: an edited file becomes a new version of its document.

    The command waits while the server restarts, and sends nothing twice.

    Exit codes: 0 all ready, 1 some failed or the server was unavailable, 2 wrong usage, 130 interrupted
    (ingestion of sent files continues).
    """
    fields: DocumentOptions = {"collection": collection}
    if metadata is not None:
        fields["metadata"] = json_object(metadata, "--metadata")
    files, skipped = _files(paths)
    if external_id is not None:
        if len(files) != 1:
            raise typer.BadParameter(f"names one file, not {len(files)}", param_hint="--external-id")
        fields["external_id"] = external_id
    from footnote.cli import estimates
    from footnote.cli.connection import open_api
    from footnote.cli.uploads import Ingestion

    with open_api() as api:
        if dry_run:
            estimates.show(api, files, fields, skipped, as_json)
            return
        api.request("GET", "/healthz")  # fail at once if it is not running; wait only if it stops later
        shown = progress(len(files), as_json)
        ingestion = Ingestion(api, files, fields, shown, by_path=external_id is None)
        done = follow(ingestion, shown, wait)
    sum_up(done, skipped, as_json)


def follow(ingestion: "Ingestion", shown: "Progress", wait: bool) -> "list[FileUpload]":
    from footnote.client import ApiError

    done = []
    try:
        with shown:
            for upload in ingestion.run(wait=wait):
                done.append(upload)
                shown.over(upload.path, _line(upload))
    except KeyboardInterrupt:
        _left_behind(ingestion)
        raise typer.Exit(INTERRUPTED) from None
    except ApiError as error:
        if error.temporary:  # the server was unavailable
            _left_behind(ingestion)
        raise
    return done


def sum_up(done: "list[FileUpload]", skipped: "list[Skipped]", as_json: bool, **more: Any) -> None:
    failed = [upload for upload in done if upload.status in ("failed", "cancelled")]
    if as_json:
        named = [{"path": str(each.path), "reason": each.reason} for each in skipped]
        say_json({"data": [_result(upload) for upload in done], "skipped": named, **more})
    else:
        for each in skipped[:SKIPPED_SHOWN]:
            say(f"skipped  {each.path}  {each.reason}")
        if len(skipped) > SKIPPED_SHOWN:
            say(f"skipped  {len(skipped) - SKIPPED_SHOWN} more; --json lists them all")
        if len(done) > 1:
            left_out = f", {len(skipped)} skipped" if skipped else ""
            for upload in failed:
                if upload.refused:
                    say(f"refused  {upload.path}  {_why(upload)}")
            say(f"{counted(len(done), 'file')}, {len(failed)} failed{left_out}.")
    if failed:
        raise typer.Exit(FAILED)


def _files(names: list[str]) -> "tuple[list[Path], list[Skipped]]":
    from footnote.cli.uploads import find

    try:
        return find(names, suffixes())
    except FileNotFoundError as error:
        name = str(error)
        if Path(name).is_dir():
            message = f"no file of a supported type in {name} ({' '.join(sorted(suffixes()))})"
        else:
            message = f"no such file: {name}"
        raise typer.BadParameter(message, param_hint="PATH") from error
    except OSError as error:
        raise typer.BadParameter(str(error), param_hint="PATH") from error


def suffixes() -> set[str]:
    """The suffixes of files that can be ingested."""
    from footnote.formats import supported

    return {suffix for several in supported().values() for suffix in several}


def progress(files: int, silent: bool) -> "Progress":
    from footnote.cli.progress import Bars, Progress, ProgressLines

    if silent:
        return Progress()
    return Bars(files) if sys.stdout.isatty() else ProgressLines()


def _line(upload: "FileUpload") -> str:
    if upload.error:
        return f"{upload.status}  {upload.path}  {_why(upload)}"
    document = upload.document or {}
    if upload.status != "ready":
        return f"{upload.status}  {upload.path}  {document['id']}"
    how = f"{upload.seconds:.1f} s"
    if upload.deduplicated:
        known = document["filename"]
        how = "already there" if known == upload.path.name else f"already there as {known}"
    size = f"{counted(document['pages'], 'page')}, {counted(document['chunks'], 'chunk')}"
    return f"ready  {upload.path}  {size}, {how}  {document['id']}"


def _why(upload: "FileUpload") -> str:
    return f"{upload.error['code']}: {upload.error['message']}" if upload.error else upload.status


def _result(upload: "FileUpload") -> Json:
    return {
        "path": str(upload.path),
        "status": upload.status,
        "deduplicated": upload.deduplicated,
        "seconds": upload.seconds,
        "error": upload.error,
        "document": upload.document,
        "job_id": upload.job_id,
    }


def _left_behind(ingestion: "Ingestion") -> None:
    followed, unsent = ingestion.left()
    if followed:
        say(f"Ingestion of {counted(followed, 'file')} continues in the background: `footnote status`.", err=True)
    if unsent:
        say(f"Not added: {counted(unsent, 'file')}. Run the command again to add the rest.", err=True)


def delete(
    document_ids: Annotated[list[str], typer.Argument(help="Ids of documents.", metavar="ID...")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the receipts as one JSON object.")] = False,
) -> None:
    """Delete documents and everything derived from them, at any time; prints a receipt for each.

    Exit codes: 0 all deleted, 1 one was not found, or an error.
    """
    from footnote.cli.connection import open_api

    receipts = []
    with open_api() as api:
        for each in document_ids:
            receipt = api.documents.delete(each).raw
            receipts.append(receipt)
            if not as_json:
                counts = ", ".join(f"{number} {name}" for name, number in receipt["counts"].items() if number)
                say(f"deleted  {each}  {counts}")
    if as_json:
        say_json({"data": receipts})


def status(
    document_id: Annotated[str | None, typer.Argument(help="A document's id.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many documents.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the newest documents and their status; or one document with its steps.

    Exit codes: 0 the server can reach all that it needs, 1 it cannot, or an error.
    """
    from footnote.cli.connection import open_api

    with open_api() as api:
        if document_id is None:
            _overview(api, limit, as_json)
        else:
            _one(api, document_id, as_json)


def _overview(api: "Footnote", limit: int, as_json: bool) -> None:
    ready = api.request("GET", "/readyz", accepted=503)
    found = listed(api, "/v1/documents", limit)
    checks = ready.get("checks", {})
    away = [f"{name}: {state}" for name, state in checks.items() if state != "ok"]
    if as_json:
        say_json({**ready, **found})
    else:
        say(f"Footnote at {api.url}: {'; '.join(away) if away else ready['status']} ({', '.join(checks)})")
        _show_documents(found["data"])
        if found["next_cursor"]:
            say(f"The newest {limit}; there are more.")
    if away:
        raise typer.Exit(FAILED)


def _show_documents(found: list[Json]) -> None:
    if not found:
        say("No documents yet: `footnote add PATH`.")
        return
    say()
    show_table(COLUMNS, found)


def _one(api: "Footnote", document_id: str, as_json: bool) -> None:
    document, now = api.documents.get(document_id).raw, api.documents.status(document_id).raw
    if as_json:
        say_json({"document": document, "status": now})
        return
    size = f"{counted(document['pages'], 'page')}, {counted(document['chunks'], 'chunk')}"
    say(f"{document['filename']}  {document['media_type']}, {document['bytes']} bytes, {size}")
    say(f"{document['id']}  version {document['version']} in {document['collection']}, job {now['job_id']}")
    say(status_line(now) + (f" ({counted(now['attempts'], 'attempt')})" if now["attempts"] else ""))
    if now["heartbeat_at"]:
        say(f"last heartbeat {moment(now['heartbeat_at'])}; without another, retried from {moment(now['lease_until'])}")
    if now["next_attempt_at"]:
        say(f"next attempt {moment(now['next_attempt_at'])}")
    if now["error"] and now["status"] != "failed":
        say(f"{now['error']['code']}: {now['error']['message']}")
    say()
    table(
        ("STEP", "STATUS", "STARTED", "TOOK", "ATTEMPTS", "COUNTS"),
        [
            (
                *(step["name"], step["status"], moment(step["started_at"])),
                *(took(step["started_at"], step["finished_at"]), step["attempts"]),
                ", ".join(f"{name} {count}" for name, count in (step["counts"] or {}).items() if count or count == 0),
            )
            for step in now["steps"]
        ],
    )
