"""Packages of Office Open XML: parts that refer to each other by relations."""

import posixpath
import zipfile
from typing import Any

from footnote.errors import DocumentRejected
from footnote.formats.office import _xml, _zip


def main_part(archive: zipfile.ZipFile, usual: str) -> str:
    """Name of the part that is the document. Raises `type_mismatch` where there is none."""
    part = related(archive, "").get("officeDocument", usual)
    if not _zip.has(archive, part):
        raise DocumentRejected("type_mismatch")
    return part


def expect(root: Any, name: str) -> Any:
    """A part's root element, if it is of this name. Raises `type_mismatch`: the package is of another kind."""
    if _xml.local_name(root) != name:
        raise DocumentRejected("type_mismatch")
    return root


def related(archive: zipfile.ZipFile, part: str) -> dict[str, str]:
    """Names of the parts that a part refers to, by the last word of the relation's type (one of each)."""
    return dict(relations(archive, part).values())


def relations(archive: zipfile.ZipFile, part: str) -> dict[str, tuple[str, str]]:
    """Last word of the type and target of each relation to a part that is there, by its id, in order."""
    folder, _, name = part.rpartition("/")
    source = f"{folder}/_rels/{name}.rels".lstrip("/")
    if not _zip.has(archive, source):
        return {}
    found: dict[str, tuple[str, str]] = {}
    for relation in _xml.read(archive, source):
        target = relation.get("Target", "")
        target = target[1:] if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
        if relation.get("TargetMode") != "External" and _zip.has(archive, target):
            found[relation.get("Id") or str(len(found))] = relation.get("Type", "").rpartition("/")[2], target
    return found
