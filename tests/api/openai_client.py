"""The official client over the application in this process."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx2
import openai
import pytest

from footnote.errors import FootnoteError
from footnote.providers import GenerationRequest, GeneratorEvent, Token, Truncated, Usage
from footnote.runtime import Runtime
from tests.conftest import Person
from tests.fakes import FakeGenerator

BASE = "http://footnote/openai/v1"
LAMP = "The zircon lamp was lit by Agnes Tolmie in the year 1874. The zircon lamp burns paraffin oil."
FOG = "The fog siren stalls at 2.1 bar of pressure."
ASKED = "Who lit the zircon lamp?"


class Quoting(FakeGenerator):
    """Answers with a quote of each passage. It may stop early, or fail before or after the first piece."""

    def __init__(self) -> None:
        super().__init__()
        self.truncated = False
        self.fails: FootnoteError | None = None
        self.fails_late: FootnoteError | None = None

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        self.requests.append(request)
        if self.fails:
            raise self.fails
        if not request.passages:
            return
        yield Token("It says: ")
        if self.fails_late:
            raise self.fails_late
        for number, passage in enumerate(request.passages, 1):
            yield Token(f'{passage.text[:40]} [{number}: "{passage.text[:40]}"]. ')
        if self.truncated:
            yield Truncated()
        yield Usage(11, 7)


@pytest.fixture
def writer(rt: Runtime) -> Quoting:
    generator = Quoting()
    object.__setattr__(rt, "generator", generator)
    return generator


@pytest.fixture
async def client(writer: Quoting, alice: Person) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=BASE, api_key=alice.key, http_client=alice.client, max_retries=0) as made:
        yield made


def refused(answer: httpx2.Response, status: int, code: str, param: str | None = None) -> str:
    """The message of an error that has all four members, and no others."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    error = answer.json()["error"]
    assert answer.json().keys() == {"error"}
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["code"], error["param"]) == (code, param), answer.text
    kind = {429: "rate_limit_error"}.get(status, "server_error" if status >= 500 else "invalid_request_error")
    assert error["type"] == kind
    return str(error["message"])


async def page_text(person: Person, cited: Any) -> str:
    """What stands on the page at the place of a citation or a hit."""
    path = f"/v1/documents/{cited.document_id}/pages/{cited.page_start}?version={cited.version}"
    text = (await person.client.get(path)).json()["text"]
    return str(text[cited.char_start : cited.char_end])
