"""Checks the container files without an engine: Compose parses every profile, hadolint the Dockerfiles."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
COMMANDS = (
    ("docker-compose", "--file", "docker-compose.yml", "--profile", "*", "config", "--quiet"),
    ("hadolint", "Dockerfile.api", "Dockerfile.worker"),
)


def main() -> int:
    """The number of failed checks; the tools themselves say what is wrong."""
    failed = 0
    for name, *arguments in COMMANDS:
        result = subprocess.run([str(BIN / name), *arguments], cwd=ROOT, check=False)
        failed += result.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
