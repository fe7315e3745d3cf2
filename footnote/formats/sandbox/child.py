"""The limited process that reads a document, or a few plain ones. It is forked from `fork_server`, or, where that is not possible, runs as
`python -m footnote.formats.sandbox.child OUT PARENT REQUEST`: two descriptors and a `ParseRequest`.

It limits itself, then writes frames (`frames` says which), and ends when its parent has gone. Imports are few: where
there is no fork server, every document pays for them.
"""

import contextlib
import math
import os
import resource
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, astuple, replace
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from footnote.errors import CODES, FootnoteError
from footnote.formats import ParsedPage, is_container, module_for, paginate
from footnote.formats.ocr import Ocr
from footnote.formats.plain.txt import guesses
from footnote.formats.sandbox import frames
from footnote.formats.sandbox.frames import ParseRequest, write
from footnote.text import clean, is_blank

PAGES_PER_CPU_SECOND = 20
CPU_SECONDS_PER_PICTURE = 2  # to draw it; tesseract has a limit of its own
# Read by nothing but Python: a file cannot take over the process, which may therefore read another one of its owner.
_PLAIN = {f"footnote.formats.{name}" for name in ("markup.md", "plain.delimited", "plain.json_values", "plain.txt")}
_MOST = 100  # documents that a process reads
_IDLE_SECONDS = 2.0  # for which it waits for the next one


def _limit(what: int, wanted: int) -> None:
    # macOS refuses some of them; the limit on silence still applies.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(what, _soft(what, wanted))


def _soft(what: int, wanted: int) -> tuple[int, int]:
    """The pair of limits with a new soft one; the hard one stays, because only the soft one can be raised again."""
    hard = resource.getrlimit(what)[1]
    return (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)), hard


def _end_with(parent: socket.socket) -> None:
    """Ends this process when `parent`, on which nothing is ever sent, is closed at the other end."""
    parent.recv(1)
    # With tesseract, if it runs: this process leads a group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def _pages(media_type: str, path: Path, cpu_seconds: int, ocr: Ocr) -> Iterator[ParsedPage]:
    """Pages of the file; the CPU limit grows with them, because a long document is not an attack."""
    module = module_for(media_type)
    drawn = 0
    with guesses() as guessed:
        for page in paginate(module.parse(path, ocr) if hasattr(module, "render") else module.parse(path)):
            yield replace(ocr.mark(page), guesses=tuple(guessed))
            guessed.clear()
            if page.number % PAGES_PER_CPU_SECOND == 0 or ocr.pictures > drawn:
                drawn = ocr.pictures
                allowed = cpu_seconds + page.number // PAGES_PER_CPU_SECOND + CPU_SECONDS_PER_PICTURE * drawn
                _limit(resource.RLIMIT_CPU, allowed)


def _send_pages(out: BinaryIO, media_type: str, path: Path, cpu_seconds: int, ocr: Ocr) -> dict[str, Any]:
    done, has_text = ocr.after, ocr.after > 0
    for page in _pages(media_type, path, cpu_seconds, ocr):
        if page.number <= ocr.after:
            continue  # it had to be read: what a page means may depend on those before it
        head = {"page": page.number, "sections": list(map(astuple, page.sections)), "notes": page.notes}
        head["scan"] = asdict(page.scan) if page.scan else None
        head["guesses"] = [asdict(each) for each in page.guesses]
        write(out, head, page.text.encode())
        done, has_text = page.number, has_text or not is_blank(page.text)
    enough = has_text or is_container(media_type)
    message = ocr.nothing_found() or CODES["no_text"]
    return {"done": done} if enough else {"error": "no_text", "message": message}


def _send_files(out: BinaryIO, media_type: str, path: Path) -> dict[str, Any]:
    done = 0
    for name, pieces in module_for(media_type).unpack(path):
        write(out, {"file": clean(name)})
        for piece in pieces:
            write(out, {"piece": True}, piece)
        done += 1
    return {"done": done}


def _send_picture(out: BinaryIO, media_type: str, path: Path, asked: dict[str, Any]) -> dict[str, Any]:
    write(out, {"picture": True}, module_for(media_type).render(path, **asked))
    return {"done": 1}


def _send_boxes(out: BinaryIO, media_type: str, path: Path, asked: dict[str, Any]) -> dict[str, Any]:
    write(out, {"boxes": module_for(media_type).boxes(path, **asked)})
    return {"done": 1}


def _failure(error: BaseException) -> dict[str, Any]:
    """The error that a failed parse is reported as: a limit, our installation, or else the document is the cause."""
    if isinstance(error, FootnoteError):
        return {"error": error.code, "message": error.message}
    code = "corrupt_file"
    if isinstance(error, (MemoryError, RecursionError)):
        code = "too_complex"
    elif isinstance(error, ImportError):
        code = "internal_error"
    return {"error": code, "message": CODES[code], "detail": f"{type(error).__name__}: {error}"[:500]}


def _answer(out: BinaryIO, request: ParseRequest) -> dict[str, Any]:
    """Sends what is asked for; the last frame is for the caller to send."""
    media_type, path = request.media_type, Path(request.path)
    match request.what:
        case "pages":
            return _send_pages(out, media_type, path, request.cpu_seconds, Ocr(**request.options))
        case "files":
            return _send_files(out, media_type, path)
        case "picture":
            return _send_picture(out, media_type, path, request.options)
        case "boxes":
            return _send_boxes(out, media_type, path, request.options)
    raise ValueError(request.what)


def _answered(out: BinaryIO, request: ParseRequest, *, last: bool) -> bool:
    """Whether the process waits for another document, which the last frame says."""
    write(out, {"begun": True})
    try:
        end = _answer(out, request)
    except ConnectionError:
        raise  # the parent has gone, or wants no more
    except BaseException as error:
        end = _failure(error)
    waits = not last and "done" in end and module_for(request.media_type).__name__ in _PLAIN
    write(out, {**end, "waits": True} if waits else end)
    return waits


def _next(out: BinaryIO) -> ParseRequest | None:
    """The next request, whose time on the processor begins now; None if none comes soon.

    The parent cannot time it: its event loop rests between two messages.
    """
    if not select.select([out], [], [], _IDLE_SECONDS)[0] or (request := frames.next_request(out.fileno())) is None:
        return None
    spent = math.ceil(time.process_time())
    _limit(resource.RLIMIT_CPU, spent + request.cpu_seconds)
    return replace(request, cpu_seconds=spent + request.cpu_seconds)


def run(first: ParseRequest, out: BinaryIO, parent: socket.socket, preloaded_bytes: int = 0) -> NoReturn:
    """Answers the request, and others that follow on `out`, and ends this process.

    Address space that preloaded libraries fill does not count.
    """
    request: ParseRequest | None = first
    try:
        os.nice(5)
        _limit(resource.RLIMIT_CPU, first.cpu_seconds)
        _limit(resource.RLIMIT_AS, first.memory_bytes + preloaded_bytes)
        _limit(resource.RLIMIT_CORE, 0)
        os.environ.clear()
        os.environ.update(first.environment)
        threading.Thread(target=_end_with, args=[parent], daemon=True).start()
        for left in reversed(range(_MOST)):
            if request is None or not _answered(out, request, last=not left):
                break
            request = _next(out)
        # Without the interpreter's clean-up: nothing is left to do, and PDFium may crash in it.
        os._exit(0)
    finally:
        os._exit(1)


if __name__ == "__main__":
    run(ParseRequest.decode(sys.argv[3]), os.fdopen(int(sys.argv[1]), "wb"), socket.socket(fileno=int(sys.argv[2])))
