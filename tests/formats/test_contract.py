"""What every format promises, tried on every sample of it and on what is none of its."""

import asyncio
import inspect
import random
from pathlib import Path
from types import ModuleType

import pytest

from footnote import formats
from footnote.errors import CODES, DocumentRejected
from footnote.formats import ParsedPage, is_container, module_for, modules, supported
from footnote.formats.plain import archive
from footnote.formats.sandbox.parent import read_pages
from footnote.formats.sniffing import HEAD_BYTES, sniff
from footnote.ingest import chunking
from footnote.settings import ParseLimits
from footnote.text import clean
from tests import ROOT

pytestmark = [pytest.mark.anyio]

LIMITS = ParseLimits(cpu_seconds=20, wall_seconds=60, memory_bytes=768 * 1024 * 1024)
_NO_DOCUMENTS = {"empty.txt", "encrypted.pdf", "no_text.pdf", "not_a_pdf.pdf", "truncated.pdf"}
SAMPLES = sorted(
    path for path in (ROOT / "tests/samples").iterdir() if path.is_file() and path.name not in _NO_DOCUMENTS
)
# One file of each kind of container, to be taken for something else.
FOREIGN = ["handbook.pdf", "boats.docx", "boats.xls", "orders.odt", "letter.rtf", "visitors.html"]


def type_of(path: Path, name: str | None = None) -> str:
    return sniff(path.read_bytes()[:HEAD_BYTES], path.name if name is None else name)


def name_of(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def is_text(module: ModuleType) -> bool:
    """A format that reads any text, and so cannot refuse one that is cut short or of another kind."""
    return not hasattr(module, "recognise") and not hasattr(module, "MEMBERS")


def samples_of(module: ModuleType) -> list[Path]:
    return [path for path in SAMPLES if type_of(path) in module.MEDIA_TYPES]


READERS = [module for module in modules() if module is not archive]


async def pages_of(path: Path, media_type: str) -> list[ParsedPage]:
    return [page async for page in read_pages(path, media_type, LIMITS)]


@pytest.mark.parametrize("module", READERS, ids=name_of)
def test_every_format_has_a_sample_and_reads_as_it_goes(module: ModuleType):
    assert samples_of(module) != []
    assert inspect.isgeneratorfunction(module.parse)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
async def test_pages_sections_and_chunks(path: Path):
    pages = await pages_of(path, type_of(path))
    assert [page.number for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        assert clean(page.text) == page.text
        assert page.text == page.text.strip("\n")
        ends = [0, *(section.end for section in page.sections)]
        assert [section.start for section in page.sections] == ends[:-1]
        assert ends[-1] == len(page.text)
        for section in page.sections:
            assert isinstance(section.heading, tuple)
            assert len(section.heading) <= formats.HEADING_DEPTH
            assert all(0 < len(name) <= formats.HEADING_CHARACTERS for name in section.heading)
            assert all(name == " ".join(name.split()) for name in section.heading)
        for size in (120, 1000):
            chunks = chunking.split(page, size=size, overlap=size // 8)
            assert bool(chunks) == bool(page.text.strip())
            for chunk in chunks:
                assert page.text[chunk.char_start : chunk.char_end] == chunk.text
                assert chunk.heading in {section.heading for section in page.sections}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_the_content_tells_the_type(path: Path):
    media_type = type_of(path)
    assert path.suffix in supported()[media_type] or media_type == "text/plain"
    if not is_text(module_for(media_type)):
        assert type_of(path, "file") == type_of(path, "file.png") == type_of(path, "file.txt") == media_type


def test_each_extension_stands_for_one_type_and_each_format_is_documented():
    listed = [extension for extensions in supported().values() for extension in extensions]
    assert sorted(listed) == sorted(set(listed))
    assert all(extension == extension.lower() for extension in listed)
    page = (ROOT / "docs" / "formats.md").read_text()
    usual = [next(iter(module.MEDIA_TYPES.values()))[0] for module in READERS]
    assert [extension for extension in usual if f"`{extension}`" not in page] == []


@pytest.fixture
def strangers(tmp_path: Path) -> dict[str, Path]:
    """Files that are not what they are taken for, by what they are."""
    files = {name: (ROOT / "tests/samples" / name).read_bytes() for name in FOREIGN}
    files |= {"empty": b"", "noise": random.Random(7).randbytes(50_000), "zip": b"PK\x03\x04" + bytes(500)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    return {name: tmp_path / name for name in files}


async def outcome(path: Path, media_type: str) -> str:
    """`read`, or the code of the refusal; anything else raised fails the test."""
    refusal = None
    try:
        await pages_of(path, media_type)
    except DocumentRejected as error:
        refusal = error
    if refusal is None:
        return "read"
    assert refusal.code in CODES
    assert refusal.message.endswith(".")
    return refusal.code


@pytest.mark.parametrize("module", READERS, ids=name_of)
async def test_what_is_none_of_its_is_refused(module: ModuleType, strangers: dict[str, Path], tmp_path: Path):
    media_type = next(iter(module.MEDIA_TYPES))
    own = samples_of(module)[0].read_bytes()
    (tmp_path / "half").write_bytes(own[: len(own) // 2])
    paths = {**strangers, "half": tmp_path / "half"}
    if is_text(module):
        paths = {name: path for name, path in paths.items() if name in {"empty", "noise", "zip"}}
    names = [name for name in paths if name not in FOREIGN or type_of(paths[name], name) not in module.MEDIA_TYPES]
    found = dict(zip(names, await asyncio.gather(*(outcome(paths[name], media_type) for name in names)), strict=True))
    assert found.pop("empty") in {"no_text", "corrupt_file", "type_mismatch"}
    if media_type == "application/pdf":
        found.pop("half")  # what is there of a PDF can mostly be read
    clear = {"corrupt_file", "type_mismatch", "unsupported_type", "bad_encoding"}
    assert {name: code for name, code in found.items() if code not in clear} == {}


def test_containers():
    assert [name_of(module) for module in modules() if hasattr(module, "unpack")] == ["archive", "eml"]
    assert is_container("application/zip")
