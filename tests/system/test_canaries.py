"""Secrets that are used, and then looked for in everything that is stored, logged or answered."""

import json
import logging
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import pytest
from httpx2 import Response
from sqlalchemy import text, update

from footnote.models import Base, Tenant
from footnote.operations import gauges
from footnote.providers import open_embedder
from footnote.providers.guarded import guard_embedder
from footnote.runtime import Runtime
from footnote.telemetry.exposition import exposition
from tests import ROOT, driving
from tests.api.test_headers import api_with
from tests.conftest import Person
from tests.fakes import FakeServer
from tests.overhearing import overheard
from tests.system import security, thrown

pytestmark = pytest.mark.anyio
PROVIDER = "sk-canary-provider-0123456789abcdef"
WEBHOOK = "whsec_Y2FuYXJ5LXdlYmhvb2stMDEyMzQ1Njc4OWFiY2RlZg=="
SAID = "canarius"  # in questions, texts, file names and query strings, which are no business of the log
KEPT = {"tenant", "signing_key", "webhook_endpoint"}  # tables that hold secrets, in plain


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that any library logs."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "botocore"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def _said(record: logging.LogRecord) -> str:
    raised = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
    return f"{record.getMessage()} {record.__dict__} {raised}"


async def _rows(rt: Runtime) -> str:
    found: list[str] = []
    async with rt.transaction() as session:
        for table in Base.metadata.sorted_tables:
            if table.name not in KEPT:
                found += (await session.execute(text(f'SELECT t::text FROM "{table.name}" t'))).scalars().all()
    return "\n".join(found)


async def _requests(alice: Person, secrets: tuple[str, ...]) -> list[Response]:
    """The word in each place of a request, then each secret in the header of several."""
    answers: list[Response] = []
    hybrid = {"question": f"Where is {SAID}?"}
    for method, path, sent in (
        ("POST", "/v1/documents/text", {"text": f"Here is {SAID}.", "filename": f"{SAID}.txt"}),
        ("GET", f"/v1/documents?external_id={SAID}", None),
        ("GET", f"/v1/documents?cursor={SAID}", None),
        ("GET", f"/{SAID}", None),
        ("POST", "/v1/query", hybrid),
        ("POST", "/v1/query", hybrid | {"stream": True}),
        ("POST", "/v1/search", {"query": SAID, "top_k": 10**9}),
        ("POST", f"/v1/search?{SAID}={SAID}", {"query": SAID}),
        ("PUT", f"/v1/uploads/{SAID}.md", {}),
    ):
        answers.append(await alice.client.request(method, path, json=sent))
    for secret in secrets:
        for path, body in (
            ("/v1/jobs", None),
            ("/v1/documents/doc_unknown", None),
            ("/v1/usage", None),
            ("/v1/search", {"query": "lamp"}),
            ("/v1/search", {"query": 1, "top_k": "x"}),
            ("/v1/documents/text", {"text": "A lamp.", "callback_url": "http://127.0.0.1:1/hook"}),
        ):
            headers = {"Authorization": f"Bearer {secret}"}
            answers.append(await alice.client.request("POST" if body else "GET", path, json=body, headers=headers))
    return answers


def _ours(records: Sequence[logging.LogRecord]) -> list[str]:
    """What our code logged, and what was logged for it."""
    theirs = ("httpx", "httpcore", "asyncio")
    return [_said(record) for record in records if not record.name.startswith(theirs)]


async def test_nothing_that_a_request_says_is_logged_or_counted(
    rt: Runtime, alice: Person, logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The word in every place of every route that takes one, and within the credentials of addresses."""
    monkeypatch.setattr(thrown, "STRINGS", (SAID,))
    monkeypatch.setattr(thrown, "FEW", frozenset((SAID,)))
    monkeypatch.setattr(thrown, "BODIES", (f'{{"{SAID}'.encode(), f'["{SAID}"]'.encode()))
    ids = await security.made(alice.client)
    monkeypatch.setitem(thrown.SAMPLES, "url", f"https://{SAID}:{SAID}@lamp.example/")
    native = (await alice.client.get("/openapi.json")).json()
    surface = json.loads((ROOT / "docs" / "openai-surface.json").read_text())
    sent = Counter[int]()
    for method, address, given in chain(thrown.requests(native, ids), thrown.requests(surface, {})):
        headers = security.JSON if "content" in given else {}
        answer = await alice.client.request(method, address, headers=headers, **given)
        sent[answer.status_code] += 1
    assert sent[200] + sent[201] + sent[202] > 40, sent
    assert sent[500] == 0
    assert [said for said in _ours(logged.records) if SAID in said] == []
    assert SAID not in exposition(await gauges.read(rt))


async def _failure(alice: Person, monkeypatch: pytest.MonkeyPatch) -> Response:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr("footnote.documents.list_documents", broken)
        return await alice.client.get("/v1/documents")


async def _refused_by_provider(rt: Runtime, alice: Person) -> str:
    """The id of a job whose provider repeats the key that it was sent."""
    async with FakeServer().listening() as server:
        own = {
            "openai_api_key": PROVIDER,
            "openai_base_url": f"http://127.0.0.1:{server.port}/v1",
            "embedder": "openai",
        }
        settings = rt.settings.model_copy(update=own)
        server.json({"error": {"message": f"Incorrect API key provided: {PROVIDER}."}}, 401)
        embedder = guard_embedder(open_embedder(settings), rt.shared, settings, interactive=False)
        working = replace(rt, settings=settings, embedder=embedder)
        accepted = await driving.accept(working, alice.tenant_id, "Words for the provider.", collection="paid")
        job = await driving.run(working, accepted.details.job.id)
        assert job.error_code == "provider_rejected"
        assert PROVIDER in server.heads[0]
        await embedder.close()
        return job.id


async def _used(rt: Runtime, alice: Person, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Response], list[str]]:
    """What was answered, and the secrets that it went with."""
    token = (await alice.client.post("/v1/tokens")).json()["access_token"]
    made = (await alice.client.post("/v1/keys", json={"name": "another"})).json()["secret"]
    async with rt.transaction() as session:
        await session.execute(update(Tenant).where(Tenant.id == alice.tenant_id).values(webhook_secret=WEBHOOK))
    endpoint = (await alice.client.post("/v1/webhook_endpoints", json={"url": "http://127.0.0.1:1/hook"})).json()
    rotated = (await alice.client.post(f"/v1/webhook_endpoints/{endpoint['id']}/rotate")).json()
    signing = [each["secret"].removeprefix("whsec_") for each in (endpoint, rotated)]
    answers = await _requests(alice, (alice.key, made, token, alice.key[:-3] + "xxx", token[:-3] + "xxx"))
    answers.append(await _failure(alice, monkeypatch))
    assert {answer.status_code for answer in answers} >= {200, 202, 401, 403, 404, 422, 500}
    job_id = await _refused_by_provider(rt, alice)
    async with api_with(rt, alice) as client:
        for path in ("/metrics", "/readyz", f"/v1/jobs/{job_id}", "/v1/jobs"):
            answers.append(await client.get(path))
        for path in ("/v1/keys", "/v1/webhook_endpoints", "/v1/audit"):
            answers.append(await client.get(path))

    parts = token.split(".")
    of_keys = [each.split("_", 2)[2] for each in (alice.key, made)]
    return answers, [*of_keys, *parts[1:], *signing, WEBHOOK, WEBHOOK[6:], PROVIDER]


async def test_no_secret_is_written_down_or_answered(
    rt: Runtime, alice: Person, logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rt.redis is not None
    async with overheard(rt.redis) as passed:
        answers, secrets = await _used(rt, alice, monkeypatch)
    written = {
        "logs": "\n".join(map(_said, logged.records)),
        "answers": "\n".join(f"{answer.headers} {answer.text}" for answer in answers),
        "rows": await _rows(rt),
        "Redis": "\n".join(passed),
    }
    assert {place for place, said in written.items() for secret in secrets if secret in said} == set()
    ours = _ours(logged.records)
    assert [said for said in ours if SAID in said] == []
    assert len([said for said in ours if "'event': 'request'" in said]) >= len(answers)
    assert "doc_unknown" in written["answers"]
    assert "footnote:rate:key_" in written["Redis"]
    assert "a bug" in written["logs"]
