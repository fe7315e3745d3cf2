"""XML in bounds and without its namespaces: the transitional and the strict form of Office differ in little else."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from footnote.errors import DocumentRejected
from footnote.formats.office import _zip

_LIMITS = {2, 114}  # libxml2's XML_ERR_NO_MEMORY and XML_ERR_RESOURCE_LIMIT (depth, length, entities)


@contextmanager
def limits() -> Iterator[None]:
    """Tells what libxml2 refuses to read, for its size or depth, from what is damaged."""
    try:
        yield
    except SyntaxError as error:
        if getattr(error, "code", None) in _LIMITS:
            raise DocumentRejected("too_complex") from error
        raise


def read(archive: zipfile.ZipFile, name: str) -> Any:
    """The root element of a member, parsed as it expands; entities stay unresolved."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
    with archive.open(_zip.member(archive, name)) as stream, limits():
        return etree.parse(stream, parser).getroot()


def stream(archive: zipfile.ZipFile, name: str, *tags: str) -> Iterator[Any]:
    """The elements of these local names in a member as they are complete; each is gone when the next one comes."""
    from lxml import etree

    with archive.open(_zip.member(archive, name)) as source, limits():
        options: dict[str, Any] = {"resolve_entities": False, "no_network": True, "remove_comments": True}
        for _, element in etree.iterparse(source, tag=[f"{{*}}{tag}" for tag in tags], **options):
            yield element
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]


def nothing() -> Any:
    """An element with nothing in it."""
    from lxml import etree

    return etree.Element("nothing")


def local_name(element: Any) -> str:
    """The tag without its namespace; empty for what is no element."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def child_of(element: Any, *path: str) -> Any:
    for name in path:
        element = next((child for child in element if local_name(child) == name), None)
        if element is None:
            return None
    return element


def children_of(element: Any, name: str) -> Iterator[Any]:
    return (child for child in element if local_name(child) == name)


def descendants_of(element: Any, *names: str) -> Iterator[Any]:
    """Elements of these local names below `element` in document order."""
    return element.iter(*(f"{{*}}{name}" for name in names))  # type: ignore[no-any-return]


def value_of(element: Any, attribute: str = "val") -> str:
    if element is None:
        return ""
    return next((value for name, value in element.items() if name.rpartition("}")[2] == attribute), "")


def reference_of(element: Any, attribute: str = "id") -> str:
    """The value of an attribute that has a namespace, as references to other parts have."""
    return next((value for name, value in element.items() if name.endswith("}" + attribute)), "")
