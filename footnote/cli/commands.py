"""Commands that call the API and print its reply, as JSON or in words."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footnote.cli.terminal import moment, say, say_json, table

if TYPE_CHECKING:
    from footnote.client import Footnote

Json = dict[str, Any]
Column = str | Callable[[Json], object]  # a field of the object, or what is shown of it
Columns = Mapping[str, Column]  # by title
Show = Callable[[Json], str | None]  # the words for a reply; None if they are printed already
AS_JSON = Parameter(
    *("as_json", Parameter.KEYWORD_ONLY),
    default=typer.Option(False, "--json", help="Print the API's reply."),
    annotation=bool,
)
CONTEXT = Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context)


@dataclass(frozen=True)
class Command:
    """`run` returns the reply and `show` says it in words; with `show` there is `--json`.

    The parameters of `options` stand where `run` has `given`, which is their result.
    """

    name: str
    run: Callable[..., Any]
    show: Show | None = None
    options: Callable[..., Json] | None = None
    help: str | None = None

    def callback(self, *first: Parameter) -> Callable[..., None]:
        """What Typer calls, and reads the parameters from. `first`: a context, where the group itself lists."""
        shared = _parameters(self.options) if self.options else []

        def callback(context: typer.Context | None = None, **values: Any) -> None:
            if context and context.invoked_subcommand:
                return
            as_json = self.show is not None and values.pop("as_json")
            if self.options:
                values["given"] = self.options(**{each.name: values.pop(each.name) for each in shared})
            reply = self.run(**values)
            if self.show:
                show_reply(reply, as_json, self.show)

        own = _parameters(self.run)
        spread = [each for parameter in own for each in (shared if parameter.name == "given" else [parameter])]
        parameters = [*first, *spread, *([AS_JSON] if self.show else [])]
        callback.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # see `inspect`
        callback.__annotations__ = {each.name: each.annotation for each in parameters}
        callback.__doc__ = self.help or self.run.__doc__
        return callback


@dataclass(frozen=True)
class Resource:
    """A group of commands. With a `listing`, the name of the group alone lists."""

    name: str
    panel: str
    commands: Sequence[Command]
    help: str | None = None
    listing: Command | None = None

    def register(self, app: typer.Typer) -> None:
        group = typer.Typer(no_args_is_help=self.listing is None, invoke_without_command=self.listing is not None)
        if self.listing:
            group.callback()(self.listing.callback(CONTEXT))
        else:
            group.info.help = self.help
        for each in self.commands:
            group.command(each.name)(each.callback())
        app.add_typer(group, name=self.name, rich_help_panel=self.panel)


def listing(
    path: str,
    columns: Columns,
    help: str,
    *,
    limit_help: str = "How many.",
    empty: str = "",
    say_more: bool = False,
) -> Command:
    """The newest of a paged list, as a table."""

    def run(limit: Annotated[int, typer.Option(min=1, help=limit_help)] = 50) -> Json:
        return fetch_list(path, limit)

    return Command("list", run, show_list(columns, empty=empty, say_more=say_more), help=help)


def show_list(columns: Columns, *, empty: str = "", say_more: bool = False) -> Show:
    """`empty` is said instead of a table without rows; `say_more`: say so if there are more."""

    def show(found: Json) -> None:
        if empty and not found["data"]:
            say(empty)
            return
        show_table(columns, found["data"])
        if say_more and found["next_cursor"]:
            say(f"The newest {len(found['data'])}; there are more.")

    return show


def call(method: str, path: str, *names: str, body: Json | None = None) -> Json:
    """One request. Each `{}` of the path stands for a name."""
    from footnote.cli.connection import open_api

    with open_api() as api:
        return api.request(method, path, *names, body=body)


def fetch_list(path: str, limit: int, *names: str, **wanted: Any) -> Json:
    """The first items of a paged list, and the cursor of what follows."""
    from footnote.cli.connection import open_api

    with open_api() as api:
        return listed(api, path, limit, *names, **wanted)


def listed(api: "Footnote", path: str, limit: int, *names: str, **wanted: Any) -> Json:
    found: list[Json] = []
    cursor: str | None = None
    for page in api.request_pages(path, *names, limit=limit, params=wanted):
        found, cursor = found + page["data"], page["next_cursor"]
    return {"data": found, "next_cursor": cursor}


def show_reply(reply: Json, as_json: bool, show: Show) -> None:
    if as_json:
        say_json(reply)
    elif (words := show(reply)) is not None:
        say(words)


def show_table(columns: Columns, rows: Sequence[Json]) -> None:
    cells = [[row[each] if isinstance(each, str) else each(row) for each in columns.values()] for row in rows]
    table(list(columns), cells)


def time_of(field: str) -> Column:
    """A time of the API, in this machine's zone."""
    return lambda row: moment(row[field])


def _parameters(function: Callable[..., Any]) -> list[Parameter]:
    """As keywords: one without a default may follow one that has it."""
    parameters = inspect.signature(function).parameters.values()
    return [each.replace(kind=Parameter.KEYWORD_ONLY) for each in parameters]
