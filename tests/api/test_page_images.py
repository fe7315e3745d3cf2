"""Page images, and the boxes of quotes on them."""

import asyncio
import io

import pytest
from PIL import Image
from sqlalchemy import func, select, update

from footnote.documents import deletion, page_images
from footnote.models import PagePicture
from footnote.operations import consistency
from footnote.runtime import Runtime
from tests import SAMPLES, driving
from tests.api.test_errors import problem
from tests.api.test_uploads import settled, stored
from tests.conftest import Person
from tests.fakes import FakeGenerator

pytestmark = pytest.mark.anyio
HANDBOOK = (SAMPLES / "handbook.pdf").read_bytes()


@pytest.fixture
async def handbook(rt: Runtime, alice: Person) -> str:
    return await driving.ready(rt, alice.tenant_id, HANDBOOK, "handbook.pdf", external_id="handbook")


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


async def test_a_page_image_is_made_and_stored(rt: Runtime, alice: Person, handbook: str) -> None:
    first = await alice.client.get(f"/v1/documents/{handbook}/pages/1.webp?width=800")
    assert (first.status_code, first.headers["content-type"]) == (200, "image/webp")
    picture = opened(first.content)
    assert (picture.format, picture.width) == ("WEBP", 800)
    assert len(picture.convert("L").getcolors(256) or ()) > 10, "there is something on it"
    again = await alice.client.get(f"/v1/documents/{handbook}/pages/1.webp?width=800")
    assert again.content == first.content
    async with rt.sessions() as session:
        assert await session.scalar(select(func.count()).select_from(PagePicture)) == 1
    assert [path.read_bytes() for path in await settled(rt) if "pictures" in str(path)] == [first.content]
    assert [finding async for finding in consistency.audit(rt, fix=False)] == []


async def test_a_picture_that_was_lost_is_made_again(rt: Runtime, alice: Person, handbook: str) -> None:
    first = await alice.client.get(f"/v1/documents/{handbook}/pages/1.webp")
    (path,) = [path for path in stored(rt) if "pictures" in str(path)]
    path.unlink()
    again = await alice.client.get(f"/v1/documents/{handbook}/pages/1.webp")
    assert again.content == first.content


async def test_pictures_go_with_their_version(rt: Runtime, alice: Person, handbook: str) -> None:
    await alice.client.get(f"/v1/documents/{handbook}/pages/1.webp")
    await driving.ready(rt, alice.tenant_id, "Something else.", "handbook.txt", external_id="handbook")
    assert len(await settled(rt)) == 1
    await deletion.remove(rt.for_tenant(alice.tenant_id), handbook)
    assert await settled(rt) == []


async def test_a_page_requested_concurrently_is_stored_once(committing_rt: Runtime) -> None:
    rt = committing_rt
    tenant = await driving.new_tenant(rt)
    document_id = await driving.ready(rt, tenant, HANDBOOK, "handbook.pdf")
    made = await asyncio.gather(*(page_images.picture(rt.for_tenant(tenant), document_id, 1, 400) for _ in range(4)))
    assert len(set(made)) == 1
    async with rt.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(PagePicture)) == 1


async def test_a_quote_is_placed_where_it_is_printed(rt: Runtime, alice: Person, handbook: str) -> None:
    pages = [await alice.client.get(f"/v1/documents/{handbook}/pages/{number}") for number in (1, 2)]
    for number, page in enumerate(pages, 1):
        text = page.json()["text"]
        words = text.split()
        first, last = " ".join(words[:3]), " ".join(words[-3:])
        tops = []
        for quote in (first, last):
            start = text.index(quote.split()[0]) if quote == first else text.rindex(quote.split()[0])
            end = start + len(quote) if quote == first else len(text.rstrip())
            query = {"char_start": start, "char_end": end}
            answer = await alice.client.get(f"/v1/documents/{handbook}/pages/{number}/highlights", params=query)
            assert answer.status_code == 200, answer.text
            boxes = answer.json()["boxes"]
            assert boxes
            assert all(0 <= left < right <= 1 and 0 <= top < bottom <= 1 for left, top, right, bottom in boxes)
            tops.append(boxes[0][1])
        assert tops[0] < tops[1], "what comes first in the text stands higher on the page"


async def test_every_chunk_has_boxes(rt: Runtime, alice: Person, handbook: str) -> None:
    for chunk in await driving.chunks_of(rt, handbook):
        query = {"char_start": chunk.char_start, "char_end": chunk.char_end}
        path = f"/v1/documents/{handbook}/pages/{chunk.page_start}/highlights"
        found = (await alice.client.get(path, params=query)).json()
        assert (found["quote"], bool(found["boxes"])) == (chunk.text, True)


async def test_a_footnote_opens_the_page_it_was_checked_against_or_nothing(
    rt: Runtime, alice: Person, handbook: str
) -> None:
    assert isinstance(rt.generator, FakeGenerator)
    [chunk, *_] = (await alice.client.get(f"/v1/documents/{handbook}/chunks")).json()["data"]
    words = chunk["text"][:100].rsplit(maxsplit=1)[0]
    asked = {"question": words, "top_k": 1}
    rt.generator.pieces = [f'It says [1: "{words}"].']
    [citation] = (await alice.client.post("/v1/query", json=asked)).json()["citations"]
    assert citation["verified"]
    page, marked = [await alice.client.get(citation[name]) for name in ("url", "highlights_url")]
    assert page.json()["text"][citation["char_start"] : citation["char_end"]] == citation["quote"]
    assert (marked.json()["quote"], bool(marked.json()["boxes"])) == (citation["quote"], True)

    await driving.ready(rt, alice.tenant_id, "Another text altogether. " * 20, "handbook.txt", external_id="handbook")
    picture = f"/v1/documents/{handbook}/pages/1.webp?version=1"
    for url in (citation["url"], citation["highlights_url"], picture):
        assert problem(await alice.client.get(url), 410)["code"] == "version_replaced"
    assert (await alice.client.get(citation["url"].replace("version=1", "version=2"))).status_code == 200
    unknown = await alice.client.get(citation["url"].replace("version=1", "version=3"))
    assert problem(unknown, 404)["code"] == "page_not_found"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("pages/99.webp", 404, "page_not_found"),
        ("pages/0.webp", 422, "invalid_request"),
        ("pages/x.webp", 422, "invalid_request"),
        ("pages/1.webp?width=100000", 422, "invalid_request"),
        ("pages/99/highlights?char_start=0&char_end=9", 404, "page_not_found"),
        ("pages/1/highlights?char_start=9&char_end=9", 422, "invalid_request"),
        ("pages/1/highlights?char_start=900000&char_end=900009", 422, "invalid_request"),
        ("pages/1/highlights", 422, "invalid_request"),
    ],
)
async def test_bad_requests(alice: Person, handbook: str, path: str, status: int, code: str) -> None:
    answer = await alice.client.get(f"/v1/documents/{handbook}/{path}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_other_formats_have_no_pictures(rt: Runtime, alice: Person) -> None:
    document_id = await driving.ready(rt, alice.tenant_id, "Some text.")
    answer = await alice.client.get(f"/v1/documents/{document_id}/pages/1.webp")
    assert (answer.status_code, answer.json()["code"]) == (415, "no_pictures")


async def test_other_tenants_see_nothing(charlie: Person, handbook: str) -> None:
    for path in ("1.webp", "1/highlights?char_start=0&char_end=9"):
        assert (await charlie.client.get(f"/v1/documents/{handbook}/pages/{path}")).status_code == 404


async def test_a_version_replaced_while_its_page_is_drawn_stores_nothing(
    rt: Runtime, alice: Person, handbook: str
) -> None:
    document = await driving.document_of(rt, handbook)
    version = await driving.version_of(rt, document.active_version_id or "")
    async with rt.transaction() as session:
        await session.execute(update(type(version)).where(type(version).id == version.id).values(object_key=None))
    await page_images._store(rt, version, 1, 400, b"picture")
    async with rt.sessions() as session:
        assert await session.scalar(select(func.count()).select_from(PagePicture)) == 0


async def test_a_picture_of_a_version_is_stored_by_browsers_and_others_are_asked_for_again(
    alice: Person, handbook: str
) -> None:
    path = f"/v1/documents/{handbook}/pages/1.webp?width=200"
    small = await alice.client.get(path)
    assert (opened(small.content).width, small.headers["cache-control"]) == (200, "private, no-cache")
    again = await alice.client.get(path, headers={"If-None-Match": small.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", small.headers["etag"])
    assert (await alice.client.get(path, headers={"If-None-Match": '"another"'})).status_code == 200
    of_version = await alice.client.get(f"{path}&version=1")
    assert of_version.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert of_version.headers["etag"] == small.headers["etag"]
    problem(await alice.client.get(path.replace("200", "300")), 422, "invalid_request")


async def test_a_quote_of_three_lines_has_three_boxes(alice: Person, handbook: str) -> None:
    text = (await alice.client.get(f"/v1/documents/{handbook}/pages/1")).json()["text"]
    lines = [each for each in text.split("\n") if len(each) > 40][:3]
    start = text.index(lines[0])
    end = text.index(lines[2], start) + len(lines[2])
    query = {"char_start": start, "char_end": end}
    found = (await alice.client.get(f"/v1/documents/{handbook}/pages/1/highlights", params=query)).json()
    printed = [each for each in text[start:end].split("\n") if each.strip()]
    assert len(found["boxes"]) == len(printed)
    assert all(box[3] - box[1] < 0.05 for box in found["boxes"])
