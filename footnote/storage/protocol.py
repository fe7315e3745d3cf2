"""The protocols of object stores."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

PIECE = 1024 * 1024
UNFINISHED = ".part"  # keys have one writer each, so one name for its unfinished file is enough


class ObjectWriter(Protocol):
    """An object being written; it appears whole at `commit` or not at all."""

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """`last`: nothing follows but `commit`, so that a small object can be written at once."""
        ...

    async def commit(self) -> None: ...
    async def abort(self) -> None: ...


class Store(Protocol):
    """Raises Unavailable when the store cannot be reached, DocumentRejected(object_missing) for unknown keys."""

    async def open_writer(self, key: str) -> ObjectWriter: ...
    def read(self, key: str) -> AsyncGenerator[bytes, None]: ...
    def local_copy(self, key: str) -> AbstractAsyncContextManager[Path]:
        """A file with the object's bytes, for libraries that need one; read only."""
        ...

    async def exists(self, key: str) -> bool: ...
    async def delete(self, key: str) -> None:
        """Removes the object, and unfinished writes of it. An unknown key is no error."""
        ...

    def keys(self, folder: str) -> AsyncIterator[str]:
        """The keys that start with `folder/`, and those of unfinished writes with UNFINISHED behind them."""
        ...

    async def check(self) -> None: ...

    @property
    def parts(self) -> "PartsStore | None":
        """None if only Footnote can write to the store."""
        ...


class PartsStore(Protocol):
    """Objects that clients write, in parts, at signed addresses.

    Such an object does not exist before its parts are joined, and cannot be written to afterwards.
    """

    async def begin(self, key: str) -> str:
        """The id of the write, needed to sign and to join its parts."""
        ...

    async def sign(self, key: str, write: str, sizes: Sequence[int], seconds: int) -> list[str]:
        """The addresses for PUT of each part, with exactly as many bytes as `sizes` says, valid for `seconds`."""
        ...

    async def join(self, key: str, write: str, sizes: Sequence[int]) -> None:
        """Makes the object, unless it exists already.

        Raises Conflict(upload_incomplete) while parts are missing, Invalid(size_mismatch) if one has another size.
        """
        ...
