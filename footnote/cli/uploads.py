"""Files on their way to becoming documents: found, sent a few at a time, followed until each is over."""

import glob
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from footnote.cli.client import Api, NotRunning, Refused, patiently
from footnote.cli.progress import Progress
from footnote.errors import FootnoteError

Json = dict[str, Any]

SENT_AT_ONCE = 4
BETWEEN_LOOKS = 0.05  # seconds: thousands of files must cost the API no thousands of requests a second
FIRST_PAUSE = 0.3
LONGEST_PAUSE = 2.0
_OVER = {"ready", "failed", "cancelled"}
_NO_ACCESS = {401, 403}


@dataclass(eq=False)
class Upload:
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

    def refuse(self, error: FootnoteError) -> None:
        message = error.detail if isinstance(error, Refused) else error.message
        self.end("failed", {"code": error.code, "message": message})


@dataclass(frozen=True)
class Skipped:
    """What a folder holds and is not sent, and why."""

    path: Path
    reason: str


def find(names: Sequence[str], suffixes: set[str]) -> tuple[list[Path], list[Skipped]]:
    """The files that arguments name, each once: files as they are, directories with the files in them that have
    one of `suffixes`, and patterns; and what the directories hold beside. Raises `FileNotFoundError` with the
    argument that names nothing.
    """
    found: dict[Path, Path] = {}
    skipped: dict[Path, Skipped] = {}
    for name in names:
        files = 0
        for each in _named(name, suffixes):
            if isinstance(each, Skipped):
                skipped.setdefault(each.path.absolute(), each)
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
        yield path
    else:
        for match in sorted(glob.glob(str(path), recursive=True)):  # noqa: PTH207  patterns may be absolute
            yield from _inside(Path(match), suffixes)
            if Path(match).is_file():
                yield Path(match)


def _inside(directory: Path, suffixes: set[str]) -> Iterator[Path | Skipped]:
    closed: list[OSError] = []
    for place, directories, files in os.walk(directory, onerror=closed.append):
        here = [Path(place, name) for name in sorted(directories)]
        yield from (Skipped(each, reason) for each in here if (reason := _hidden(each)))
        directories[:] = [each.name for each in here if not _hidden(each)]
        for path in (Path(place, name) for name in sorted(files)):
            reason = _hidden(path) or _unwanted(path, suffixes)
            yield Skipped(path, reason) if reason else path
    yield from (Skipped(Path(error.filename), error.strerror or str(error)) for error in closed)


def _hidden(path: Path) -> str | None:
    if path.name.startswith("."):
        return "hidden"
    # It may lead out of the folder, to what nobody meant to add.
    return "a link" if path.is_symlink() else None


def _unwanted(path: Path, suffixes: set[str]) -> str | None:
    if not path.is_file():
        return "not a file"
    return None if path.suffix.lower() in suffixes else "not of a supported type"


class Ingestion:
    """Sends `paths` from a few threads; iterating follows them and yields each `Upload` that is over.

    Without `wait` an upload is over when it was accepted. Raises `NotRunning`, or `Refused` when the key is not
    good, for then no other file would fare better.
    """

    def __init__(
        self,
        api: Api,
        paths: Sequence[Path],
        fields: dict[str, str],
        progress: Progress,
        external_ids: Mapping[Path, str] | None = None,
    ) -> None:
        self._api, self._fields, self._progress = api, fields, progress
        self._external_ids = external_ids or {}
        self._todo: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for path in paths:
            self._todo.put(path)
        self._unsent = len(paths)
        self._sent: queue.SimpleQueue[Upload | Exception] = queue.SimpleQueue()
        self._followed: deque[Upload] = deque()  # the first is looked at next
        self._rested = 0.0

    def run(self, *, wait: bool) -> Iterator[Upload]:
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
        """How many files are accepted and not over, and how many were not accepted yet."""
        while not self._sent.empty():
            arrived = self._sent.get()
            if isinstance(arrived, Upload):
                self._unsent -= 1
                self._followed += [] if arrived.over else [arrived]
        return len(self._followed), self._unsent

    def _arrived(self) -> Iterable[Upload]:
        """What was sent meanwhile; waits for it no longer than until the next look at a followed one."""
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
            except Exception as error:  # raised again where the command is; a silent thread would leave it waiting
                self._sent.put(error)
                return

    def _send(self, path: Path) -> Upload:
        upload, key = Upload(path), uuid4().hex
        own = {"external_id": self._external_ids[path]} if path in self._external_ids else {}
        try:
            size = path.stat().st_size
            reply = patiently(
                lambda: self._api.upload(
                    path, self._fields | own, key, lambda sent: self._progress.sending(path, sent, size)
                ),
                lambda pause, error: self._progress.holding(path, pause, error),
            )
        except OSError as error:
            upload.end("failed", {"code": "unreadable", "message": error.strerror or str(error)})
        except FootnoteError as error:
            if isinstance(error, NotRunning) or (isinstance(error, Refused) and error.status in _NO_ACCESS):
                raise
            upload.refuse(error)
        else:
            upload.document, upload.job_id = reply["document"], reply["job"]["id"]
            upload.deduplicated = reply["deduplicated"]
            upload.end(reply["document"]["status"], reply["document"]["error"])
        self._progress.sent(path)
        return upload

    @property
    def _next_look(self) -> float:
        return max(self._rested, self._followed[0].due)

    def _look(self) -> Iterator[Upload]:
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

    def _look_at(self, upload: Upload) -> None:
        assert upload.document is not None
        place = f"/v1/documents/{upload.document['id']}"
        try:
            status = self._get(upload.path, f"{place}/status")
            upload.end(status["status"], status["error"])
            if upload.over:
                upload.document = self._get(upload.path, place)
            else:
                self._progress.standing(upload.path, status)
        except Refused as error:
            if error.status != 404:
                raise
            # Deleted meanwhile.
            upload.refuse(error)
        upload.due = time.monotonic() + upload.pause
        upload.pause = min(upload.pause * 1.5, LONGEST_PAUSE)

    def _get(self, path: Path, place: str) -> Json:
        return patiently(lambda: self._api.get(place), lambda pause, error: self._progress.holding(path, pause, error))
