"""`login` and `logout`: which server the commands talk to, in whatever folder they run; `open` shows its page."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from footnote.cli.terminal import say
from footnote.errors import FootnoteError, Invalid

if TYPE_CHECKING:
    from footnote.client import Footnote

Url = Annotated[str | None, typer.Option(help="Address of the server; asked for if it is left out.")]
Key = Annotated[
    str | None, typer.Option(help="API key; asked for if it is left out, so that it is not in the shell's history.")
]


def register(app: typer.Typer) -> None:
    for command in (login, logout):
        app.command(rich_help_panel="Server")(command)
    app.command("open", rich_help_panel="Answers")(open_page)


def login(url: Url = None, key: Key = None) -> None:
    """Choose the server that commands talk to in every folder without a stack of its own.

    Tries address and key, then stores them in ~/.config/footnote/server.json (or under XDG_CONFIG_HOME), for you alone.
    FOOTNOTE_API_URL and FOOTNOTE_API_KEY, and the `.footnote` of the present folder, take precedence.
    """
    from footnote.cli.connection import connected
    from footnote.cli.target import Target, checked
    from footnote.client.clients import is_loopback
    from footnote.local_stack import user_file
    from footnote.settings import Settings

    settings = Settings()
    given = (url or settings.api_url or _asked("URL", hidden=False)).strip().rstrip("/")
    if not given.startswith(("http://", "https://")):
        raise Invalid("invalid_setting", f"The address must start with http:// or https://, not {given!r}.")
    chosen = checked(key or settings.api_key or _asked("API key", hidden=True), "this")
    with connected(Target(given, chosen, "this login")) as api:
        _try(api)
    try:
        path = user_file.remember_server(user_file.StoredServer(given, chosen, "login"))
    except OSError as error:
        raise Invalid("bad_user_file", f"{error.filename} cannot be written: {error.strerror}.") from error
    say(f"Commands use {given} now; {path} has the key.")
    if given.startswith("http://") and not is_loopback(given):
        say("The key is sent unencrypted: use https:// on shared networks.", err=True)


def logout() -> None:
    """Forget the server and the key that `login` or `footnote up` stored."""
    from footnote.local_stack import user_file

    try:
        known = user_file.forget_server()
    except OSError as error:
        raise Invalid("bad_user_file", f"{error.filename} cannot be removed: {error.strerror}.") from error
    say(f"{user_file.server_file()} is removed." if known else "No server was stored.")


def open_page(
    show: Annotated[
        bool, typer.Option("--print", help="Print the address only, for a browser on another machine.")
    ] = False,
) -> None:
    """Open the web page and log in there with the stored key. The address works once and for a minute."""
    from footnote.cli.connection import open_api

    with open_api() as api:
        code = api.request("POST", "/v1/session/codes")["code"]
        address = f"{api.url}/enter#{code}"
    if show or not _shown_in_browser(address):
        say(address)
        say("Open it within a minute; it works once.", err=True)
    else:
        say(f"The page is open in your browser: {api.url}/")


def _shown_in_browser(address: str) -> bool:
    """Whether a browser with a window shows it; one for terminals would hide what this command says."""
    import webbrowser

    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return False
    for_terminals = isinstance(browser, webbrowser.GenericBrowser)
    return not (for_terminals and not isinstance(browser, webbrowser.BackgroundBrowser)) and browser.open(address)


def _try(api: "Footnote") -> None:
    """Raises an error if the address or the key is wrong."""
    from footnote.client import PermissionDeniedError

    try:
        api.request("GET", "/v1/jobs", params={"limit": 1})
    except PermissionDeniedError as error:
        if error.code != "missing_scope":  # then the key is valid, but not for this
            raise


def _asked(what: str, *, hidden: bool) -> str:
    """From the terminal, or from a line of stdin."""
    if sys.stdin.isatty():
        return str(typer.prompt(what, hide_input=hidden))
    if line := sys.stdin.readline().strip():
        return line
    raise FootnoteError("missing_input", f"Give the {what}: --{'key' if hidden else 'url'}.")
