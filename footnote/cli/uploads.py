"""Files that become documents: found, sent a few at a time, followed until each is ready or failed."""

import glob
import hashlib
import os
import queue
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from footnote.cli.connection import PATIENCE_SECONDS
from footnote.cli.identity import candidates
from footnote.cli.option_names import with_options
from footnote.cli.progress import Progress
from footnote.client import (
    AddedDocument,
    ApiError,
    AuthenticationError,
    DocumentOptions,
    Footnote,
    PermissionDeniedError,
    ServerUnreachableError,
    StoredDocument,
    UnknownIdError,
)

Json = dict[str, Any]

SENT_AT_ONCE = 4
BETWEEN_LOOKS = 0.05  # seconds: thousands of files must not cost the API thousands of requests a second
FIRST_PAUSE = 0.3
LONGEST_PAUSE = 2.0
_OVER = {"ready", "failed", "cancelled"}
_OF_THE_SYSTEM = {".ds_store", "thumbs.db", "desktop.ini"}


@dataclass(eq=False)
class FileUpload:
    """One file. `document` is the API's, once it was accepted; `error` has `code` and `message`."""

    path: Path
    started: float = field(default_factory=time.monotonic)
    document: Json | None = None
    job_id: str | None = None
    deduplicated: bool = False
    status: str = "failed"
    error: Json | None = None
    seconds: float = 0.0
    pause: float = FIRST_PAUSE
    due: float = 0.0

    @property
    def over(self) -> bool:
        return self.status in _OVER

    def end(self, status: str, error: Json | None = None) -> None:
        self.status, self.error = status, error
        self.seconds = round(time.monotonic() - self.started, 1)

    @property
    def refused(self) -> bool:
        """The file was not accepted: there is no document of it."""
        return self.document is None

    def refuse(self, error: ApiError) -> None:
        self.end("failed", {"code": error.code, "message": with_options(error.message, error.fields)})


@dataclass(frozen=True)
class Skipped:
    """A file of a folder that is not sent, and why."""

    path: Path
    reason: str


def find(names: Sequence[str], suffixes: set[str]) -> tuple[list[Path], list[Skipped]]:
    """The files that arguments name, each once: files as they are, directories with the files in them that have
    one of `suffixes`, and patterns; and what else the directories contain. Raises `FileNotFoundError` with the
    argument that names nothing.
    """
    found: dict[Path, Path] = {}
    skipped: dict[Path, Skipped] = {}
    for name in names:
        files = 0
        for each in _named(name, suffixes):
            if isinstance(each, Skipped):
                skipped.setdefault(each.path.absolute(), each)
                files += each.path == Path(name).expanduser()
            else:
                found.setdefault(each.resolve(), each)
                files += 1
        if not files:
            raise FileNotFoundError(name)
    for file in found.values():
        skipped.pop(file.absolute(), None)
    return list(found.values()), list(skipped.values())


def _named(name: str, suffixes: set[str]) -> Iterator[Path | Skipped]:
    path = Path(name).expanduser()
    if path.is_dir():
        yield from _inside(path, suffixes)
    elif path.is_file():
        yield _wanted(path)
    else:
        for match in sorted(glob.glob(str(path), recursive=True)):  # noqa: PTH207  patterns may be absolute
            yield from _inside(Path(match), suffixes)
            if Path(match).is_file():
                yield _wanted(Path(match))


def _wanted(path: Path) -> Path | Skipped:
    """A file that was named, or found by a pattern (ours or the shell's)."""
    reason = _left_by_programs(path)
    return Skipped(path, reason) if reason else path


def _left_by_programs(path: Path) -> str | None:
    name = path.name.lower()
    if name.startswith(("~$", ".~lock.")):
        return "a lock file of a program that has the document open"
    return "a file of the operating system" if name in _OF_THE_SYSTEM else None


def _inside(directory: Path, suffixes: set[str]) -> Iterator[Path | Skipped]:
    closed: list[OSError] = []
    for folder, directories, files in os.walk(directory, onerror=closed.append):
        here = [Path(folder, name) for name in sorted(directories)]
        yield from (Skipped(each, reason) for each in here if (reason := _hidden(each)))
        directories[:] = [each.name for each in here if not _hidden(each)]
        for path in (Path(folder, name) for name in sorted(files)):
            reason = _left_by_programs(path) or _hidden(path) or _unwanted(path, suffixes)
            yield Skipped(path, reason) if reason else path
    yield from (Skipped(Path(error.filename), error.strerror or str(error)) for error in closed)


def _hidden(path: Path) -> str | None:
    if path.name.startswith("."):
        return "hidden"
    # It may lead out of the folder, to files that the user did not mean to add.
    return "a link" if path.is_symlink() else None


def _unwanted(path: Path, suffixes: set[str]) -> str | None:
    if not path.is_file():
        return "not a file"
    return None if path.suffix.lower() in suffixes else "not of a supported type"


class Ingestion:
    """Sends `paths` from a few threads; iterating follows them and yields each `Upload` that is over.

    Without `wait` an upload is over when it was accepted. Raises what `ends_all`.
    """

    def __init__(
        self,
        api: Footnote,
        paths: Sequence[Path],
        fields: DocumentOptions,
        progress: Progress,
        external_ids: Mapping[Path, str] | None = None,
        *,
        by_path: bool = False,
    ) -> None:
        self._api, self._fields, self._progress = api, fields, progress
        self._external_ids, self._by_path = external_ids or {}, by_path
        self._same_bytes: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)  # by their hash
        self._todo: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for path in paths:
            self._todo.put(path)
        self._unsent = len(paths)
        self._sent: queue.SimpleQueue[FileUpload | Exception] = queue.SimpleQueue()
        self._followed: deque[FileUpload] = deque()  # the first is looked at next
        self._rested = 0.0

    def run(self, *, wait: bool) -> Iterator[FileUpload]:
        for _ in range(min(SENT_AT_ONCE, self._unsent)):
            # Daemons: an interrupt must not wait until a large file is through.
            threading.Thread(target=self._send_all, daemon=True).start()
        while self._unsent or self._followed:
            for upload in self._arrived():
                if wait and not upload.over:
                    self._followed.appendleft(upload)
                else:
                    yield upload
            yield from self._look()

    def left(self) -> tuple[int, int]:
        """How many files are accepted but not finished, and how many are not accepted yet."""
        while not self._sent.empty():
            arrived = self._sent.get()
            if isinstance(arrived, FileUpload):
                self._unsent -= 1
                self._followed += [] if arrived.over else [arrived]
        return len(self._followed), self._unsent

    def _arrived(self) -> Iterable[FileUpload]:
        """Uploads that were sent meanwhile; waits at most until the next look at a followed one."""
        timeout = max(0.0, self._next_look - time.monotonic()) if self._followed else None
        if not self._unsent:
            time.sleep(timeout or 0.0)
            return
        try:
            arrived = self._sent.get(timeout=timeout)
        except queue.Empty:
            return
        if isinstance(arrived, Exception):
            raise arrived
        self._unsent -= 1
        yield arrived

    def _send_all(self) -> None:
        while True:
            try:
                path = self._todo.get_nowait()
            except queue.Empty:
                return
            try:
                self._sent.put(self._send(path))
            except Exception as error:  # raised again in the command's thread, which would otherwise wait
                self._sent.put(error)
                return

    def _send(self, path: Path) -> FileUpload:
        upload = FileUpload(path)
        try:
            with self._identified(path) as own:
                reply = self._sent_whole(path, self._fields | own)
        except OSError as error:
            upload.end("failed", {"code": "unreadable", "message": error.strerror or str(error)})
        except ApiError as error:
            if ends_all(error):
                raise
            upload.refuse(error)
        else:
            upload.document, upload.job_id, upload.deduplicated = reply.document.raw, reply.job.id, reply.deduplicated
            upload.end(reply.document.status, upload.document["error"])
        self._progress.sent(path)
        return upload

    def _sent_whole(self, path: Path, fields: DocumentOptions) -> AddedDocument:
        size = path.stat().st_size
        return self._patient(path).add(path, on_sent=lambda sent: self._progress.sending(path, sent, size), **fields)

    @contextmanager
    def _identified(self, path: Path) -> Iterator[DocumentOptions]:
        """The file's own fields. Of several files with the same bytes one is sent first, and the others find it."""
        if path in self._external_ids or not self._by_path:
            yield {"external_id": self._external_ids[path]} if path in self._external_ids else {}
            return
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with self._same_bytes[digest]:
            yield self._known_as(path, digest)

    def _known_as(self, path: Path, digest: str) -> DocumentOptions:
        """A file with a known path becomes a new version; one with known bytes is their document."""
        known = candidates(path)
        for external_id in known:
            if self._listed(path, external_id=external_id):
                return {"external_id": external_id}
        if any(document.sha256 == digest for document in self._listed(path, sha256=digest)):
            return {}
        return {"external_id": known[0]}

    def _listed(
        self, path: Path, external_id: str | None = None, sha256: str | None = None
    ) -> Sequence[StoredDocument]:
        collection, documents = self._fields.get("collection", "default"), self._patient(path).documents
        try:
            return list(documents.list(collection=collection, external_id=external_id, sha256=sha256, limit=1))
        except (PermissionDeniedError, UnknownIdError):  # the key may add and not read; or the collection is new
            return []

    @property
    def _next_look(self) -> float:
        return max(self._rested, self._followed[0].due)

    def _look(self) -> Iterator[FileUpload]:
        if not self._followed or time.monotonic() < self._next_look:
            return
        upload = self._followed[0]
        self._look_at(upload)
        self._rested = time.monotonic() + BETWEEN_LOOKS
        self._followed.popleft()
        if upload.over:
            yield upload
        else:
            self._followed.append(upload)

    def _look_at(self, upload: FileUpload) -> None:
        assert upload.document is not None
        documents, document_id = self._patient(upload.path).documents, upload.document["id"]
        try:
            status = documents.status(document_id).raw
            upload.end(status["status"], status["error"])
            if upload.over:
                upload.document = documents.get(document_id).raw
            else:
                self._progress.show_status(upload.path, status)
        except UnknownIdError as error:  # deleted meanwhile
            upload.refuse(error)
        upload.due = time.monotonic() + upload.pause
        upload.pause = min(upload.pause * 1.5, LONGEST_PAUSE)

    def _patient(self, path: Path) -> Footnote:
        """The client, waiting for an unavailable server, which is shown at this file."""
        return self._api.with_patience(
            PATIENCE_SECONDS, lambda pause, error: self._progress.holding(path, pause, str(error))
        )


def ends_all(error: ApiError) -> bool:
    """Whether no other file would pass."""
    return isinstance(error, ServerUnreachableError | AuthenticationError | PermissionDeniedError)
