"""Lists of contents (SBOM) in the form of CycloneDX."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from footnote.providers import local
from scripts.release import TOOLS, output_of

_DEBIAN = ("dpkg-query", "--show", "--showformat", r"${Package}\t${Version}\n")
_PYTHON = """
from importlib.metadata import distributions
for name, version in sorted({(each.name, each.version) for each in distributions()}):
    print(name, version, sep="\\t")
"""


def of_environment(python: Path, target: Path) -> int:
    """Writes what is installed beside `python`, and the weights in Footnote's wheel; how many components."""
    command = ("environment", "--output-reproducible", "--output-format", "JSON", "--output-file")
    output_of(TOOLS / "cyclonedx-py", *command, target, python)
    content = json.loads(target.read_text())
    content["components"].append(_weights())
    _write(target, content)
    return len(content["components"])


def of_image(name: str, version: str, inside: Sequence[str], target: Path) -> int:
    """Writes Debian's and Python's packages in an image; how many.

    `inside`: what to put before a command so that it runs in the image; empty for this machine.
    """
    components = [
        {"type": "library", "name": each, "version": release, "purl": f"pkg:{kind}/{each}@{quote(release)}"}
        for kind, command in (("deb/debian", _DEBIAN), ("pypi", ("python", "-c", _PYTHON)))
        for each, release in (line.split("\t") for line in output_of(*inside, *command).splitlines())
    ]
    about = {"component": {"type": "container", "name": name, "version": version}}
    content = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": about,
        "components": components,
    }
    _write(target, content)
    return len(components)


def _weights() -> dict[str, Any]:
    return {
        "type": "machine-learning-model",
        "name": local.MODEL,
        "hashes": [{"alg": "SHA-256", "content": local.WEIGHTS.sha256}],
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }


def _write(target: Path, content: dict[str, Any]) -> None:
    target.write_text(json.dumps(content, indent=1) + "\n")
