"""The wheel in an empty environment: installed as a user installs it, started, filled, asked, and stopped."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.release import output_of

TEXT = "The zircon lamp was lit by Agnes Tolmie in the year 1874. The zircon lamp burns paraffin oil.\n"
QUESTION, ANSWER = "Who lit the zircon lamp?", "Agnes Tolmie"
START_SECONDS, STOP_SECONDS = 300.0, 60.0


@dataclass(frozen=True)
class Installed:
    """A virtual environment with the wheel alone, a home and a folder to work in, both empty."""

    root: Path
    ports: tuple[int, int]

    @property
    def python(self) -> Path:
        return self.root / "venv" / "bin" / "python"

    @property
    def folder(self) -> Path:
        return self.root / "folder"

    @property
    def env(self) -> dict[str, str]:
        """Nothing of this shell: no setting, no key, no path to the source."""
        ports = {"PORT": str(self.ports[0]), "FLOWER_PORT": str(self.ports[1])}
        path = f"{self.root / 'venv' / 'bin'}:{os.defpath}"
        return {"PATH": path, "HOME": str(self.root / "home"), "LANG": "C.UTF-8"} | ports

    def footnote(self, *arguments: str | Path) -> str:
        """What the command prints. Ends the program if it fails."""
        return output_of(self.root / "venv" / "bin" / "footnote", *arguments, cwd=self.folder, env=self.env)

    def page(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[0]}{path}", timeout=30) as reply:
            return str(reply.read().decode())


def install(wheel: Path, root: Path) -> Installed:
    """The wheel with the newest packages that it allows, as pipx does it."""
    root.chmod(0o755)  # where Postgres runs as another user than root, it must reach its programs
    for name in ("home", "folder"):
        (root / name).mkdir()
    output_of(sys.executable, "-m", "venv", "--without-pip", root / "venv")
    python = root / "venv" / "bin" / "python"
    output_of(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--only-binary", ":all:", wheel)
    output_of(sys.executable, "-m", "pip", "--python", python, "check")
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        first, second = (each.getsockname()[1] for each in taken)
    return Installed(root, (first, second))


@contextmanager
def running(installed: Installed) -> Iterator[None]:
    """`footnote up`, until the block ends; then it must stop by itself with exit code 0."""
    said = installed.root / "up.txt"
    with said.open("wb") as output:
        command = [str(installed.root / "venv" / "bin" / "footnote"), "up"]
        up = subprocess.Popen(command, cwd=installed.folder, env=installed.env, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait(up, said)
        yield
    finally:
        up.send_signal(signal.SIGTERM)
        code = up.wait(STOP_SECONDS)
    if code:
        sys.exit(f"footnote up ended with {code}:\n{said.read_text()}")


def _wait(up: "subprocess.Popen[bytes]", said: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while "Ctrl-C to stop" not in said.read_text():
        if up.poll() is not None or time.monotonic() > end:
            sys.exit(f"footnote up did not start:\n{said.read_text()}")
        time.sleep(0.2)


def drive(installed: Installed, version: str) -> str:
    """Uses it as the first user does; the answer with its footnote. Ends the program if anything is wrong."""
    _expect(installed.footnote("--version").strip() == f"footnote {version}", "footnote --version")
    (installed.folder / "lamp.txt").write_text(TEXT)
    with running(installed):
        _expect(json.loads(installed.page("/healthz"))["version"] == version, "GET /healthz")
        _expect(_scripts_load(installed), "the web page")
        installed.footnote("add", "lamp.txt")
        reply: dict[str, Any] = json.loads(installed.footnote("ask", "--json", QUESTION))
        quotes = [each["quote"] for each in reply["citations"]]
        _expect(any(ANSWER in each and each in TEXT for each in quotes), f"a cited answer: {reply}")
        installed.footnote("doctor")
        installed.footnote("audit")
        installed.footnote("backup", installed.root / "backups")
    return f"{reply['answer']} — “{quotes[0]}”"


def _scripts_load(installed: Installed) -> bool:
    """The page, and each file that it names."""
    named = re.findall(r'(?:src|href)="(/[^"]+)"', installed.page("/"))
    return bool(named) and all(installed.page(each) for each in named if not each.endswith((".png", ".woff2", ".ico")))


def _expect(holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"The release does not work: {what}")
