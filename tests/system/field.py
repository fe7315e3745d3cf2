"""`python -m tests.system.field`: uploads field cases to the running product, and checks each.

`cases.jsonl` names a file per line and what must hold for it: `text` (strings that the stored pages contain), `not`
(strings that they do not), `search` (each query, by keywords, finds the file first), `every_chunk_with` and `has` (each
chunk that contains the one contains the others, in its text or in the context it is indexed with). A case may have
several of them. A `note` is for a person to judge: with `--show` the chunks of such a file are printed.
"""

import argparse
import asyncio
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.system.faults.stack import Stack, until

CASES = Path("../shared/corpora/field")
UNFINISHED = ("queued", "running", "waiting")
READY_SECONDS = 300.0
TOLD = 3  # failures of a case that are printed
COLLECTION = "field"

Json = dict[str, Any]


@dataclass
class Case:
    """One file and what must hold for it; `failures` are sentences."""

    expected: Json
    content: bytes
    document_id: str = ""
    chunks: list[Json] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.expected["file"])

    @property
    def collection(self) -> str:
        """Each file whose search is judged has a collection of its own: several files hold the same words."""
        return COLLECTION + (f"-{re.sub('[^a-z0-9]+', '-', self.name)}" if "search" in self.expected else "")


def read_cases(folder: Path) -> list[Case]:
    lines = (folder / "cases.jsonl").read_text().splitlines()
    expected = [json.loads(line) for line in lines if line.strip()]
    return [Case(each, (folder / each["file"]).read_bytes()) for each in expected]


class Field:
    """The product, as far as field cases ask it."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def ingest(self, case: Case) -> None:
        if case.collection != COLLECTION:
            await self._client.post("/v1/collections", json={"name": case.collection})
        name = Path(case.name).name
        form = {"collection": case.collection, "external_id": case.name}
        answer = await self._client.post("/v1/documents", files={"file": (name, case.content)}, data=form)
        body = answer.json()
        if answer.status_code == 202:
            case.document_id = body["document"]["id"]
        else:
            case.failures.append(f"refused: {body['code']}: {body['detail']}")

    async def finished(self) -> None:
        """Waits until every document has ended, those found in mails included."""

        async def none_left() -> bool:
            found = [await self._get("/v1/documents", status=status, limit=1) for status in UNFINISHED]
            return not any(each["data"] for each in found)

        await until(none_left, READY_SECONDS, "every document is ready or has failed")

    async def check(self, case: Case) -> None:
        status = await self._get(f"/v1/documents/{case.document_id}/status")
        if status["status"] != "ready":
            case.failures.append(f"{status['status']}: {status['error']}")
            return
        case.chunks = await self._chunks(case)
        stored = await self._text(case)
        expected = case.expected
        case.failures += [f"not stored: {each!r}" for each in expected.get("text", ()) if each not in stored]
        case.failures += [f"stored: {each!r}" for each in expected.get("not", ()) if each in stored]
        case.failures += [problem for each in case.chunks if (problem := mismatch(each, expected))]
        for query in expected.get("search", ()):
            await self._search(case, query)

    async def _search(self, case: Case, query: str) -> None:
        body = {"query": query, "mode": "keyword", "collections": [case.collection]}
        answer = await self._client.post("/v1/search", json=body)
        hits = answer.json()["data"]
        if not hits or hits[0]["document_id"] != case.document_id:
            case.failures.append(f"not found by {query!r}")

    async def _text(self, case: Case) -> str:
        """The stored text of the document and of those found in it, a mail's attachments for instance."""
        texts = []
        for document in await self._documents(case):
            for number in range(1, (document["pages"] or 0) + 1):
                texts.append((await self._get(f"/v1/documents/{document['id']}/pages/{number}"))["text"])
        return "\n\n".join(texts)

    async def _documents(self, case: Case) -> list[Json]:
        """The document, and those that were found in it."""
        own = await self._get(f"/v1/documents/{case.document_id}")
        found = (await self._get("/v1/documents", collection=case.collection, limit=100))["data"]
        return [own, *(each for each in found if each.get("parent_id") == own["id"])]

    async def _chunks(self, case: Case) -> list[Json]:
        found: list[Json] = []
        asked: Json = {"limit": 100}
        while True:
            page = await self._get(f"/v1/documents/{case.document_id}/chunks", **asked)
            found += page["data"]
            if page["next_cursor"] is None:
                return found
            asked["cursor"] = page["next_cursor"]

    async def _get(self, path: str, **params: Any) -> Json:
        answer = await self._client.get(path, params=params)
        answer.raise_for_status()
        body: Json = answer.json()
        return body


def mismatch(chunk: Json, expected: Json) -> str | None:
    """What a chunk should know besides its text, and does not."""
    wanted = expected.get("every_chunk_with")
    if wanted is None or wanted not in chunk["text"]:
        return None
    known = f"{chunk.get('context', '')}\n{chunk['heading']}\n{chunk['text']}"
    missing = [each for each in expected["has"] if each not in known]
    return f"chunk {chunk['position']} lacks {missing}" if missing else None


async def run(cases: list[Case]) -> None:
    async with Stack(FOOTNOTE_CHUNK_SIZE="400", FOOTNOTE_CHUNK_OVERLAP="50") as stack:
        await stack.ready()
        headers = {"Authorization": f"Bearer {stack.key}"}
        async with httpx2.AsyncClient(base_url=stack.url, headers=headers, timeout=60, trust_env=False) as client:
            product = Field(client)
            for case in cases:
                await product.ingest(case)
            await product.finished()
            for case in cases:
                if case.document_id:
                    await product.check(case)


def main(folder: Path, *, show: bool) -> int:
    cases = read_cases(folder)
    asyncio.run(run(cases))
    for case in cases:
        print(f"{'FAILS' if case.failures else 'holds'}  {case.name}")
        for failure in case.failures[:TOLD]:
            print(f"       {failure}")
    for case in cases:
        if show and "note" in case.expected:
            print(f"\n## {case.name}: {case.expected['note']}")
            for chunk in case.chunks:
                print(f"\n[{chunk.get('context', chunk['heading'])}]\n{chunk['text']}")
    failed = sum(bool(case.failures) for case in cases)
    print(f"\n{len(cases) - failed} of {len(cases)} cases hold.")
    return 1 if failed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tests.system.field", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=CASES, help="where cases.jsonl is")
    parser.add_argument("--show", action="store_true", help="print the chunks of the cases that have a note")
    given = parser.parse_args()
    sys.exit(main(given.folder, show=given.show))
