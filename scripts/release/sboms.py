"""Lists of contents (SBOM) in the form of CycloneDX."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from footnote.providers import local
from scripts.release import TOOLS, output_of

_DEBIAN = ("dpkg-query", "--show", "--showformat", r"${Package}\t${Version}\t${Architecture}\n")
_PYTHON = """
from importlib.metadata import distributions
print(*sorted({(each.name.lower(), each.version) for each in distributions()}), sep="\\n")
"""


def of_environment(python: Path, target: Path) -> int:
    """Writes what is installed beside `python`, and the weights in Footnote's wheel; how many components."""
    command = ("environment", "--output-reproducible", "--output-format", "JSON", "--output-file")
    output_of(TOOLS / "cyclonedx-py", *command, target, python)
    told = json.loads(target.read_text())
    told["components"].append(_model())
    target.write_text(json.dumps(told, indent=1) + "\n")
    return len(told["components"])


def of_image(name: str, version: str, inside: Sequence[str], target: Path) -> int:
    """Writes Debian's and Python's packages of an image; how many.

    `inside`: what to put before a command so that it runs in the image; empty for this machine.
    """
    debian = [line.split("\t") for line in _run(inside, *_DEBIAN).splitlines()]
    python = [eval(line) for line in _run(inside, "python", "-c", _PYTHON).splitlines()]
    components = [_component(each, release, f"pkg:deb/debian/{each}@{release}?arch={arch}") for each, release, arch in debian]
    components += [_component(each, release, f"pkg:pypi/{each}@{release}") for each, release in python]
    about = {"component": {"type": "container", "name": name, "version": version}}
    told = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": about}
    target.write_text(json.dumps(told | {"components": components}, indent=1) + "\n")
    return len(components)
