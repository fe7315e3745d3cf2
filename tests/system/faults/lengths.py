"""A provider of embeddings that sends vectors of a wrong length: sometimes, and at the end always."""

import signal

from tests.system.faults import checks, corpus, edges
from tests.system.faults.bench import Bench, Options, bench
from tests.system.faults.inflict import Faults
from tests.system.faults.report import Report
from tests.system.faults.stack import until

ROUNDS = 3
OTHER = edges.DIMENSIONS // 2
MODEL = "text-embedding-3-small"
ENDED = "SELECT state || coalesce(': ' || error_code, '') FROM job WHERE document_id = $1"
WITHOUT = """
    SELECT count(*) FROM document WHERE NOT EXISTS (
        SELECT FROM chunk WHERE document_id = document.id AND vector_dims(embedding) = $1)
"""


async def lengths(options: Options) -> Report:
    """A wrong answer spoils nothing, also if it is the first that a process sees; a changed model says what to do."""
    report = Report("lengths: a provider that sends vectors of a wrong length")
    sources, provider = corpus.sources(options.seed, 6 * ROUNDS + 1, (1, 3)), edges.Lengths()
    async with edges.serving(provider.answer) as url:
        settings = {"FOOTNOTE_EMBEDDER": "openai", "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "none"}
        async with bench(options, **settings) as on:
            provider.odd = [OTHER]
            await on.load.upload(sources[0])
            await on.watch.until_ended()
            report.exactly("lengths stored after a first answer of another", [edges.DIMENSIONS], await _stored(on))
            for number in range(ROUNDS):
                provider.odd = [OTHER, OTHER, OTHER // 2][: number + 1]
                await Faults(on.stack, on.watch, options.seed).end("worker", signal.SIGKILL)
                await on.load.upload_all(sources[1 + 6 * number : 7 + 6 * number], 6)
                await on.watch.until_ended()
                report.exactly(f"wrong answers not asked for, restart {number + 1}", [], provider.odd)
            report.exactly("lengths stored", [edges.DIMENSIONS], await _stored(on))
            await on.finish(report, sources)
            await _for_good(report, on, provider, options)
    return report


async def _for_good(report: Report, on: Bench, provider: edges.Lengths, options: Options) -> None:
    """The document fails with what to do, questions say it too, and doing it works."""
    provider.length = OTHER
    added = corpus.sources(options.seed + 1000, 1)[0]
    await on.load.upload(added)
    await on.watch.until_ended()
    document_id = on.load.accepted[added.number]
    ((ended,),) = await checks.rows(on.watch, ENDED, document_id)
    report.exactly("a document after the model changed", "failed: embedding_model_changed", ended)
    query = {"query": added.name, "mode": "vector"}
    refused = await on.load.client.post("/v1/search", json=query)
    report.exactly("a search then", "409, says what to do: True", _told(refused.status_code, refused.text))
    given = {"embedding": {"provider": "openai", "model": MODEL}}
    (await on.load.client.patch("/v1/collections/default", json=given)).raise_for_status()
    jobs = {"error_code": ["embedding_model_changed"]}
    (await on.load.client.post("/v1/jobs/retry", json=jobs)).raise_for_status()

    async def embedded_again() -> bool:
        counts = (await on.load.client.get("/v1/collections/default")).json()["counts"]
        return bool(counts["reingesting"] == 0)

    await until(embedded_again, 120, "the documents were embedded again")
    await on.watch.until_ended()
    report.exactly("documents without vectors of the new length", 0, await checks.count(on.watch, WITHOUT, OTHER))
    report.exactly("a search in the end", 200, (await on.load.client.post("/v1/search", json=query)).status_code)


async def _stored(on: Bench) -> list[int]:
    rows = await checks.rows(on.watch, "SELECT DISTINCT vector_dims(embedding) FROM chunk")
    return [row[0] for row in rows]


def _told(status: int, said: str) -> str:
    return f"{status}, says what to do: {'PATCH /v1/collections/default' in said}"
