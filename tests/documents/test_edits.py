"""An edit changes the chunks around it and no others: a new version of a long document costs next to nothing."""

import io
import random
import re
from collections.abc import Callable, Sequence
from itertools import product

import docx
import pytest

from footnote.formats import ParsedPage, Section
from footnote.ingest.chunking import embedding_text, split
from footnote.runtime import Runtime
from tests import driving
from tests.fakes import FakeEmbedder
from tests.samples.make_samples import pdf

SIZE, OVERLAP = 1000, 150
EDITS = 160

Parts = Sequence[tuple[tuple[str, ...], str]]  # heading and text of each section
Edit = Callable[[random.Random, str], str]

NOUNS = ("lamp", "tower", "keeper", "lens", "ledger", "siren", "cistern", "barometer", "engine", "signal", "granite")
VERBS = ("guards", "lifts", "measures", "repairs", "carries", "watches", "tests", "records", "cools", "drains")


def sentence(rng: random.Random) -> str:
    words = [rng.choice(NOUNS + VERBS + ("the", "of", "a", "in")) for _ in range(rng.randint(5, 22))]
    return f"{' '.join(words).capitalize()} {rng.randint(1, 999)}."


def paragraph(rng: random.Random) -> str:
    return " ".join(sentence(rng) for _ in range(rng.randint(1, 9)))


def text(rng: random.Random) -> Parts:
    return [((), "\n\n".join(paragraph(rng) for _ in range(25)))]


def sections(rng: random.Random) -> Parts:
    """As a Markdown document has them: short and long, with an introduction or none."""
    lengths = [rng.choice((1, 1, 2, 3, 8)) for _ in range(9)]
    bodies = ["\n\n".join(paragraph(rng) for _ in range(length)) for length in lengths]
    return [
        ((f"Part {n // 4}", f"Section {n}")[: 1 + n % 4], f"Section {n}\n\n{body}") for n, body in enumerate(bodies)
    ]


def glossary(rng: random.Random) -> Parts:
    """Sections so small that several go into a chunk."""
    return [(("Glossary", f"Term {n}"), f"Term {n}\n\n{sentence(rng)}") for n in range(90)]


def one_paragraph(rng: random.Random) -> Parts:
    return [((), " ".join(sentence(rng) for _ in range(110)))]


def without_marks(rng: random.Random) -> Parts:
    return [((), " ".join(f"{rng.choice(NOUNS + VERBS)} {rng.randint(0, 99)}" for _ in range(1000)))]


def log(rng: random.Random) -> Parts:
    """Lines without a blank one, which begin and end alike."""
    lines = [f"INFO web: GET /{sentence(rng)[:-1].replace(' ', '/')} HTTP/1.1 status=200 OK" for _ in range(90)]
    return [((), "\n".join(lines))]


def ideographs(rng: random.Random, count: int) -> str:
    return "".join(chr(rng.randint(0x4E00, 0x9FA0)) for _ in range(count))


def chinese(rng: random.Random) -> Parts:
    return [((), "".join(f"{ideographs(rng, rng.randint(8, 40))}。" for _ in range(400)))]


def chinese_without_marks(rng: random.Random) -> Parts:
    return [((), ideographs(rng, 10_000))]


KINDS = (text, sections, glossary, one_paragraph, without_marks, log, chinese, chinese_without_marks)


def embedded(parts: Parts) -> set[str]:
    """The texts that are embedded for a document; what an edit costs are those that were not there before."""
    whole, made = "", []
    for heading, part in parts:
        start = len(whole)
        whole += f"{part}\n\n"
        made.append(Section(start, len(whole), heading))
    return {embedding_text("", chunk) for chunk in split(ParsedPage(1, whole, made), size=SIZE, overlap=OVERLAP)}


def edited(rng: random.Random, parts: Parts, edit: Edit) -> Parts:
    at = rng.choices(range(len(parts)), [len(part) for _, part in parts])[0]
    heading, part = parts[at]
    return [*parts[:at], (heading, edit(rng, part)), *parts[at + 1 :]]


def costs(kind: Callable[[random.Random], Parts], edit: Edit, edits: int = EDITS) -> list[int]:
    """How many texts each of so many edits costs, sorted, over several documents of a kind."""
    found = []
    for seed in range(8):
        rng = random.Random(seed)
        parts = kind(rng)
        before = embedded(parts)
        found += [len(embedded(edited(rng, parts, edit)) - before) for _ in range(edits // 8)]
    return sorted(found)


def another_word(rng: random.Random, part: str) -> str:
    word = rng.choice(list(re.finditer(r"[\u4e00-\u9fa0]{2}|\b[A-Za-z0-9]+", part)))
    new = rng.choice(("ox", "extraordinarily")) if word.group().isascii() else ideographs(rng, rng.randint(1, 6))
    return part[: word.start()] + new + part[word.end() :]


def another_sentence(rng: random.Random, part: str) -> str:
    place = rng.choice([match.end() for match in re.finditer(r"[.\n] ?|。|^", part)])
    return f"{part[:place]}{sentence(rng)} {part[place:]}"


def without_a_sentence(rng: random.Random, part: str) -> str:
    found = rng.choice(list(re.finditer(r"[^.\n。]+([.\n] ?|。|$)", part)))
    return part[: found.start()] + part[found.end() :]


def another_paragraph(rng: random.Random, part: str) -> str:
    place = rng.choice([match.end() for match in re.finditer(r"\n+|^|$", part)])
    return f"{part[:place]}{paragraph(rng)}\n\n{part[place:]}"


def without_a_paragraph(rng: random.Random, part: str) -> str:
    found = rng.choice(list(re.finditer(r".+\n*", part)))
    return part[: found.start()] + part[found.end() :]


@pytest.mark.parametrize("kind", KINDS)
def test_another_word_changes_three_chunks_at_most(kind: Callable[[random.Random], Parts]) -> None:
    found = costs(kind, another_word)
    assert found[0] == found[EDITS // 2] == 1
    assert found[EDITS * 98 // 100] <= 3, found
    assert found[-1] <= 5, found


@pytest.mark.parametrize(
    ("edit", "kind"),
    [
        *product((another_sentence, without_a_sentence), (text, sections, glossary, one_paragraph, log, chinese)),
        *product((another_paragraph, without_a_paragraph), (text, sections, glossary, log)),
    ],
)
def test_what_is_put_in_or_left_out_changes_few_chunks(kind: Callable[[random.Random], Parts], edit: Edit) -> None:
    found = costs(kind, edit, 80)
    assert found[40] <= 2, found
    assert found[76] <= 4, found
    assert found[-1] <= 6, found


@pytest.mark.parametrize("kind", [text, one_paragraph, without_marks, log, chinese, chinese_without_marks])
def test_another_word_where_a_chunk_ended_changes_few_chunks(kind: Callable[[random.Random], Parts]) -> None:
    """The edit that takes a boundary away."""
    found = []
    for seed in range(4):
        rng = random.Random(seed)
        [(heading, part)] = kind(rng)
        before = embedded([(heading, part)])
        for chunk in split(ParsedPage(1, part), size=SIZE, overlap=OVERLAP):
            last_word = chunk.char_end - len(re.split(r"\s", chunk.text[-12:])[-1])
            after = f"{part[:last_word]}ox.{part[chunk.char_end :]}"
            found.append(len(embedded([(heading, after)]) - before))
    found.sort()
    assert found[len(found) * 9 // 10] <= 3, found
    assert found[-1] <= 6, found


def test_another_heading_changes_what_stands_under_it() -> None:
    for seed in range(20):
        rng = random.Random(seed)
        parts = sections(rng)
        at = rng.randrange(len(parts))
        renamed = [*parts[:at], ((*parts[at][0][:-1], "Renamed"), parts[at][1]), *parts[at + 1 :]]
        new = embedded(renamed) - embedded(parts)
        assert sum("Renamed" not in each for each in new) <= 2, new


def test_one_word_in_three_hundred_pages() -> None:
    rng = random.Random(300)
    parts = [((), "\n\n".join(paragraph(rng) for _ in range(1600)))]
    assert len(parts[0][1]) > 300 * 2000
    before = embedded(parts)
    assert len(before) > 900
    assert max(len(embedded(edited(rng, parts, another_word)) - before) for _ in range(8)) <= 3


# -- through the pipeline --------------------------------------------------------------------------------------


def as_text(bodies: list[str]) -> bytes:
    return "\n\n".join(bodies).encode()


def as_markdown(bodies: list[str]) -> bytes:
    return "\n\n".join(f"## Part {n}\n\n{body}" if n % 9 == 0 else body for n, body in enumerate(bodies)).encode()


def as_html(bodies: list[str]) -> bytes:
    shown = "".join(
        f"<h2>Part {n}</h2><p>{body}</p>" if n % 9 == 0 else f"<p>{body}</p>" for n, body in enumerate(bodies)
    )
    return f"<!doctype html><html><head><title>Book</title></head><body>{shown}</body></html>".encode()


def as_docx(bodies: list[str]) -> bytes:
    document, written = docx.Document(), io.BytesIO()
    for body in bodies:
        document.add_paragraph(body)
    document.save(written)
    return written.getvalue()


def as_pdf(bodies: list[str]) -> bytes:
    return pdf([(f"Part {n}", body.replace(". ", ".\n")) for n, body in enumerate(bodies)])


FORMS = {"txt": as_text, "md": as_markdown, "html": as_html, "docx": as_docx, "pdf": as_pdf}


@pytest.mark.anyio
@pytest.mark.parametrize("form", FORMS)
async def test_a_new_version_with_another_word_embeds_three_texts_at_most(rt: Runtime, form: str) -> None:
    rng = random.Random(12)
    bodies = [" ".join(sentence(rng) for _ in range(60)) for _ in range(6)]
    tenant = await driving.new_tenant(rt)
    document_id = await driving.ready(rt, tenant, FORMS[form](bodies), f"book.{form}", external_id="book")
    assert isinstance(rt.embedder, FakeEmbedder)
    assert len(await driving.chunks_of(rt, document_id)) > 60
    for at, body in enumerate(bodies[:3]):
        bodies[at] = body.replace(" ", " extraordinarily ", 1)
        rt.embedder.seen.clear()
        assert await driving.ready(rt, tenant, FORMS[form](bodies), f"book.{form}", external_id="book") == document_id
        assert 0 < sum(map(len, rt.embedder.seen)) <= 3
