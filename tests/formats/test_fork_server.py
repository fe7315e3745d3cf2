"""The process that parsers are forked from: who shares it, what ends with it, and what a parser gets of it."""

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from footnote.errors import ParserUnavailable
from footnote.formats.sandbox import process, starting
from tests import ROOT, SAMPLES
from tests.formats.test_parent import LIMITS, pages_of
from tests.parsers import children, command_of, parser_of, parsers_of, running, servers_of, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]
TEXT = SAMPLES / "log_utf8.txt"


def server() -> int:
    (pid,) = servers_of("self")
    return pid


async def test_one_server_reads_for_every_event_loop_and_thread() -> None:
    await pages_of(TEXT)
    before = server()
    threads = [threading.Thread(target=asyncio.run, args=[pages_of(TEXT)]) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        await asyncio.to_thread(each.join)
    assert server() == before


async def test_documents_are_read_at_the_same_time(endless: Path) -> None:
    waiting = [asyncio.create_task(pages_of(endless)) for _ in range(30)]
    await until(lambda: len(parsers_of("self")) == 30)
    assert len(await pages_of(TEXT)) == 1
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert not parsers_of("self")


async def test_a_killed_server_takes_its_parsers_along_and_is_replaced(endless: Path) -> None:
    waiting = asyncio.create_task(pages_of(endless))
    parser, killed = await parser_of("self"), server()
    os.kill(killed, signal.SIGKILL)
    with pytest.raises(ParserUnavailable, match="killed"):
        await waiting
    await until(lambda: not running(parser))
    assert len(await pages_of(TEXT)) == 1
    assert server() != killed


async def test_a_server_that_hangs_is_replaced(endless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_END_SECONDS", 0.2)
    waiting = asyncio.create_task(pages_of(endless))
    parser, frozen = await parser_of("self"), server()
    os.kill(frozen, signal.SIGSTOP)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await until(lambda: not running(parser) and not running(frozen))
    assert len(await pages_of(TEXT)) == 1


HANGS = "import time; time.sleep(60)"


async def test_a_server_that_hangs_at_its_start_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(module: str, *, descriptors: tuple[int, ...]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-c", HANGS], pass_fds=descriptors, start_new_session=True)

    starting.stop()
    with monkeypatch.context() as patch:
        patch.setattr(starting, "_spawn", hang)
        patch.setattr(starting, "_ANSWER_SECONDS", 0.2)
        with pytest.raises(ParserUnavailable, match=r"did not start.* does not answer"):
            await pages_of(TEXT)
    assert len(await pages_of(TEXT)) == 1


async def test_a_parser_that_dies_while_its_server_hangs_is_reported(
    endless: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_END_SECONDS", 0.2)
    waiting, parser = await limited(endless)
    os.kill(server(), signal.SIGSTOP)
    os.kill(parser, signal.SIGKILL)
    with pytest.raises(ParserUnavailable, match="killed"):
        await waiting
    assert len(await pages_of(TEXT)) == 1


SLOW_TO_KILL = """
import sys
from footnote.formats.sandbox import fork_server
fork_server._Parser.kill = lambda self: None
fork_server.main(int(sys.argv[1]))
"""


def spawn_slow_to_kill(module: str, *, descriptors: tuple[int, ...]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", SLOW_TO_KILL, *map(str, descriptors)]
    return subprocess.Popen(command, env=starting.environment(), pass_fds=descriptors, start_new_session=True)


async def test_the_end_of_a_parser_that_dies_slowly_does_not_wait_for_the_next_one(
    endless: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starting.stop()
    monkeypatch.setattr(starting, "_spawn", spawn_slow_to_kill)
    first = asyncio.create_task(pages_of(endless))
    (dying,) = await until(lambda: forked())
    first.cancel()
    assert len(await pages_of(TEXT)) == 1  # the server has seen the cancellation when that is read
    second = asyncio.create_task(pages_of(endless))
    (other,) = await until(lambda: forked() - {dying})
    await until(lambda: len(list(Path(f"/proc/{other}/task").iterdir())) > 1)
    os.kill(dying, signal.SIGKILL)
    async with asyncio.timeout(process._END_SECONDS / 2):
        await asyncio.gather(first, return_exceptions=True)
    assert running(other)
    second.cancel()
    await asyncio.sleep(0)
    os.kill(other, signal.SIGKILL)
    await asyncio.gather(second, return_exceptions=True)
    starting.stop()


def forked() -> set[int]:
    """The parsers of our fork server, which a test may start in its own way."""
    servers = {child for child in children("self") if b"fork_server" in command_of(child)}
    return set().union(*map(children, servers))


async def test_a_signal_to_all_processes_of_a_service_ends_no_parser(endless: Path) -> None:
    waiting, parser = await limited(endless)
    for pid in (server(), parser):
        os.kill(pid, signal.SIGTERM)
    assert len(await pages_of(TEXT)) == 1
    assert running(parser)
    await cancelled(waiting)


FORKED = """
import asyncio, os, sys
from pathlib import Path
from footnote.formats.sandbox.parent import read_pages
from footnote.settings import ParseLimits
from tests.parsers import servers_of

async def read():
    return [page async for page in read_pages(Path(sys.argv[1]), "text/plain", ParseLimits(20, 60, 2**30))]

asyncio.run(read())
(ours,) = servers_of("self")
if os.fork() == 0:
    assert not servers_of("self") and len(asyncio.run(read())) == 1
    (its,) = servers_of("self")
    os._exit(0 if its != ours else 1)
assert os.wait()[1] == 0
assert servers_of("self") == {ours} and len(asyncio.run(read())) == 1
if os.fork():
    print(ours, flush=True)
    os.kill(os.getpid(), 9)
import time; time.sleep(60)
"""


async def test_a_forked_process_has_a_server_of_its_own_and_does_not_keep_ours_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", FORKED, TEXT], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        ended = int(await asyncio.to_thread(parent.stdout.readline))
        await until(lambda: not running(ended))


async def limited(path: Path) -> tuple[asyncio.Task[object], int]:
    """A parser that waits, after it has limited itself."""
    waiting: asyncio.Task[object] = asyncio.create_task(pages_of(path))
    pid = await parser_of("self")
    await until(lambda: len(list(Path(f"/proc/{pid}/task").iterdir())) > 1)  # the thread that it starts then
    return waiting, pid


async def cancelled(waiting: asyncio.Task[object]) -> None:
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


@pytest.mark.usefixtures("either")
async def test_a_parser_is_limited_and_leads_a_session(endless: Path) -> None:
    waiting, pid = await limited(endless)
    assert resource.prlimit(pid, resource.RLIMIT_CPU)[0] == LIMITS.cpu_seconds
    assert resource.prlimit(pid, resource.RLIMIT_CORE)[0] == 0
    assert os.getsid(pid) == os.getpgid(pid) == pid
    assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, 0) + 5
    await cancelled(waiting)


def opened(path: Path) -> int:
    """A descriptor to write with, once the other side reads."""
    with contextlib.suppress(OSError):
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    return 0


async def room(path: Path) -> int:
    """Bytes of address space that a parser has once it has opened its document."""
    waiting, pid = await limited(path)
    writer = await until(lambda: opened(path))
    mapped = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
    limit = resource.prlimit(pid, resource.RLIMIT_AS)[0]
    await cancelled(waiting)
    os.close(writer)
    return limit - mapped


async def test_what_is_preloaded_takes_no_room_from_the_document(
    endless: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forked = await room(endless)
    monkeypatch.setattr(starting, "FORKS", False)
    assert abs(forked - await room(endless)) < 8 * 1024 * 1024


PRELOADED = """
import sys
from pathlib import Path
from footnote.formats import module_for
from footnote.formats.sandbox.fork_server import preload
from footnote.formats.sniffing import sniff
preload()
before = set(sys.modules)
for path in map(Path, sys.argv[1:]):
    assert list(module_for(sniff(path.read_bytes(), path.name)).parse(path))
later = set(sys.modules) - before
print("later:", *sorted(name for name in later if not name.startswith("encodings.")))  # many, for few texts
"""


def test_samples_need_nothing_that_is_not_preloaded() -> None:
    read = ["handbook.pdf", "boats.docx", "year.pptx", "stores.xlsx", "boats.xls", "orders.odt", "keeper.epub"]
    read += ["weather.md", "visitors.html", "log_cp1252.txt", "complaint.eml", "letter.rtf", "signals.rst", "tides.csv"]
    command = [sys.executable, "-c", PRELOADED, *(str(SAMPLES / name) for name in read)]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout == "later:\n"
