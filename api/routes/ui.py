"""The web page: one HTML file at each of its addresses, and the files that it names, below a hash of them all."""

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response

from footnote.errors import NotFound

router = APIRouter(include_in_schema=False)

STATIC = Path(__file__).parents[1] / "static" / "ui"
INDEX = "index.html"
# Text of documents is on this page. The browser itself refuses to make HTML or code of a string.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
# `same-origin`: over http to another host, a picture's request says by its `Referer` that it is ours (`api.browser`).
PAGE_HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}
FILE_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
TYPES = {".js": "text/javascript", ".css": "text/css", ".woff2": "font/woff2"}


@dataclass(frozen=True)
class StaticFile:
    """A file of the page; `gzipped` if that is smaller."""

    content: bytes
    media_type: str
    gzipped: bytes | None

    @classmethod
    def read(cls, path: Path) -> "StaticFile":
        content = path.read_bytes()
        packed = gzip.compress(content, mtime=0)
        guessed = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain"
        return cls(content, guessed, packed if len(packed) < 0.9 * len(content) else None)


@cache
def files() -> tuple[str, Mapping[str, StaticFile]]:
    """A hash of all files, and each by its path. The page names the hash, so its files may be stored without end."""
    found = {
        str(path.relative_to(STATIC)): StaticFile.read(path) for path in sorted(STATIC.rglob("*")) if path.is_file()
    }
    whole = hashlib.sha256()
    for name, file in found.items():
        whole.update(f"{name}\0{len(file.content)}\0".encode() + file.content)
    return whole.hexdigest()[:16], found


@cache
def _page() -> bytes:
    version, found = files()
    return found[INDEX].content.replace(b"{hash}", version.encode())


@router.get("/")
@router.get("/enter")
@router.get("/queue")
@router.get("/c/{rest:path}")
@router.get("/d/{rest:path}")
async def page() -> Response:
    """The page at each of its addresses; what it shows there is decided in the browser."""
    return Response(_page(), media_type="text/html", headers=PAGE_HEADERS)


@router.get("/ui/{version}/{path:path}")
async def file(version: str, path: str, request: Request) -> Response:
    now, found = files()
    wanted = found.get(path)
    if version != now or wanted is None or path == INDEX:
        raise NotFound("not_found", "There is no such file of the page.")
    if wanted.gzipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        headers = FILE_HEADERS | {"Content-Encoding": "gzip"}
        return Response(wanted.gzipped, media_type=wanted.media_type, headers=headers)
    return Response(wanted.content, media_type=wanted.media_type, headers=FILE_HEADERS)
