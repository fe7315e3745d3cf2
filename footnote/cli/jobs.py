"""Jobs on the command line: what is at work, what waits for what, what failed and why; `retry`, `cancel`."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footnote.cli.terminal import counted, moment, say, say_json, standing, table

if TYPE_CHECKING:
    from footnote.cli.client import Api

Json = dict[str, Any]
FAILED = 1
AT_ONCE = 1000

jobs = typer.Typer(invoke_without_command=True)


def register(app: typer.Typer) -> None:
    app.add_typer(jobs, name="jobs", rich_help_panel="Documents")


Ids = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Jobs.")]
Step = Annotated[str | None, typer.Option(help="At these steps: chunk, embed, upsert.")]
Code = Annotated[str | None, typer.Option(help="With these error codes: provider_rejected,worker_crashed.")]
Document = Annotated[str | None, typer.Option(metavar="ID", help="Of this document.")]
Collection = Annotated[str | None, typer.Option(help="In this collection.")]
After = Annotated[datetime | None, typer.Option(help="Made after this, in this machine's time.")]
Before = Annotated[datetime | None, typer.Option(help="Made before this, in this machine's time.")]


def _filters(
    step: str | None,
    code: str | None,
    document: str | None,
    collection: str | None,
    after: datetime | None,
    before: datetime | None,
) -> Json:
    """What was given, as the API names it."""
    given = {
        "step": several(step),
        "error_code": several(code),
        "document_id": document,
        "collection": collection,
        "created_after": after and after.astimezone().isoformat(),
        "created_before": before and before.astimezone().isoformat(),
    }
    return {name: value for name, value in given.items() if value}


def several(text: str | None) -> list[str]:
    return [each.strip() for each in (text or "").split(",") if each.strip()]


@jobs.callback()
def list_jobs(
    context: typer.Context,
    status: Annotated[str | None, typer.Option(help="Only these, with commas between: failed,waiting.")] = None,
    step: Step = None,
    code: Code = None,
    document: Document = None,
    collection: Collection = None,
    after: After = None,
    before: Before = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print the API's reply.")] = False,
) -> None:
    """Jobs, newest first, with what each waits for or failed of; `--status failed` is the dead-letter view."""
    if context.invoked_subcommand:
        return
    from footnote.cli.client import open_api

    wanted = _filters(step, code, document, collection, after, before)
    if status:
        wanted["status"] = several(status)
    with open_api() as api:
        found = api.listed("/v1/jobs", limit, **wanted)
    if as_json:
        say_json(found)
    elif not found["data"]:
        say("No jobs.")
    else:
        _show(found["data"])
        if found["next_cursor"]:
            say(f"The newest {limit}; there are more.")


def _show(found: list[Json]) -> None:
    rows = []
    for job in found:
        when = moment(job["finished_at"] or job["updated_at"])
        told = standing(job) + (" (uploaded again since)" if job["superseded"] else "")
        rows.append((job["id"], job["document_id"], job["filename"], job["step"], job["attempts"], when, told))
    table(("ID", "DOCUMENT", "FILE", "STEP", "TRIES", "WHEN", "STATUS"), rows)


@jobs.command("retry")
def retry(
    ids: Ids = None,
    every: Annotated[bool, typer.Option("--all", help="Every failed job that the options choose.")] = False,
    status: Annotated[str | None, typer.Option(help="With --all: failed, cancelled or both.")] = None,
    step: Step = None,
    code: Code = None,
    document: Document = None,
    collection: Collection = None,
    after: After = None,
    before: Before = None,
) -> None:
    """Drive failed or cancelled jobs on, each from the step it stopped at.

    Exit codes: 0 all of them, 1 some could not be, 2 wrong usage.
    """
    wanted = _filters(step, code, document, collection, after, before)
    if status:
        wanted["status"] = several(status)
    if every and not ids:
        _retry_all(wanted)
    elif ids and not every and not wanted:
        _each(ids, "retry")
    else:
        raise typer.BadParameter("give ids; or --all, and options that say which of all")


def _retry_all(wanted: Json) -> None:
    """In calls of a bounded size, for as many as there are now: what fails again is not driven on for ever."""
    from footnote.cli.client import open_api

    with open_api() as api:
        done = api.post("/v1/jobs/retry", {**wanted, "limit": AT_ONCE})
        retried, left = done["retried"], done["remaining"]
        while left > 0 and done["retried"]:
            done = api.post("/v1/jobs/retry", {**wanted, "limit": min(left, AT_ONCE)})
            retried, left = retried + done["retried"], left - done["retried"]
    say(f"{counted(retried, 'job')} driven on.")
    if left > 0:
        say(f"{counted(left, 'job')} could not be just now: the documents are being changed.", err=True)
        raise typer.Exit(FAILED)


@jobs.command("cancel")
def cancel(ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Unfinished jobs.")]) -> None:
    """Stop unfinished jobs.

    Exit codes: 0 all of them, 1 some could not be.
    """
    _each(ids, "cancel")


def _each(ids: list[str], action: str) -> None:
    from footnote.cli.client import open_api

    with open_api() as api:
        refused = [job_id for job_id in ids if not _act(api, job_id, action)]
    if refused:
        raise typer.Exit(FAILED)


def _act(api: "Api", job_id: str, action: str) -> bool:
    from footnote.cli.client import Refused, segment

    try:
        job = api.post(f"/v1/jobs/{segment(job_id)}/{action}")
    except Refused as error:
        if error.status not in (404, 409):
            raise
        say(f"{job_id}  {error.message}", err=True)
        return False
    say(f"{job['id']}  {standing(job)}")
    return True
