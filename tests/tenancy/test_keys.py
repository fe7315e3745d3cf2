"""API keys."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text, update

from footnote.errors import Forbidden, Unauthenticated
from footnote.models import ApiKey
from footnote.runtime import Runtime
from footnote.tenancy import keys, tenants
from footnote.tenancy.keys import Principal

pytestmark = pytest.mark.anyio


async def made(rt: Runtime, scopes: tuple[str, ...] = keys.SCOPES) -> tuple[str, ApiKey, str]:
    async with rt.transaction() as session:
        tenant = await tenants.create(session, "ours")
        key, presented = await keys.create(session, tenant.id, "first", scopes)
        return tenant.id, key, presented


async def verified(rt: Runtime, presented: str) -> Principal:
    return (await keys.verify(rt, presented)).principal


async def test_a_key_tells_its_tenant_and_scopes(rt: Runtime) -> None:
    tenant_id, key, presented = await made(rt, ("read",))
    principal = await verified(rt, presented)
    assert principal == Principal(tenant_id, key.id, frozenset({"read"}))
    assert principal.may("read")
    assert not principal.may("write")
    assert Principal("t", "k", frozenset({"admin"})).may("write")


async def test_the_secret_is_not_kept(rt: Runtime) -> None:
    _, key, presented = await made(rt)
    secret = presented.split("_", 2)[2]
    assert len(secret) >= 43
    async with rt.transaction() as session:
        row = str((await session.execute(text("SELECT k::text FROM api_key k"))).scalars().all())
    assert secret not in row
    assert secret.encode().hex() not in row
    assert key.prefix in row


async def test_every_changed_character_is_refused(rt: Runtime) -> None:
    _, _, presented = await made(rt)
    changed = [
        presented[:at] + ("x" if presented[at] != "x" else "y") + presented[at + 1 :] for at in range(len(presented))
    ]
    for each in [*changed, presented + "a", presented[:-1], " " + presented, presented.swapcase(), presented + "\x00"]:
        with pytest.raises(Unauthenticated):
            await verified(rt, each)


@pytest.mark.parametrize(
    "presented",
    ["", "fn", "fn_", "fn__", "fn_a_", "fn__a", "\x00", "fn_\x00_a", "fn_é_a", "fn_a_\ud800", "fn_" + "a" * 10**6],
)
async def test_what_is_no_key_at_all(rt: Runtime, presented: str) -> None:
    with pytest.raises(Unauthenticated):
        await verified(rt, presented)


async def test_a_key_ends_when_it_should(rt: Runtime) -> None:
    _, key, presented = await made(rt)

    async def put(**values: datetime | None) -> None:
        async with rt.transaction() as session:
            await session.execute(update(ApiKey).where(ApiKey.id == key.id).values(**values))

    await put(expires_at=datetime.now(UTC) + timedelta(hours=1))
    await verified(rt, presented)
    await put(expires_at=datetime.now(UTC) - timedelta(hours=1))
    with pytest.raises(Unauthenticated):
        await verified(rt, presented)
    await put(expires_at=None, revoked_at=datetime.now(UTC))
    with pytest.raises(Unauthenticated):
        await verified(rt, presented)


async def test_keys_are_all_different(rt: Runtime) -> None:
    tenant_id, _, presented = await made(rt)
    async with rt.transaction() as session:
        more = [(await keys.create(session, tenant_id, "same name"))[1] for _ in range(20)]
    assert len({presented, *more}) == 21
    assert (await verified(rt, more[3])).tenant_id == tenant_id


async def test_nobody_gives_a_scope_away_that_they_lack(rt: Runtime) -> None:
    tenant_id, key, _ = await made(rt, ("write",))
    maker = Principal(tenant_id, key.id, frozenset({"write"}))
    async with rt.transaction() as session:
        assert (await keys.make(session, maker, "fewer", ["write"], most={}))[0].scopes == ["write"]
        with pytest.raises(Forbidden, match="missing_scope"):
            await keys.make(session, maker, "more", ["write", "read"], most={})
