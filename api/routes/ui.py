"""The web page: one HTML file at each of its addresses, and the files that it names, below a hash of them all."""

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response

from api import page_script
from footnote.errors import NotFound
from footnote.settings import Settings

router = APIRouter(include_in_schema=False)

STATIC = Path(__file__).parents[1] / "static" / "ui"
INDEX = "index.html"
FIRST = "src/theme.js"  # a script of its own, before the first paint
START, SCRIPT = "src/main.js", "page.js"  # the module that starts the page; all modules as one script
# Text of documents is on this page. The browser itself refuses to make HTML or code of a string.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
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
        return cls.of(path.name, path.read_bytes())

    @classmethod
    def of(cls, name: str, content: bytes) -> "StaticFile":
        packed = gzip.compress(content, mtime=0)
        guessed = TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "text/plain"
        return cls(content, guessed, packed if len(packed) < 0.9 * len(content) else None)


@cache
def files() -> tuple[str, Mapping[str, StaticFile]]:
    """A hash of all files, and each by its path. The page names the hash, so its files may be stored without end."""
    paths = {str(path.relative_to(STATIC)): path for path in sorted(STATIC.rglob("*")) if path.is_file()}
    modules = {name for name in paths if name.startswith("src/") and name != FIRST}
    found = {name: StaticFile.read(path) for name, path in paths.items() if name not in modules}
    sources = {name: path.read_text() for name, path in paths.items() if path.suffix == ".js"}
    found[SCRIPT] = StaticFile.of(SCRIPT, page_script.joined(sources, START).encode())
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
@router.get("/library")
@router.get("/d/{rest:path}")
async def page(request: Request) -> Response:
    """The page at each of its addresses; what it shows there is decided in the browser."""
    headers = {
        "Content-Security-Policy": policy(request.app.state.runtime.settings),
        "Referrer-Policy": "same-origin",
    }  # pictures say by it that they are ours (`api.browser`)
    return Response(_page(), media_type="text/html", headers=headers)


def policy(settings: Settings) -> str:
    """Large files go straight to an object store of S3, whose address is allowed, too; a bucket may be a part of it.

    Where it is another, or lets no page in, they go through the API after all (`upload_requests.js`).
    """
    if not settings.storage_location.startswith("s3://"):
        return POLICY
    named = urlsplit(settings.s3_public_endpoint_url or "https://amazonaws.com")
    store = f"{named.scheme}://{named.netloc} {named.scheme}://*.{named.netloc}"
    return POLICY.replace("connect-src 'self'", f"connect-src 'self' {store}")


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
