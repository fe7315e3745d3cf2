"""Documents and jobs on the command line: `add`, `status`, `jobs`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footnote.cli.terminal import counted, moment, say, say_json, standing, table, took

if TYPE_CHECKING:
    from footnote.cli.client import Api
    from footnote.cli.progress import Progress
    from footnote.cli.uploads import Ingestion, Upload

Json = dict[str, Any]
FAILED, INTERRUPTED = 1, 130
SHOWN = 20

jobs = typer.Typer(help="Jobs, newest first; retry or cancel one.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    for command in (add, status):
        app.command(rich_help_panel="Documents")(command)
    app.add_typer(jobs, name="jobs", rich_help_panel="Documents")


def add(
    paths: Annotated[list[str], typer.Argument(help="Files, directories and patterns.", metavar="PATH...")],
    collection: Annotated[str, typer.Option(help="Collection to add to; made if it is new.")] = "default",
    metadata: Annotated[str | None, typer.Option(metavar="JSON", help="An object kept with every file.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow every file until it is ready.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing before.")] = False,
) -> None:
    """Add files. Of a directory, every file of a supported type in it. The same file again costs nothing.

    Exit codes: 0 all ready, 1 some failed, 2 no such file, 130 interrupted (ingestion goes on).
    """
    fields = {"collection": collection}
    if metadata is not None:
        fields["metadata"] = _json_object(metadata)
    files = _files(paths)
    from footnote.cli.client import open_api
    from footnote.cli.uploads import Ingestion

    with open_api() as api:
        api.get("/healthz")  # not running is no reason for patience, unlike going away later
        shown = _progress(len(files), as_json)
        ingestion = Ingestion(api, files, fields, shown)
        done = []
        try:
            with shown:
                for upload in ingestion.run(wait=wait):
                    done.append(upload)
                    shown.over(upload.path, _line(upload))
        except KeyboardInterrupt:
            _interrupted(ingestion)
            raise typer.Exit(INTERRUPTED) from None
    _sum_up(done, as_json)


def _sum_up(done: "list[Upload]", as_json: bool) -> None:
    failed = [upload for upload in done if upload.status in ("failed", "cancelled")]
    if as_json:
        say_json({"data": [_result(upload) for upload in done]})
    elif len(done) > 1:
        say(f"{counted(len(done), 'file')}, {len(failed)} failed.")
    if failed:
        raise typer.Exit(FAILED)


def _json_object(text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint="--metadata") from error
    if not isinstance(value, dict):
        raise typer.BadParameter("must be a JSON object", param_hint="--metadata")
    return text


def _files(names: list[str]) -> list[Path]:
    from footnote.cli.uploads import find
    from footnote.formats import supported

    suffixes = {suffix for several in supported().values() for suffix in several}
    try:
        return find(names, suffixes)
    except FileNotFoundError as error:
        name = str(error)
        if Path(name).is_dir():
            message = f"no file of a supported type in {name} ({' '.join(sorted(suffixes))})"
        else:
            message = f"no such file: {name}"
        raise typer.BadParameter(message, param_hint="PATH") from error
    except OSError as error:
        raise typer.BadParameter(str(error), param_hint="PATH") from error


def _progress(files: int, silent: bool) -> "Progress":
    from footnote.cli.progress import Bars, Lines, Progress

    if silent:
        return Progress()
    return Bars(files) if sys.stdout.isatty() else Lines()


def _line(upload: "Upload") -> str:
    if upload.error:
        return f"{upload.status}  {upload.path}  {upload.error['code']}: {upload.error['message']}"
    document = upload.document or {}
    if upload.status != "ready":
        return f"{upload.status}  {upload.path}  {document['id']}"
    how = f"{upload.seconds:.1f} s"
    if upload.deduplicated:
        known = document["filename"]
        how = "already there" if known == upload.path.name else f"already there as {known}"
    size = f"{counted(document['pages'], 'page')}, {counted(document['chunks'], 'chunk')}"
    return f"ready  {upload.path}  {size}, {how}  {document['id']}"


def _result(upload: "Upload") -> Json:
    return {
        "path": str(upload.path),
        "status": upload.status,
        "deduplicated": upload.deduplicated,
        "seconds": upload.seconds,
        "error": upload.error,
        "document": upload.document,
        "job_id": upload.job_id,
    }


def _interrupted(ingestion: "Ingestion") -> None:
    followed, unsent = ingestion.left()
    if followed:
        say(f"Ingestion of {counted(followed, 'file')} goes on in the background: `footnote status`.", err=True)
    if unsent:
        say(f"Not added: {counted(unsent, 'file')}. Run the command again to add the rest.", err=True)


def status(document_id: Annotated[str | None, typer.Argument(help="A document's id.")] = None) -> None:
    """What is in the store and whether it can be reached; or how one document came in, step by step."""
    from footnote.cli.client import open_api

    with open_api() as api:
        if document_id is None:
            _overview(api)
        else:
            _one(api, document_id)


def _overview(api: "Api") -> None:
    ready = api.get("/readyz", also=503)
    checks = ready.get("checks", {})
    away = [f"{name}: {told}" for name, told in checks.items() if told != "ok"]
    say(f"Footnote at {api.url}: {'; '.join(away) if away else ready['status']} ({', '.join(checks)})")
    found = api.listed("/v1/documents", SHOWN)
    if not found["data"]:
        say("No documents yet: `footnote add PATH`.")
        return
    say()
    table(
        ("ID", "FILE", "STATUS", "PAGES", "CHUNKS", "COLLECTION"),
        [
            [each[name] for name in ("id", "filename", "status", "pages", "chunks", "collection")]
            for each in found["data"]
        ],
    )
    if found["next_cursor"]:
        say(f"The newest {SHOWN}; there are more.")


def _one(api: "Api", document_id: str) -> None:
    document = api.get(f"/v1/documents/{_segment(document_id)}")
    now = api.get(f"/v1/documents/{_segment(document_id)}/status")
    size = f"{counted(document['pages'], 'page')}, {counted(document['chunks'], 'chunk')}"
    say(f"{document['filename']}  {document['media_type']}, {document['bytes']} bytes, {size}")
    say(f"{document['id']}  version {document['version']} in {document['collection']}, job {now['job_id']}")
    say(", ".join([standing(now), *([counted(now["attempts"], "attempt")] if now["attempts"] else [])]))
    if now["next_attempt_at"]:
        say(f"next attempt {moment(now['next_attempt_at'])}")
    if now["error"]:
        say(f"{now['error']['code']}: {now['error']['message']}")
    say()
    table(
        ("STEP", "STATE", "STARTED", "TOOK", "ATTEMPTS", "COUNTS"),
        [
            (
                *(step["name"], step["state"], moment(step["started_at"])),
                *(took(step["started_at"], step["finished_at"]), step["attempts"]),
                ", ".join(f"{name} {count}" for name, count in (step["counts"] or {}).items()),
            )
            for step in now["steps"]
        ],
    )


@jobs.callback()
def list_jobs(
    context: typer.Context,
    status: Annotated[str | None, typer.Option(help="Only these, with commas between: failed,waiting.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print the API's reply.")] = False,
) -> None:
    """Jobs, newest first; retry or cancel one."""
    if context.invoked_subcommand:
        return
    from footnote.cli.client import open_api

    wanted = [each.strip() for each in (status or "").split(",") if each.strip()]
    with open_api() as api:
        found = api.listed("/v1/jobs", limit, status=wanted)
    if as_json:
        say_json(found)
    elif not found["data"]:
        say("No jobs.")
    else:
        _show_jobs(found["data"])


def _show_jobs(found: list[Json]) -> None:
    rows = []
    for job in found:
        error = job["error"]
        told = "" if job["finished_at"] else standing(job)
        told = f"{error['code']}: {error['message']}" if error else told
        rows.append((job["id"], job["filename"], job["status"], job["attempts"], moment(job["updated_at"]), told))
    table(("ID", "FILE", "STATUS", "ATTEMPTS", "UPDATED", "WHERE IT STANDS"), rows)


@jobs.command("retry")
def retry_job(job_id: Annotated[str, typer.Argument(help="A failed or cancelled job.")]) -> None:
    """Drive a failed or cancelled job on from the step it stopped at."""
    _act(job_id, "retry")


@jobs.command("cancel")
def cancel_job(job_id: Annotated[str, typer.Argument(help="An unfinished job.")]) -> None:
    """Stop an unfinished job."""
    _act(job_id, "cancel")


def _act(job_id: str, action: str) -> None:
    from footnote.cli.client import open_api

    with open_api() as api:
        job = api.post(f"/v1/jobs/{_segment(job_id)}/{action}")
    say(f"{job['id']}  {standing(job)}")


def _segment(identifier: str) -> str:
    """An id as one segment of a path: a slash in it must not reach another route."""
    from urllib.parse import quote

    return quote(identifier, safe="")
