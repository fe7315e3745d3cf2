"""How a run of the tests goes and ends.

With `--processes N` the files run in N processes, which are forked when all tests are collected: what they import is
imported once, for all. A process takes one file after another, and has a Postgres and a Valkey of its own, since
fixtures begin after the fork.
"""

import gc
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, cast

import pytest

END_SECONDS = 60.0  # in which a process stops its servers

File = list[int]  # its tests, by their place among all


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--processes", type=int, default=1, help="run the test files in this many processes")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Ends with the names of what failed: where CI is set, the lines before them are whole logs."""
    yield
    for outcome in ("failed", "error"):
        for report in terminalreporter.stats.get(outcome, ()):
            terminalreporter.write_line(f"{outcome}: {report.nodeid}")
    if any("no browser" in str(report.longrepr) for report in terminalreporter.stats.get("skipped", ())):
        terminalreporter.write_line("The web page was not tested: `apt install chromium`.")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that wait for processes of their own go first: they take longest, and leave the processor to others."""
    waiting = {item.path for item in items if item.get_closest_marker("worker") or item.get_closest_marker("stack")}
    items.sort(key=lambda item: item.path not in waiting)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Runs the tests, unless one process is enough: then pytest does what it always does."""
    tests = range(len(session.items))
    files = deque(list(file) for _, file in groupby(tests, lambda number: session.items[number].path))
    count = min(session.config.getoption("processes"), len(files))
    if count < 2 or session.testsfailed or session.config.option.collectonly:
        return None
    session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]  # one for all, removed by later runs
    gc.collect()
    gc.freeze()  # so that what was collected is neither searched nor copied
    runs = [Run(session, files) for _ in range(count)]
    try:
        while working := {run.connection: run for run in runs if run.file}:
            for ready in wait(list(working)):
                working[cast(Connection, ready)].proceed()
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
    finally:
        for run in runs:
            run.end()
    return True


@dataclass
class Run:
    """A process that runs tests, as its parent knows it."""

    session: pytest.Session
    files: "deque[File]"  # that no process has taken

    def __post_init__(self) -> None:
        context = get_context("fork")
        self.connection, own = context.Pipe()
        self.process = context.Process(target=work, args=(self.session, own, self.connection))
        self.process.start()
        own.close()
        self.take()

    def take(self) -> None:
        """Gives the process its next file: what is left of it is in `file`, nothing if there is none."""
        self.file = self.files.popleft() if self.files else []
        self.connection.send(self.file)

    def proceed(self) -> None:
        """Reads what the process says, which is a report, or nothing when a test has ended."""
        try:
            said = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.replace()
            return
        hook, config = self.session.config.hook, self.session.config
        if said is not None:
            hook.pytest_runtest_logreport(report=hook.pytest_report_from_serializable(config=config, data=said))
            return
        item = self.session.items[self.file.pop(0)]
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        if not self.file:
            self.take()

    def replace(self) -> None:
        """Another process goes on behind the test in which this one died."""
        self.process.join()
        self.fail(self.session.items[self.file.pop(0)])
        self.connection.close()
        if self.file:
            self.files.appendleft(self.file)
        self.__post_init__()

    def fail(self, item: pytest.Item) -> None:
        why = f"The process of the test ended with status {self.process.exitcode}."
        report = pytest.TestReport(item.nodeid, item.location, {}, "failed", why, "call")
        item.config.hook.pytest_runtest_logreport(report=report)

    def end(self) -> None:
        """Waits for the end of the process; it ends by itself, also when its parent listens no more."""
        self.connection.close()
        self.process.join(END_SECONDS)
        if self.process.exitcode:
            self.fail(self.session.items[-1])
        self.process.kill()


def work(session: pytest.Session, parent: Connection, parents: Connection) -> None:
    """What a process does: runs the files that it is given until there is no more, or its parent is gone."""
    parents.close()
    tell_parent(session.config, parent)
    hook = session.config.hook
    with suppress(KeyboardInterrupt, EOFError, BrokenPipeError):
        try:
            while file := parent.recv():
                for number, following in zip(file, [*file[1:], None], strict=True):
                    # After its last test, all that is not the session's ends: the next file may be any.
                    after = session if following is None else session.items[following]
                    hook.pytest_runtest_protocol(item=session.items[number], nextitem=after)
                    parent.send(None)
                    if session.shouldfail:  # as often as --maxfail says
                        return
        finally:
            session._setupstate.teardown_exact(None)


def tell_parent(config: pytest.Config, parent: Connection) -> None:
    """Reports go to the parent, and captured output to files that are not the parent's."""

    class Telling:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            parent.send(config.hook.pytest_report_to_serializable(config=config, report=report))

    plugins = config.pluginmanager
    plugins.unregister(name="terminalreporter")
    plugins.register(Telling())
    capture: Any = plugins.getplugin("capturemanager")
    capture.stop_global_capturing()
    capture.start_global_capturing()
    capture.suspend_global_capture()
