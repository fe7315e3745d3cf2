"""`make operations`: follows docs/operations.md from an empty machine, every command of it, in order.

What a page cannot bring is stood in for: Postgres on TCP, Valkey, an S3 server; pipx, and systemctl, which runs the
unit on the page. Meanwhile the disk is lost, and later the database; the answers must be those of before.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from footnote.local_stack.valkey import running_valkey
from tests import ROOT
from tests.conftest import run_sql
from tests.local_stack.stack_under_test import free_port
from tests.system.two_nodes import external_postgres, external_store

PAGE = ROOT / "docs" / "operations.md"
# What the page says, and what this machine has instead.
REPORT, QUESTION = ROOT / "tests" / "samples" / "handbook.pdf", "How much mercury does the bath of the lens hold?"
_BLOCK = re.compile(r"^## ([^\n]+)|^```(sh|ini)\n(.*?)^```", re.MULTILINE | re.DOTALL)
EACH_NODE = "# on each node"
START_SECONDS = 300.0


@dataclass(frozen=True)
class Block:
    """Commands under a heading of the page, or a file that it shows."""

    heading: str
    language: str
    code: str


def blocks(page: str) -> Iterator[Block]:
    heading = ""
    for found in _BLOCK.finditer(page):
        if found[1]:
            heading = found[1]
        else:
            yield Block(heading, found[2], found[3])


@dataclass
class Machines:
    """One empty machine for `footnote up`, then two nodes beside external servers."""

    root: Path
    servers: dict[str, str]
    ports: list[int] = field(default_factory=lambda: [free_port() for _ in range(3)])

    def names(self, node: int) -> dict[str, str]:
        """By what the page writes, what is here instead."""
        return {
            "report.pdf": str(REPORT),
            "What is report.pdf about?": QUESTION,
            "openai/text-embedding-3-small": "local-multilingual",
            "/mnt/backups": str(self.root / "backups"),
            "/etc/footnote.env": str(self.root / f"node{node}.env"),
            "http://127.0.0.1:8000": f"http://127.0.0.1:{self.ports[node]}",
        }

    def run(self, code: str, node: int = 0) -> str:
        """Runs commands in a shell that remembers its variables; what they print. Ends the program if one fails."""
        for here, there in self.names(node).items():
            code = code.replace(here, there)
        said = "".join(f"$ {line}\n" for line in code.splitlines())
        print(said, end="", flush=True)
        shell = self.root / f"shell{node}"
        prelude = f"{_SHELL}\n[ -e {shell} ] && . {shell}\nset -e\n"
        done = subprocess.run(
            ["bash", "-c", f"{prelude}{code}\nexport -p > {shell}"],
            cwd=self.root / "folder",
            env=self._env(node),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if done.returncode:
            sys.exit(f"It ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def _env(self, node: int) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.defpath}"
        walk = {"OPERATIONS_ROOT": str(self.root), "OPERATIONS_NODE": str(node), "PYTHONPATH": str(ROOT)}
        ports = {"PORT": str(self.ports[node]), "FLOWER_PORT": str(free_port())}
        return {"PATH": path, "HOME": str(self.root / "home"), "LANG": "C.UTF-8"} | ports | walk

    def answer(self, node: int = 0) -> str:
        key = f"FOOTNOTE_API_KEY=$(cat {self.root}/node1/api_key) " if node else ""
        told = json.loads(self.run(f'{key}footnote ask --json "{QUESTION}"', node))
        return json.dumps([told["answer"], [each["quote"] for each in told["citations"]]])

    def write_env_files(self) -> None:
        for node in (1, 2):
            own = {"FOOTNOTE_DATA_DIR": str(self.root / f"node{node}"), "PORT": str(self.ports[node])}
            lines = [f"{name}={value}" for name, value in (self.servers | own).items()]
            (self.root / f"node{node}.env").write_text("\n".join(lines) + "\n")

    def lose_the_disk(self) -> None:
        stop(self.root / "up.pid")
        shutil.rmtree(self.root / "folder" / ".footnote")

    def leave_the_first_machine(self) -> None:
        stop(self.root / "up.pid")

    def lose_the_database(self) -> None:
        url = self.servers["DATABASE_URL"]
        server = url.rpartition("/")[0] + "/postgres"
        for statement in ("DROP DATABASE footnote WITH (FORCE)", "CREATE DATABASE footnote"):
            asyncio.run(run_sql(server, statement))

    def stop_everything(self) -> None:
        for pid_file in self.root.glob("*.pid"):
            stop(pid_file)


# -- what stands in for a terminal and for systemd ---------------------------------------------------------------

# In the shell that runs the page's commands.
_SHELL = """
pipx() { :; }
footnote() { if [ "$1" = up ]; then python -m tests.system.operations up; else command footnote "$@"; fi; }
systemctl() { python -m tests.system.operations "$@"; }
"""


def up(root: Path) -> None:
    """Starts `footnote up` in the place of one that runs, as in a terminal of its own."""
    stop(root / "up.pid")
    said = root / "up.txt"
    said.unlink(missing_ok=True)
    process = start(["footnote", "up"], said, root / "up.pid", dict(os.environ))
    backups = Path(os.environ.get("FOOTNOTE_BACKUP_DIR", ""))
    end = time.monotonic() + START_SECONDS
    while "Ctrl-C to stop" not in said.read_text() or (backups.name and not any(backups.glob("*Z/manifest.json"))):
        if process.poll() is not None or time.monotonic() > end:
            sys.exit(said.read_text())
        time.sleep(0.2)


def systemctl(root: Path, node: str, verb: str, units: list[str]) -> None:
    """Runs the page's unit as systemd would, but for the user, and for starting again what ends."""
    unit = (root / "unit").read_text()
    (command,) = re.findall(r"^ExecStart=\S*/(.+)$", unit, re.MULTILINE)
    lines = (root / f"node{node}.env").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines)
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG")} | settings
    names = [each.partition("@")[2] for each in units]
    for name in ("api", "worker", "dispatcher") if names == ["*"] else names:
        pid_file = root / f"{name}-{node}.pid"
        if verb in ("stop", "restart"):
            stop(pid_file)
        if verb != "stop":
            start(command.replace("%i", name).split(), pid_file.with_suffix(".log"), pid_file, env)
    if verb != "stop":
        wait_for_port(int(settings["PORT"]))


def start(command: list[str], log: Path, pid_file: Path, env: dict[str, str]) -> "subprocess.Popen[bytes]":
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=env, start_new_session=True)
    pid_file.write_text(str(process.pid))
    return process


def stop(pid_file: Path) -> None:
    """Waits until the process has ended."""
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    end = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z":
        os.kill(pid, signal.SIGTERM if time.monotonic() < end else signal.SIGKILL)
        time.sleep(1)
    pid_file.unlink()


def wait_for_port(port: int) -> None:
    """`systemctl` returns before a service answers; a person looks a moment later."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz?strict=true", timeout=10):
                return
        except OSError:
            time.sleep(0.2)
    sys.exit("The API does not answer.")


# -- the walk ----------------------------------------------------------------------------------------------------


def follow(machines: Machines) -> None:
    """Runs the page; before some of its commands something happens, and after them the answer must be the same."""
    before = {"FOOTNOTE_DATA_DIR=restored": machines.lose_the_disk, "set -a": machines.leave_the_first_machine}
    before |= {"systemctl stop": machines.lose_the_database}
    answer, nodes = "", [0]
    for block in blocks(PAGE.read_text()):
        if block.language != "sh":
            continue
        for starts, happens in before.items():
            if block.code.startswith(starts):
                print(f"-- {happens.__name__.replace('_', ' ')}", flush=True)
                happens()
        if block.heading == "Two nodes":
            nodes = [1, 2]
        for node in nodes if EACH_NODE in block.code else nodes[:1]:
            machines.run(block.code, node)
        if "footnote ask" in block.code:
            answer = machines.answer()
        if answer and re.search("footnote up|systemctl (enable|start|restart)|switch", block.code):
            assert [machines.answer(node) for node in nodes] == [answer] * len(nodes), "another answer"
            print("   the answer is that of before", flush=True)


def main() -> int:
    if len(sys.argv) > 1:
        root, node = Path(os.environ["OPERATIONS_ROOT"]), os.environ["OPERATIONS_NODE"]
        if sys.argv[1] == "up":
            up(root)
        else:
            systemctl(root, node, sys.argv[1], [each for each in sys.argv[2:] if not each.startswith("-")])
        return 0
    began = time.monotonic()
    (unit,) = [each.code for each in blocks(PAGE.read_text()) if "ExecStart" in each.code]
    with tempfile.TemporaryDirectory(prefix="fn-") as directory, ExitStack() as stack:
        root = Path(directory)
        for name in ("folder", "home", "postgres", "redis"):
            (root / name).mkdir()
        (root / "unit").write_text(unit)
        servers = {"DATABASE_URL": stack.enter_context(external_postgres(root / "postgres"))}
        servers |= {"REDIS_URL": stack.enter_context(running_valkey(root / "redis"))}
        machines = Machines(root, servers | stack.enter_context(external_store()))
        machines.write_env_files()
        stack.callback(machines.stop_everything)
        follow(machines)
    print(f"From an empty machine to two nodes, and back from two disasters: {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
