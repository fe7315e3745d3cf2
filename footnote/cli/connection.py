"""The server as a command sees it: a client whose errors are said in the words of the command line."""

from collections.abc import Iterator
from contextlib import contextmanager

from footnote.cli.option_names import with_options
from footnote.cli.target import Target, target, target_with_key
from footnote.client import ApiError, Footnote, ServerUnreachableError
from footnote.client.clients import is_loopback
from footnote.errors import FootnoteError, Invalid
from footnote.settings import Settings

PATIENCE_SECONDS = 300.0  # long enough for a restart or an upgrade of the server


@contextmanager
def open_api() -> Iterator[Footnote]:
    """The server of the environment, or the stack of the data directory, or the server of the per-user file."""
    settings = Settings()
    found = target(settings)
    with connected(found) as api:
        if not found.key:
            api.request("GET", "/healthz")  # a server that was never started is the likelier reason
        target_with_key(settings)
        yield api


@contextmanager
def connected(found: Target) -> Iterator[Footnote]:
    """Each call is tried once. Raises FootnoteError, with one sentence for a person, instead of the client's errors."""
    try:
        api = Footnote(found.url, found.key, patience=0)
    except ValueError as error:
        raise Invalid("invalid_setting", f"{found.origin}: {error}") from error
    try:
        with api:
            yield api
    except ServerUnreachableError as error:
        raise FootnoteError(error.code, _not_running(error, found)) from error
    except ApiError as error:
        raise FootnoteError(error.code, with_options(str(error), error.fields)) from error


def _not_running(error: ServerUnreachableError, found: Target) -> str:
    where = f"{found.url.rstrip('/')} ({found.origin})"
    if is_loopback(found.url):
        how = "Start it with `footnote up`, or name another server with `footnote login`."
        return f"Footnote is not running at {where}. {how}"
    return f"Footnote cannot be reached at {where}: {error.__cause__ or 'no connection'}."
