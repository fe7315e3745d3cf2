"""One request: what is sent, and whether it may be sent again."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from footnote.client.shapes import Json

ANSWER_SECONDS = 900.0  # a model may have to be loaded, and then the next one asked


@dataclass(frozen=True)
class SentFile:
    """A file of an upload, which is opened for each try. `on_sent` gets the number of bytes sent."""

    name: str
    source: Path | bytes
    on_sent: Callable[[int], None] | None = None

    def open(self) -> BinaryIO:
        file: BinaryIO = io.BytesIO(self.source) if isinstance(self.source, bytes) else self.source.open("rb")
        return file if self.on_sent is None else _Counted(file, self.on_sent)  # type: ignore[return-value]


class _Counted:
    """A file that reports how far it has been read; rewinding starts the count again."""

    def __init__(self, file: BinaryIO, on_sent: Callable[[int], None]) -> None:
        self._file, self._on_sent = file, on_sent

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self._on_sent(self._file.tell())
        return piece

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@dataclass(frozen=True)
class ApiCall:
    """`repeatable`: sending it twice does what sending it once does. `silence`: seconds, if not the client's.

    `accepted`: a further status, in addition to 2xx, that is an answer.
    """

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Json | None = None
    form: Mapping[str, str] | None = None
    file: SentFile | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    silence: float | None = None
    accepted: int | None = None


def path_of(template: str, *names: str) -> str:
    """Each `{}` stands for a name, which is one segment: a slash in it must not reach another route."""
    return template.format(*(quote(name, safe="") for name in names))


def given(**values: Any) -> Json:
    """Without omitted values; the API has the defaults."""
    return {name: value for name, value in values.items() if value is not None}


def upload_of(
    path: "str | PathLike[str] | None",
    content: bytes | None,
    filename: str | None,
    on_sent: Callable[[int], None] | None,
) -> SentFile:
    """Raises ValueError for bytes without a name, which says what they are."""
    if path is not None:
        name = (filename or Path(path).name).encode("utf-8", "replace").decode()
        return SentFile(name, Path(path), on_sent)
    if content is None or filename is None:
        raise ValueError("Bytes need a filename: its suffix says what they are.")
    return SentFile(filename, content, on_sent)


def form_of(options: Mapping[str, Any]) -> dict[str, str]:
    """Fields of an upload, in addition to its file. `metadata` is JSON."""
    given = {name: value for name, value in options.items() if value is not None}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
