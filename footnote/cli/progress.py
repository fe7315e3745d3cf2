"""What `footnote add` shows while files are sent and ingested: nothing, lines, or bars."""

from collections import defaultdict
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any

from rich import progress
from rich.table import Column

from footnote.cli.terminal import plain, say, status_line

AGAIN_SECONDS = 10.0  # a file without news is shown again after this long,
BETWEEN_SECONDS = 1.0  # but a thousand such files must not fill the log
MOST_BARS = 12


class Progress:
    """Shows nothing. Sending is reported from several threads."""

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the terminal as it was."""

    def sending(self, path: Path, sent: int, size: int) -> None:
        """`sent` of `size` bytes are sent."""

    def holding(self, path: Path, pause: float, why: str) -> None:
        """Nothing happens for `pause` seconds."""

    def sent(self, path: Path) -> None:
        """The server has answered."""

    def show_status(self, path: Path, status: dict[str, Any]) -> None:
        """`status` is the reply of GET /v1/documents/{id}/status."""

    def over(self, path: Path, line: str) -> None:
        """The final line for a file."""


class ProgressLines(Progress):
    """For logs and pipes: a line when a file's step or what it waits for changes, and from time to time."""

    def __init__(self) -> None:
        self._said: defaultdict[Path, set[tuple[str, str]]] = defaultdict(set)
        self._due: dict[Path, float] = {}
        self._next = 0.0

    def holding(self, path: Path, pause: float, why: str) -> None:
        say(f"{path}: trying again in {pause:.0f} s: {why}")

    def show_status(self, path: Path, status: dict[str, Any]) -> None:
        now = monotonic()
        what = (status["status"], status["waiting_for"] or status["step"])
        news = status["status"] != "queued" and what not in self._said[path]
        again = now >= max(self._next, self._due.get(path, 0.0))
        if news or again:
            say(f"{path}: {status_line(status)}")
            self._said[path].add(what)
            self._due[path] = now + AGAIN_SECONDS
        if again:
            self._next = now + BETWEEN_SECONDS

    def over(self, path: Path, line: str) -> None:
        self._said.pop(path, None)
        self._due.pop(path, None)
        say(line)


class Bars(Progress):
    """A bar for each file in progress, as far as there is room, and one for all; finished files scroll away above."""

    def __init__(self, files: int) -> None:
        self._bars = progress.Progress(
            progress.TextColumn(
                "{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
            ),
            progress.BarColumn(),
            progress.TextColumn("{task.fields[detail]}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
            expand=True,
            transient=True,
        )
        self._files = files
        self._tasks: dict[Path, progress.TaskID] = {}
        self._all = self._bars.add_task("All files", total=files, detail=f"0 of {files}", visible=files > 1)

    def __enter__(self) -> "Bars":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def sending(self, path: Path, sent: int, size: int) -> None:
        self._show(path, sent, size, f"sent {sent / 1e6:.1f} of {size / 1e6:.1f} MB")

    def holding(self, path: Path, pause: float, why: str) -> None:
        self._show(path, 0, None, f"again in {pause:.0f} s: {why}")

    def sent(self, path: Path) -> None:
        task = self._tasks.pop(path, None)
        if task is not None:
            self._bars.remove_task(task)

    def show_status(self, path: Path, status: dict[str, Any]) -> None:
        self._show(path, status["progress"]["done"], status["progress"]["total"], status_line(status))

    def over(self, path: Path, line: str) -> None:
        self.sent(path)
        self._bars.console.print(plain(line), markup=False, highlight=False, soft_wrap=True)
        self._bars.advance(self._all)
        self._bars.update(self._all, detail=f"{self._bars.tasks[0].completed:.0f} of {self._files}")

    def _show(self, path: Path, done: int, total: int | None, detail: str) -> None:
        task = self._tasks.get(path)
        if task is None:
            if len(self._tasks) >= MOST_BARS:
                return
            task = self._tasks[path] = self._bars.add_task(plain(path.name), total=1, detail="")
        self._bars.update(task, total=total or 1, completed=done if total else 0, detail=plain(detail))
