"""Checks what runs Footnote in containers, without an engine or a cluster.

Compose parses every profile, hadolint the Dockerfiles; Kustomize builds each overlay, which is held to the rules of
`scripts.manifests`.
"""

import subprocess
import sys
from pathlib import Path

from scripts import manifests

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
COMPOSE = ("docker-compose", "--file", "docker-compose.yml")
COMMANDS = (
    (*COMPOSE, "--profile", "*", "config", "--quiet"),
    ("hadolint", "Dockerfile.api", "Dockerfile.worker"),
)


def main() -> int:
    """The number of failed checks; the tools themselves say what is wrong."""
    failed = 0
    for name, *arguments in COMMANDS:
        result = subprocess.run([str(BIN / name), *arguments], cwd=ROOT, check=False)
        failed += result.returncode != 0
    return failed + kubernetes()


def kubernetes() -> int:
    """The number of broken rules in what each overlay becomes."""
    builder = manifests.builder()
    if builder is None:
        print("No kustomize or kubectl: deploy/kubernetes is not checked.")
        return 0
    said = [
        f"{overlay}: {each}"
        for overlay in manifests.OVERLAYS
        for each in manifests.complaints(manifests.build(builder, overlay), by_digest=overlay == "production")
    ]
    print(*said, sep="\n", end="\n" if said else "", file=sys.stderr)
    return len(said)


if __name__ == "__main__":
    sys.exit(main())
