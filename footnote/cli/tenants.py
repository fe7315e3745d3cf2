"""`tenants`: for the operator, on the database itself."""

import asyncio
import json
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footnote.cli.processes import with_database
from footnote.cli.terminal import moment, say, say_json, table

if TYPE_CHECKING:
    from footnote.models import BackgroundTask

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

tenants = typer.Typer(
    help="Tenants, for the operator: on DATABASE_URL, or the running local stack.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    app.add_typer(tenants, name="tenants", rich_help_panel="Server")


@tenants.command("create")
def create_tenant(
    name: str, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Create a tenant; prints its id and its first API key, which is not shown again."""
    from footnote.operations import bootstrap

    tenant_id, secret = asyncio.run(bootstrap.create_tenant(with_database(), name))
    if as_json:
        typer.echo(json.dumps({"id": tenant_id, "name": name, "api_key": secret}))
    else:
        typer.echo(f"{tenant_id}\n{secret}")


@tenants.command("set-quota")
def set_quota(
    name: str,
    documents: Annotated[int | None, typer.Option(help="Documents; 0, here and below: no limit.", min=0)] = None,
    bytes_: Annotated[int | None, typer.Option("--bytes", help="Bytes of its documents, as uploaded.", min=0)] = None,
    tokens: Annotated[int | None, typer.Option(help="Tokens a month.", min=0)] = None,
    usd: Annotated[float | None, typer.Option(help="US dollars a month.", min=0.0)] = None,
    default: Annotated[
        bool, typer.Option("--default", help="Reset what is not given to the configured quota.")
    ] = False,
) -> None:
    """Set a tenant's quotas; prints those that are its own."""
    given = {"documents": documents, "bytes": bytes_, "tokens": tokens, "usd": usd}
    changes = {key: None if value is None else Decimal(str(value)) for key, value in given.items()}
    changes = {key: value for key, value in changes.items() if default or value is not None}
    typer.echo(json.dumps(asyncio.run(_set_quota(name, changes))))


async def _set_quota(name: str, changes: dict[str, Decimal | None]) -> dict[str, str]:
    from footnote.runtime import open_runtime
    from footnote.tenancy import quotas

    async with open_runtime(with_database(), pool_size=1) as rt, rt.as_actor("operator").transaction() as session:
        return await quotas.change(session, name, changes)


@tenants.command("secret")
def webhook_secret(name: str) -> None:
    """Print the secret that signs a tenant's webhooks."""
    from footnote.operations import bootstrap

    typer.echo(asyncio.run(bootstrap.webhook_secret(with_database(), name)))


@tenants.command("list")
def list_tenants(
    deleted: Annotated[bool, typer.Option("--deleted", help="Show the receipts of deleted tenants instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """List tenants with their documents and bytes, oldest first."""
    found = asyncio.run(_receipts() if deleted else _held())
    if as_json:
        say_json(found)
    elif deleted:
        _show(found, "BEGUN", "FINISHED")
    else:
        _show(found, "CREATED", "DELETED")


def _show(found: list[dict[str, Any]], begun: str, ended: str) -> None:
    rows = []
    for each in found:
        times = [moment(each[f"{name.lower()}_at"]) for name in (begun, ended)]
        rows.append([each["id"], *times, *(each["counts"].get(name) for name in ("documents", "bytes")), each["name"]])
    table(["ID", begun, ended, "DOCUMENTS", "BYTES", "NAME"], rows)


async def _held() -> list[dict[str, Any]]:
    from footnote.runtime import open_runtime
    from footnote.tenancy import quotas

    async with open_runtime(with_database(), pool_size=1) as rt, rt.transaction() as session:
        return [
            {"id": tenant.id, "name": tenant.name, "counts": {"documents": documents, "bytes": stored}}
            | {"created_at": _iso_time(tenant.created_at), "deleted_at": _iso_time(tenant.deleted_at)}
            for tenant, documents, stored in await quotas.storage_by_tenant(session)
        ]


async def _receipts() -> list[dict[str, Any]]:
    from footnote.operations import tenant_deletion
    from footnote.runtime import open_runtime

    async with open_runtime(with_database(), pool_size=1) as rt, rt.transaction() as session:
        return [_receipt(each) for each in await tenant_deletion.receipts(session)]


def _receipt(of: "BackgroundTask") -> dict[str, Any]:
    times = {"begun_at": _iso_time(of.created_at), "finished_at": _iso_time(of.finished_at)}
    return {"id": of.tenant_id, "name": of.subject_name, **times, "counts": of.counts}


def _iso_time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


@tenants.command("delete")
def delete_tenant(
    name: str, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False, as_json: AsJson = False
) -> None:
    """Permanently delete a tenant with all its data; prints the receipt.

    Its keys are refused at once. If this is interrupted, the running server finishes it.
    """
    if not yes and typer.prompt(f"All documents, keys and conversations of {name} will be deleted. Its name") != name:
        say("The name is wrong; nothing was deleted.", err=True)
        raise typer.Exit(1)
    receipt = asyncio.run(_delete(name))
    if as_json:
        say_json(receipt)
    else:
        from footnote.documents.deletion import COUNTED

        counts = ", ".join(f"{receipt['counts'][what]} {what}" for what in COUNTED)
        say(f"{receipt['id']} ({receipt['name']}) is deleted: {counts}.")


async def _delete(name: str) -> dict[str, Any]:
    from footnote.operations import tenant_deletion
    from footnote.runtime import open_runtime
    from footnote.tenancy import tenants as domain

    async with open_runtime(with_database(), pool_size=2) as rt:
        async with rt.transaction() as session:
            tenant_id = (await domain.find(session, name)).id
        return _receipt(await tenant_deletion.remove(rt.as_actor("operator"), tenant_id))
