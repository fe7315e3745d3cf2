"""The API's documentation for people: Swagger UI from an installed package. It loads nothing from the web."""

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse

from footnote.errors import NotFound

router = APIRouter(include_in_schema=False)

STATIC = Path(__file__).parents[1] / "static"
CACHED = {"Cache-Control": "public, max-age=3600"}
# Swagger UI has its icons as data, and sends requests to this API.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


@router.get("/docs")
async def page() -> FileResponse:
    return FileResponse(STATIC / "docs.html", headers={"Content-Security-Policy": POLICY})


@router.get("/openapi.json")
def openapi(request: Request) -> JSONResponse:
    """Not async: it takes half a second to make, so it runs in a thread."""
    return JSONResponse(request.app.openapi())


@router.get("/docs/docs.js")
async def script() -> FileResponse:
    return FileResponse(STATIC / "docs.js", headers=CACHED)


@router.get("/docs/{name}")
async def viewer(name: Literal["swagger-ui-bundle.js", "swagger-ui.css"]) -> FileResponse:
    # Only its files are needed, so it is not imported.
    package = find_spec("fastapi_offline")
    if package is None or package.origin is None:
        raise NotFound("not_found", "The package that holds the viewer is not installed.")
    return FileResponse(Path(package.origin).parent / "static" / name, headers=CACHED)
