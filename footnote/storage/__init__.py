"""The object store: bytes under a key, on local disk or in S3.

Keys are generated, never made from user input. An object's type, hash and size are in Postgres, because stores differ
in the metadata that they store.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from footnote.errors import Invalid
from footnote.storage.local import LocalStore, LocalWriter
from footnote.storage.protocol import UNFINISHED, ObjectWriter, PartsStore, Store
from footnote.storage.s3 import PART, S3Store, S3Writer

__all__ = [
    "PART",
    "UNFINISHED",
    "LocalStore",
    "LocalWriter",
    "ObjectWriter",
    "PartsStore",
    "S3Store",
    "S3Writer",
    "Store",
    "open_store",
    "writing",
]


@asynccontextmanager
async def writing(store: Store, key: str) -> AsyncIterator[ObjectWriter]:
    """A writer that commits when the block ends and aborts when it raises."""
    writer = await store.open_writer(key)
    try:
        yield writer
    except BaseException:
        await asyncio.shield(writer.abort())
        raise
    await writer.commit()


def folder_of(url: str) -> Path:
    """The folder that `file://` names, with its spaces and other characters encoded as in every URL.

    Releases up to 0.1.0 did not decode them: a folder that they made by such a name is used on.
    """
    path = urlsplit(url).path
    decoded, literal = Path(unquote(path)), Path(path)
    return literal if literal.is_dir() and not decoded.is_dir() else decoded


def open_store(url: str, public_endpoint: str | None = None) -> Store:
    """A store by the scheme of its URL: `file:///directory` (`folder_of`) or `s3://bucket/prefix`.

    `public_endpoint`: the address of the S3 server for clients that upload to it directly, if they need another one.
    """
    parts = urlsplit(url)
    match parts.scheme:
        case "file":
            return LocalStore(folder_of(url))
        case "s3":
            return S3Store(parts.netloc, parts.path.strip("/"), public_endpoint)
        case _:
            raise Invalid("bad_setting", f"STORAGE_URL must start with file:// or s3://, not {url!r}")
