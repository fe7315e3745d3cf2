"""A local stack in a process of its own, and looks at processes."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DEADLINE = 240.0  # on a busy machine; nothing waits longer than it must

SLEEPER = ["sh", "-c", "exec sleep 1000"]


def wait_for(condition, seconds=DEADLINE):
    """The first true value of the condition; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)
    return value


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def lives(pid):
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def processes_with(text):
    """Pids of the running processes with the text in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if text.encode() in (entry / "cmdline").read_bytes() and lives(int(entry.name)):
                    found.append(int(entry.name))
    return found


@dataclass
class Stack:
    """A local stack in a process of its own, by default over stand-ins and without databases."""

    data_dir: Path
    settings: dict[str, Any] = field(default_factory=dict)
    migrate: list[str] = field(default_factory=lambda: ["true"])
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    run_as: list[str] = field(default_factory=list)
    started: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def __post_init__(self):
        stores = {"database_url": "postgresql://elsewhere/footnote", "redis_url": "redis://elsewhere"}
        ports = {"port": free_port(), "flower_port": free_port()}
        self.settings = stores | ports | {"data_dir": str(self.data_dir)}
        self.services = {name: {"name": name, "command": SLEEPER} for name in ("worker", "dispatcher", "flower")}
        self.services = {
            "api": {"name": "api", "command": [sys.executable, str(HERE / "stand_in_api.py")]}
        } | self.services
        self.services["flower"]["required"] = False

    def start(self, name="out"):
        description = {"settings": self.settings, "migrate": self.migrate, "services": list(self.services.values())}
        self.out = self.data_dir.with_suffix(f".{name}")
        path = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
        with self.out.open("wb") as out:
            process = subprocess.Popen(
                [*self.run_as, sys.executable, str(HERE / "run_stack.py"), json.dumps(description)],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            )
        self.started.append(process)
        return process

    @property
    def said(self):
        return self.out.read_text()

    def start_and_wait(self):
        process = self.start()
        wait_for(lambda: "Ctrl-C to stop" in self.said or process.poll() is not None)
        assert process.poll() is None, self.said
        return process

    def pid(self, service):
        """Pid of a service as the banner says it."""
        found = re.search(rf"^  {service} .*pid (\d+)", self.said, re.MULTILINE)
        assert found, self.said
        return int(found[1])
