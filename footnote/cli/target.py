"""Which server a command talks to, with which key, and where that was configured."""

import re
from dataclasses import dataclass
from pathlib import Path

from footnote.errors import Invalid, Unauthenticated
from footnote.local_stack import user_file
from footnote.settings import Settings


@dataclass(frozen=True)
class Target:
    """`origin`: where the address was found, for messages: "the stack of /home/me/.footnote"."""

    url: str
    key: str | None
    origin: str


def target(settings: Settings) -> Target:
    """The environment takes precedence, then the stack of the data directory, then the per-user file.

    Raises Invalid for a wrong address or file, Unauthenticated for a key that is malformed.
    """
    local = _local(settings)
    known = None if settings.api_url or local else user_file.server()
    if settings.api_url:
        found = Target(settings.api_url, None, "FOOTNOTE_API_URL")
    elif local or known is None:
        found = local or Target(f"http://127.0.0.1:{settings.port}", None, "the default")
    else:
        found = Target(known.url, known.key, f"{user_file.server_file()}, from `footnote {known.by}`")
    if not found.url.startswith(("http://", "https://")):
        raise Invalid("invalid_setting", f"{found.origin} must start with http:// or https://, not {found.url!r}.")
    return Target(found.url, _key(settings, found), found.origin)


def target_with_key(settings: Settings) -> Target:
    """As `target`. Raises Unauthenticated where there is no key, too."""
    found = target(settings)
    if not found.key:
        how = f"set FOOTNOTE_API_KEY, or put one in {key_file(settings)}, or `footnote login`"
        raise Unauthenticated("no_api_key", f"No API key for {found.url} ({found.origin}): {how}.")
    return found


def _local(settings: Settings) -> Target | None:
    """The stack of the data directory, running or not; None if there is no such directory."""
    from footnote.local_stack.lock import holder

    directory = settings.data_dir.expanduser()
    if "data_dir" not in settings.model_fields_set and not directory.is_dir():
        return None
    url = holder(settings.data_dir).get("url") or f"http://127.0.0.1:{settings.port}"
    return Target(url, None, f"the stack of {directory.absolute()}")


def _key(settings: Settings, found: Target) -> str | None:
    if settings.api_key:
        return checked(settings.api_key, "FOOTNOTE_API_KEY")
    if found.key:
        return checked(found.key, found.origin)
    path = key_file(settings)
    try:
        return checked(path.read_text(), str(path))
    except FileNotFoundError:
        return _key_of(found.url)
    except (OSError, ValueError) as error:
        raise Unauthenticated("no_api_key", f"The API key in {path} cannot be read: {error}.") from error


def _key_of(url: str) -> str | None:
    """The key of the per-user file, for its own server only."""
    known = user_file.server()
    return checked(known.key, str(user_file.server_file())) if known and known.url == url.rstrip("/") else None


def checked(key: str, origin: str) -> str:
    """Raises Unauthenticated for what a header cannot carry."""
    key = key.strip()
    if not re.fullmatch(r"[!-~]+", key):
        raise Unauthenticated("invalid_api_key", f"What {origin} holds is not an API key.")
    return key


def key_file(settings: Settings) -> Path:
    return settings.data_dir.expanduser() / "api_key"
