"""How large the body of a route may be, and how long it may take. A route that differs from the default says so."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from footnote.documents.presigned_uploads import PART_BYTES
from footnote.settings import Settings

MAX_TEXT_BYTES = 4 * 1024 * 1024
MULTIPART_OVERHEAD = 128 * 1024  # boundaries, part headers and small fields beside the files

Route = TypeVar("Route", bound=Callable[..., object])


@dataclass(frozen=True)
class BodyLimit:
    """`of` gives the largest size in bytes.

    A body that `is_streamed` may take any time as long as bytes arrive. If it is `checked_by_route`, the route itself
    refuses a body that declares too large a size, because it can log the name of the file and its tenant.
    """

    of: Callable[[Settings], int]
    is_streamed: bool = False
    checked_by_route: bool = False


def _text(settings: Settings) -> int:
    return max(MAX_TEXT_BYTES, settings.max_json_bytes)


def _file(settings: Settings) -> int:
    return settings.max_upload_bytes + MULTIPART_OVERHEAD


JSON = BodyLimit(lambda settings: settings.max_json_bytes)
TEXT = BodyLimit(_text)
FILE = BodyLimit(_file, is_streamed=True, checked_by_route=True)
FILES = BodyLimit(_file, is_streamed=True)
PART = BodyLimit(lambda _settings: PART_BYTES + MULTIPART_OVERHEAD, is_streamed=True)


def takes(limit: BodyLimit) -> Callable[[Route], Route]:
    """Decorates a route whose body has another limit than `JSON`."""

    def mark(route: Route) -> Route:
        route.body_limit = limit  # type: ignore[attr-defined]
        return route

    return mark


def limit_of(route: Callable[..., object]) -> BodyLimit:
    return getattr(route, "body_limit", JSON)
