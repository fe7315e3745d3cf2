"""A release: wheel and sdist, tried in an empty environment, with what they contain, what is known to be vulnerable in
it, images by digest, a dump for later upgrades, and a signature over all of it."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What `make release` installs apart: build, cyclonedx-py, pip-audit.
TOOLS = ROOT / ".venv-release" / "bin"


@dataclass
class Report:
    """What was done, what was left out and why, and what would stop a real release."""

    left: list[str] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)

    def done(self, what: str) -> None:
        print(f"  {what}", flush=True)

    def leave(self, what: str) -> None:
        self.left.append(what)
        print(f"  left: {what}", flush=True)

    def stop(self, why: str) -> None:
        self.stops.append(why)
        print(f"  stops a release: {why}", flush=True)


def output_of(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """What the command prints. Ends the program with what it said if it fails."""
    done = subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
