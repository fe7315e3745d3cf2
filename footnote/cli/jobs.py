"""`jobs`: which run, what others wait for, and why some failed."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from footnote.cli.commands import Columns, Command, Json, Resource, fetch_list, show_list
from footnote.cli.terminal import counted, moment, say, status_line

if TYPE_CHECKING:
    from footnote.client import Footnote

FAILED = 1
AT_ONCE = 1000


def _filters(
    step: Annotated[str | None, typer.Option(help="At these steps: chunk, embed, upsert.")] = None,
    code: Annotated[str | None, typer.Option(help="With these error codes: provider_rejected,worker_crashed.")] = None,
    document: Annotated[str | None, typer.Option(metavar="ID", help="Of this document.")] = None,
    collection: Annotated[str | None, typer.Option(help="In this collection.")] = None,
    after: Annotated[datetime | None, typer.Option(help="Created after this, in this machine's time zone.")] = None,
    before: Annotated[datetime | None, typer.Option(help="Created before this, in this machine's time zone.")] = None,
) -> Json:
    """The options that were given, with the API's names."""
    given = {
        **{"step": _several(step), "error_code": _several(code), "document_id": document, "collection": collection},
        "created_after": after and after.astimezone().isoformat(),
        "created_before": before and before.astimezone().isoformat(),
    }
    return {name: value for name, value in given.items() if value}


def _several(text: str | None) -> list[str]:
    return [each.strip() for each in (text or "").split(",") if each.strip()]


def _list(
    *,
    status: Annotated[str | None, typer.Option(help="Only these, with commas between: failed,waiting.")] = None,
    given: Json,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
) -> Json:
    """List jobs, newest first, with what each waits for or why it failed; `--status failed` is the dead-letter view."""
    return fetch_list("/v1/jobs", limit, **_with_status(given, status))


def _with_status(given: Json, status: str | None) -> Json:
    return given | ({"status": _several(status)} if status else {})


def _retry(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Jobs.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every failed job that the options choose.")] = False,
    status: Annotated[str | None, typer.Option(help="With --all: failed, cancelled or both.")] = None,
    *,
    given: Json,
) -> None:
    """Retry failed or cancelled jobs, each from the step where it stopped.

    Exit codes: 0 all are requeued, 1 some could not be requeued, 2 wrong usage.
    """
    wanted = _with_status(given, status)
    if every and not ids:
        _retry_all(wanted)
    elif ids and not every and not wanted:
        _each(ids, "retry")
    else:
        raise typer.BadParameter("Give ids; or --all, with options that choose among all.")


def _retry_all(wanted: Json) -> None:
    """In calls of bounded size, for as many as there are now: what fails again at once is not retried forever."""
    from footnote.cli.connection import open_api

    with open_api() as api:
        done = api.request("POST", "/v1/jobs/retry", body={**wanted, "limit": AT_ONCE})
        retried, left = done["retried"], done["remaining"]
        while left > 0 and done["retried"]:
            done = api.request("POST", "/v1/jobs/retry", body={**wanted, "limit": min(left, AT_ONCE)})
            retried, left = retried + done["retried"], left - done["retried"]
    say(f"{counted(retried, 'job')} requeued.")
    if left > 0:
        say(f"{counted(left, 'job')} could not be requeued now: their documents are being changed.", err=True)
        raise typer.Exit(FAILED)


def _cancel(ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Unfinished jobs.")]) -> None:
    """Stop unfinished jobs.

    Exit codes: 0 all are cancelled, 1 some could not be cancelled.
    """
    _each(ids, "cancel")


def _each(ids: list[str], action: str) -> None:
    from footnote.cli.connection import open_api

    with open_api() as api:
        refused = [job_id for job_id in ids if not _act(api, job_id, action)]
    if refused:
        raise typer.Exit(FAILED)


def _act(api: "Footnote", job_id: str, action: str) -> bool:
    from footnote.client import ConflictError, UnknownIdError

    try:
        job = api.request("POST", f"/v1/jobs/{{}}/{action}", job_id)
    except (ConflictError, UnknownIdError) as error:
        say(f"{job_id}  {error}", err=True)
        return False
    say(f"{job['id']}  {status_line(job)}")
    return True


COLUMNS: Columns = {
    **{"ID": "id", "DOCUMENT": "document_id", "FILE": "filename", "STEP": "step", "TRIES": "attempts"},
    "WHEN": lambda job: moment(job["finished_at"] or job["updated_at"]),
    "STATUS": lambda job: status_line(job) + (" (uploaded again since)" if job["superseded"] else ""),
}
JOBS = Resource(
    "jobs",
    "Documents",
    listing=Command("list", _list, show_list(COLUMNS, empty="No jobs.", say_more=True), _filters),
    commands=[Command("retry", _retry, options=_filters), Command("cancel", _cancel)],
)
