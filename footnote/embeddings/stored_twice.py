"""Deletes rows of `embedding` that releases before ADR 73 stored in addition to the chunks, a few at a time."""

import asyncio
from typing import Any

from footnote.database.driver import driver
from footnote.embeddings.second_vectors import WITHOUT_WORDS
from footnote.runtime import Runtime

AT_ONCE = 100
PAUSE_SECONDS = 0.02
_SAME = "tenant_id = e.tenant_id AND space_id = e.space_id AND text_sha256 = e.text_sha256"
# Not of documents that are being worked on: their jobs count on them.
_GIVE_BACK = f"""
WITH part AS MATERIALIZED (
    SELECT tenant_id, space_id, text_sha256, split FROM embedding
    WHERE (tenant_id, space_id, text_sha256) > ($1, $2, $3) ORDER BY tenant_id, space_id, text_sha256 LIMIT $4
), twice AS MATERIALIZED (
    SELECT e.tenant_id, e.space_id, e.text_sha256, e.split
    FROM part JOIN embedding AS e USING (tenant_id, space_id, text_sha256)
    WHERE coalesce((SELECT 1 FROM chunk WHERE {_SAME} LIMIT 1), (SELECT 1 FROM chunk_vector WHERE {_SAME} LIMIT 1)) = 1
      AND NOT EXISTS (SELECT FROM job WHERE job.document_id = e.document_id
                      AND job.state IN ('queued', 'running', 'waiting'))
    FOR UPDATE OF e SKIP LOCKED
), marked AS (
    UPDATE chunk AS c SET split = true FROM twice AS e
    WHERE e.split AND c.tenant_id = e.tenant_id AND c.space_id = e.space_id AND c.text_sha256 = e.text_sha256
), seconds_marked AS (
    UPDATE chunk_vector AS c SET split = true FROM twice AS e
    WHERE e.split AND c.tenant_id = e.tenant_id AND c.space_id = e.space_id AND c.text_sha256 = e.text_sha256
), gone AS (
    DELETE FROM embedding AS e USING twice
    WHERE e.tenant_id = twice.tenant_id AND e.space_id = twice.space_id AND e.text_sha256 = twice.text_sha256
)
SELECT tenant_id, space_id, text_sha256 FROM part ORDER BY tenant_id DESC, space_id DESC, text_sha256 DESC LIMIT 1
"""  # noqa: S608  constants


async def give_back(rt: Runtime) -> None:
    """Deletes rows whose vector a chunk has, too, some in each transaction: releases before this one left them."""
    last: tuple[Any, ...] | None = ("", 0, b"")
    while last is not None:
        async with rt.transaction(**WITHOUT_WORDS) as session:
            row = await (await driver(session)).fetchrow(_GIVE_BACK, *last, AT_ONCE)
        last = None if row is None else tuple(row)
        await asyncio.sleep(PAUSE_SECONDS if last else 0)
