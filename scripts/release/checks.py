"""What must be true before anything is released."""

import re
import subprocess
from pathlib import Path

from footnote import __version__
from scripts.release import ROOT

_VERSION = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")


def faults(root: Path = ROOT, version: str = __version__) -> list[str]:
    """What is wrong with the checkout, each with what mends it."""
    found = [_fault_of_version(version), _fault_of_tree(root), _fault_of_tag(root, version)]
    if notes(root, version) is None:
        found.append(f"CHANGELOG.md has no section `## {version} - YEAR-MONTH-DAY` with text: rename `## Unreleased`.")
    return [each for each in found if each]


def notes(root: Path, version: str) -> str | None:
    """The changelog's section of the version, if it has a date and says something."""
    heading = rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |\Z)"
    found = re.search(heading, (root / "CHANGELOG.md").read_text(), re.MULTILINE | re.DOTALL)
    return (found[1].strip() or None) if found else None


def _fault_of_version(version: str) -> str | None:
    if _VERSION.fullmatch(version):
        return None
    return f"footnote.__version__ is {version!r}, not like 1.2.3 or 1.2.3rc1."


def _fault_of_tree(root: Path) -> str | None:
    changed = _git(root, "status", "--porcelain").splitlines()
    return f"{len(changed)} files differ from what is committed: commit or remove them." if changed else None


def _fault_of_tag(root: Path, version: str) -> str | None:
    tag = f"v{version}"
    if tag in _git(root, "tag", "--points-at", "HEAD").split():
        return None
    if tag in _git(root, "tag", "--list", tag).split():
        return f"{tag} is the tag of another commit: raise footnote.__version__."
    return f"This commit has no tag {tag}: git tag --sign {tag}"


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout
