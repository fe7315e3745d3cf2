"""Lists of documents: chosen by conditions, in an order, a page at a time; counted.

The statements are written by hand and run on the driver: a page drives them, and so does each window of the library.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections, jobs
from footnote.database.driver import Written, driver, positional
from footnote.database.tenant_scope import tenant_of
from footnote.documents.reading import ACCEPTED, DocumentDetails, details
from footnote.errors import Invalid, NotFound
from footnote.filters import Filter, sql
from footnote.tenancy import tallies
from footnote.tenancy.tallies import DocumentTally

SMALL = 2_000  # documents of a collection that may all be looked at
WALKED = 1_000  # documents in order that are looked at for a part of a name, before those with that part are gathered

Sort = Literal["newest", "oldest", "name"]


@dataclass(frozen=True)
class DocumentFilter:
    """Conditions on documents; an empty one chooses all. `q`: a part of the name or of the external id, in any case."""

    collection: str | None = None
    states: Sequence[str] = ()
    external_id: str | None = None
    sha256: bytes | None = None
    parent_id: str | None = None
    q: str | None = None
    filter: Filter | None = None

    @property
    def only_collection(self) -> bool:
        return self == DocumentFilter(collection=self.collection)


@dataclass(frozen=True)
class _Order:
    """`rows` is the order of the page's rows; `behind` the condition for those after the cursor."""

    ids: str
    rows: str
    behind: str


_NAME = "lower(document.filename)"
_ORDERS: dict[Sort, _Order] = {
    "newest": _Order("document.id DESC NULLS LAST", "page.id DESC", "document.id < :before"),
    "oldest": _Order("document.id", "page.id", "document.id > :before"),
    "name": _Order(f"{_NAME}, document.id", f"{_NAME}, page.id", f"({_NAME}, document.id) > (:name, :before)"),
}
# The rows of a page are found before anything is joined to them: see `footnote.database.paging`.
_LIST = f"""
    WITH page AS MATERIALIZED ({{page}})
    SELECT collection.name, {ACCEPTED}, {jobs.ROWS.columns}
    FROM page JOIN document ON document.id = page.id
    JOIN version ON version.document_id = document.id AND version.number = document.newest_version
    JOIN job ON job.id = document.job_id
    JOIN collection ON collection.id = document.collection_id
    WHERE document.tenant_id = :tenant
    ORDER BY {{order}}
    """  # noqa: S608  constants
# The documents of a collection that is being deleted are not visible. Such collections are few.
_IS_VISIBLE = "document.collection_id NOT IN (SELECT c.id FROM collection c WHERE c.deleted_at IS NOT NULL)"
_IDS = "SELECT document.id FROM {table} WHERE document.tenant_id = :tenant AND {condition}"
# The tenant's view: under row-level security, Postgres looks into no index for a condition that might leak
# the rows of others, such as one on names.
_OF_TENANT = "document_of_tenant AS document"
# A subquery and no join: a join would not be expected to find a page before all jobs of the state are read.
_IDS_IN_STATE = """
    SELECT job.document_id AS id FROM job
    WHERE job.tenant_id = :tenant AND job.state = :state_{index} {older} AND (
        SELECT document.id FROM document
        WHERE document.id = job.document_id AND document.job_id = job.id AND {condition}
      ) IS NOT NULL
    """
_NEWEST_IN_STATE = f"({_IDS_IN_STATE} ORDER BY job.document_id DESC NULLS LAST LIMIT :reach)"
_WALKED = f"""
    SELECT document.id, document.filename FROM (
        SELECT * FROM {_OF_TENANT} WHERE {{passed}} ORDER BY {{order}} LIMIT :walked
    ) AS document WHERE {{condition}}
    """  # noqa: S608  constants
_NAMED = f"""
    SELECT document.id, document.filename FROM {_OF_TENANT}
    WHERE name_parts(document.tenant_id, document.filename, document.external_id) @@ name_part(:tenant, :q)
      AND {{condition}}
    """  # noqa: S608  constants
_PAGE_OF_NAMED = """
    WITH found AS MATERIALIZED ({found})
    SELECT document.id FROM found AS document WHERE {behind} ORDER BY {order} LIMIT :limit OFFSET :offset
    """
_IN_STATE = "(SELECT FROM job WHERE job.tenant_id = :tenant AND job.state = :state_{index} LIMIT :walked)"


@dataclass(frozen=True)
class _Chosen:
    """A `DocumentFilter` in SQL. `few`: whether only a few documents can meet it, or no state is asked for.

    `gathered`: whether all that have a part of a name may have to be found before they are in order; `by_name`: by an
    index of these parts, not by their jobs. `passed`: what is true of all that are looked at.
    """

    condition: str
    states: int
    few: bool
    gathered: bool
    by_name: bool
    passed: str
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def with_states(self) -> str:
        """The condition on documents with that on their jobs."""
        if not self.states:
            return self.condition
        among = ", ".join(f":state_{index}" for index in range(self.states))
        return f"{self.condition} AND (SELECT state FROM job WHERE job.id = document.job_id) IN ({among})"  # noqa: S608  constants

    @property
    def ids(self) -> str:
        """All of them, in a column `id`; by way of the jobs in the states, unless there are few."""
        if self.by_name:
            return _NAMED.format(condition=self.with_states)
        if self.few:
            return _IDS.format(table="document", condition=self.with_states)
        return " UNION ALL ".join(
            _IDS_IN_STATE.format(condition=self.condition, index=index, older="") for index in range(self.states)
        )


async def list_documents(
    session: AsyncSession,
    *,
    limit: int,
    before: str | None = None,
    sort: Sort = "newest",
    offset: int = 0,
    **wanted: Any,
) -> list[DocumentDetails]:
    """`limit` at most of those `DocumentFilter`, from behind the id `before`, without the first `offset` of these.

    The objects belong to no session. Raises NotFound for an unknown collection, Invalid for a cursor by name whose
    document is gone.
    """
    chosen = await _chosen(session, DocumentFilter(**wanted))
    size = _page_size(limit)
    values = chosen.values | {"limit": Written(size), "reach": Written(size + offset), "offset": Written(offset)}
    if before:
        values["before"] = before
        if sort == "name":
            values["name"] = await _name_of(session, before)
    if chosen.gathered:
        values["ids"] = await _named(session, chosen, _ORDERS[sort], values, is_behind=bool(before))
        page = "SELECT unnest(CAST(:ids AS text[])) AS id"
    else:
        page = _page(chosen, sort, is_behind=bool(before))
    rows = await _fetch(session, _LIST.format(page=page, order=_ORDERS[sort].rows), values)
    return [details(row) for row in rows[:limit]]


async def count_documents(session: AsyncSession, wanted: DocumentFilter) -> int:
    """How many there are; looked up and not counted where only a collection is named, or nothing."""
    if wanted == DocumentFilter():
        return (await tallies.of_tenant(session, tenant_of(session))).documents
    if wanted.only_collection:
        collection_id = (await collections.find(session, wanted.collection or "")).id
        return (await tallies.of_collections(session, [collection_id])).get(collection_id, DocumentTally()).documents
    chosen = await _chosen(session, wanted)
    [[count]] = await _fetch(session, f"SELECT count(*) FROM ({chosen.ids}) AS found", chosen.values)  # noqa: S608  constants
    return int(count)


async def ids_of(session: AsyncSession, wanted: DocumentFilter, *, limit: int) -> list[str]:
    """The ids of those wanted, oldest first, `limit` at most. Raises NotFound for an unknown collection."""
    chosen = await _chosen(session, wanted)
    statement = f"SELECT id FROM ({chosen.ids}) AS found ORDER BY id LIMIT :limit"  # noqa: S608  constants
    return [row[0] for row in await _fetch(session, statement, chosen.values | {"limit": limit})]


async def known(session: AsyncSession, collection: str, hashes: Sequence[bytes]) -> list[DocumentDetails]:
    """The documents of a collection whose newest version has one of the SHA-256; none if there is no such collection.

    At most two for each hash, oldest first.
    """
    try:
        collection_id = (await collections.find(session, collection)).id
    except NotFound:
        return []
    page = _IDS.format(
        table="document",
        condition="document.collection_id = :collection AND document.sha256 = ANY(CAST(:hashes AS bytea[]))",
    )
    statement = _LIST.format(page=page, order=_ORDERS["oldest"].rows) + " LIMIT :limit"
    values = {"tenant": tenant_of(session), "collection": collection_id, "hashes": list(hashes)}
    return [details(row) for row in await _fetch(session, statement, values | {"limit": 2 * len(hashes)})]


async def _chosen(session: AsyncSession, wanted: DocumentFilter) -> _Chosen:
    """Raises NotFound for an unknown collection."""
    values: dict[str, Any] = {"tenant": tenant_of(session)}
    conditions, passed = [_IS_VISIBLE], "true"
    narrow = bool(wanted.external_id or wanted.sha256 or wanted.parent_id)
    if wanted.collection:
        values["collection"] = (await collections.find(session, wanted.collection)).id
        passed = "document.collection_id = :collection"
        conditions.append(passed)
        if not narrow and (wanted.states or wanted.q):
            narrow = await _is_small(session, values["collection"])
    for column in ("external_id", "sha256", "parent_id"):
        if value := getattr(wanted, column):
            values[column] = value
            conditions.append(f"document.{column} = :{column}")
    if wanted.q:
        values |= {"q": wanted.q, "like": f"%{_escaped(wanted.q)}%", "walked": Written(WALKED)}
        conditions.append("(document.filename ILIKE :like OR document.external_id ILIKE :like)")
    if wanted.filter:
        condition, parameters = sql.condition(wanted.filter, tenant_of(session), sql.NEWEST)
        values |= parameters
        conditions.append(condition)
    values |= {f"state_{index}": state for index, state in enumerate(wanted.states)}
    gathered = bool(wanted.q) and not narrow
    by_name = gathered and not (wanted.states and await _are_few(session, len(wanted.states), values))
    few = narrow or not wanted.states
    return _Chosen(" AND ".join(conditions), len(wanted.states), few, gathered, by_name, passed, values)


async def _named(
    session: AsyncSession, chosen: _Chosen, order: _Order, values: dict[str, Any], *, is_behind: bool
) -> list[str]:
    """The ids of a page of those with a part of a name.

    A frequent part fills a page with some of the first documents in order. Of a rare one, all that have it are read.
    """
    behind = order.behind if is_behind else "true"
    if chosen.by_name:
        passed = f"{behind} AND {chosen.passed}" if order is not _ORDERS["name"] else behind
        walk = _WALKED.format(passed=passed, order=order.ids, condition=chosen.with_states)
        ways = [walk, chosen.ids]
    else:
        ways = [f"SELECT document.id, document.filename FROM ({chosen.ids}) AS found JOIN document USING (id)"]  # noqa: S608  constants
    ids: list[str] = []
    for found in ways:
        statement = _PAGE_OF_NAMED.format(found=found, behind=behind, order=order.ids)
        ids = [row[0] for row in await _fetch(session, statement, values)]
        if len(ids) >= values["limit"]:
            break
    return ids


def _page(chosen: _Chosen, sort: Sort, *, is_behind: bool) -> str:
    """Ids of documents; the newest are found by the states of their jobs, unless only a few can be meant."""
    if chosen.few or sort != "newest":
        order, table = _ORDERS[sort], _OF_TENANT if sort == "name" else "document"
        condition = f"{chosen.with_states} AND {order.behind}" if is_behind else chosen.with_states
        return f"{_IDS.format(table=table, condition=condition)} ORDER BY {order.ids} LIMIT :limit OFFSET :offset"
    older = "AND job.document_id < :before" if is_behind else ""
    each = (
        _NEWEST_IN_STATE.format(condition=chosen.condition, index=index, older=older) for index in range(chosen.states)
    )
    found = " UNION ALL ".join(each)
    return f"SELECT id FROM ({found}) AS found ORDER BY id DESC LIMIT :limit OFFSET :offset"  # noqa: S608  constants


def _page_size(limit: int) -> int:
    """The same for many limits, so that few statements are prepared."""
    return next((size for size in (2, 21, 51, 101) if size >= limit), limit)


def _escaped(part: str) -> str:
    return part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


async def _are_few(session: AsyncSession, states: int, values: dict[str, Any]) -> bool:
    """Whether few jobs are in the states."""
    each = " UNION ALL ".join(_IN_STATE.format(index=index) for index in range(states))
    [[count]] = await _fetch(session, f"SELECT count(*) FROM ({each}) AS found", values)  # noqa: S608  constants
    return int(count) < WALKED


async def _is_small(session: AsyncSession, collection_id: str) -> bool:
    tally = (await tallies.of_collections(session, [collection_id])).get(collection_id)
    return tally is None or tally.documents <= SMALL


async def _name_of(session: AsyncSession, document_id: str) -> str:
    statement = f"SELECT {_NAME} FROM document WHERE tenant_id = $1 AND id = $2"  # noqa: S608  constants
    name = await (await driver(session)).fetchval(statement, tenant_of(session), document_id)
    if name is None:
        raise Invalid(
            "invalid_cursor", "The document at the cursor has been deleted: read the list from the beginning."
        )
    return str(name)


async def _fetch(session: AsyncSession, statement: str, values: dict[str, Any]) -> Sequence[Sequence[Any]]:
    written, given = positional(statement, values)
    rows: Sequence[Sequence[Any]] = await (await driver(session)).fetch(written, *given)
    return rows
