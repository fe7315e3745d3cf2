"""Which chunks a question may see."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import Result, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.filters import Filter, sql

# The tenant wall of retrieval: each leg reads chunks through this condition and no other.
_WALL = "c.tenant_id = :tenant AND c.collection_id = ANY(CAST(:collections AS text[]))"

_FILTERED = """ AND c.document_id IN (
    SELECT document.id FROM document
    WHERE document.tenant_id = :tenant AND document.collection_id = ANY(CAST(:collections AS text[])) AND {condition}
)"""


@dataclass
class Scope:
    """A condition on the chunk `c`, and the parameters that a statement made with it names."""

    condition: str
    parameters: dict[str, Any] = field(default_factory=dict)

    async def run(self, session: AsyncSession, statement: str, **parameters: Any) -> Result[Any]:
        bound = text(statement)
        if "vector" in self.parameters:
            bound = bound.bindparams(bindparam("vector", type_=HALFVEC()))
        return await session.execute(bound, self.parameters | parameters)


def scope_of(
    tenant_id: str, collections: Sequence[str], document_ids: Sequence[str] | None, filter: Filter | None = None
) -> Scope:
    """The chunks of the tenant, in these collections (ids), of these documents only if any are named or filtered."""
    scope = Scope(_WALL, {"tenant": tenant_id, "collections": list(collections)})
    if document_ids is not None:
        scope.condition += " AND c.document_id = ANY(CAST(:documents AS text[]))"
        scope.parameters["documents"] = list(document_ids)
    if filter is not None:
        condition, parameters = sql.condition(filter, tenant_id, sql.ACTIVE)
        scope.condition += _FILTERED.format(condition=condition)
        scope.parameters |= parameters
    return scope
