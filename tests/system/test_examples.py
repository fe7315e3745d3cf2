"""The examples in the documentation print what the pages say, asked of the API on a port while a worker works."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from api.app import create_app
from footnote.runtime import open_runtime
from footnote.tenancy import keys
from tests import driving, examples
from tests.api.test_disconnect import listening
from tests.conftest import new_database, settings_of
from tests.examples import Example, Product
from tests.system import known_requests

pytestmark = pytest.mark.anyio
COMMANDS = {"python": [sys.executable], "sh": ["sh", "-e"]}
PROGRAMS = [each for language in COMMANDS for each in examples.programs(language) if not examples.is_apart(each)]


@pytest.fixture(scope="module")
async def product(
    migrated_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Product]:
    """With the models that a new installation has, and the document in a collection of its own."""
    async with new_database(migrated_url) as url:
        settings = settings_of(url, redis_url, tmp_path_factory.mktemp("examples"))
        async with open_runtime(settings, pool_size=8) as rt:
            tenant_id = await driving.new_tenant(rt)
            document = await driving.ready(rt, tenant_id, examples.TEXT, "lamp.txt", collection="lamps")
            collection_id = (await driving.document_of(rt, document)).collection_id
            async with rt.transaction() as session:
                key = (await keys.create(session, tenant_id, "examples"))[1]
            async with listening(create_app(runtime=rt)) as (_, port), driving.working(rt, 0.2):
                store = collection_id.replace("col_", "vs_", 1)
                yield Product(f"http://127.0.0.1:{port}", key, store)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda each: f"{each[0].page.name}:{each[0].language}")
async def test_an_example_prints_what_the_page_says(product: Product, program: list[Example], tmp_path: Path) -> None:
    await asyncio.to_thread(examples.run, program, COMMANDS[program[0].language], product, tmp_path)


@pytest.mark.parametrize("send", [known_requests.open_webui, known_requests.librechat, known_requests.n8n])
async def test_a_program_as_the_page_configures_it_gets_its_answers(
    product: Product, send: Callable[[Product], Awaitable[None]]
) -> None:
    await send(product)


def test_every_block_on_the_pages_is_run_or_read() -> None:
    found = [each for page in examples.PAGES for each in examples.examples(page)]
    assert {each.language for each in found} <= {"python", "js", "sh", "console", "json", "yaml", "ini"}
    for each in found:
        if each.language == "json":
            json.loads(each.code)
        elif each.language in COMMANDS or each.language == "js":
            assert each.prints, f"{each.page}:{each.line} does not say what it prints"
