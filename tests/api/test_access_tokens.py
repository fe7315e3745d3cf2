"""Access tokens: what they allow, when they end, and which are refused."""

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from sqlalchemy import select, update

from footnote.models import ApiKey, SigningKey
from footnote.runtime import Runtime
from footnote.tenancy import keys
from footnote.tenancy.access_tokens import SIGNS, VERIFIES
from tests.api.test_errors import problem
from tests.api.test_keys import key_with, using
from tests.conftest import Person

pytestmark = pytest.mark.anyio


async def token_of(person: Person, secret: str | None = None, **body: Any) -> dict[str, Any]:
    answer = await person.client.post("/v1/tokens", json=body, **using(secret or person.key))
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    return found


def opened(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, claims, _ = token.split(".")
    return tuple(json.loads(base64.urlsafe_b64decode(part + "==")) for part in (header, claims))


async def test_a_token_has_the_scopes_of_its_key_or_fewer_for_a_while(alice: Person, bob: Person) -> None:
    made = await token_of(alice, scopes=["read"])
    assert (made["token_type"], made["scopes"]) == ("Bearer", ["read"])
    left = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=28) < left <= timedelta(minutes=30)
    given = using(made["access_token"])
    assert (await alice.client.get("/v1/documents", **given)).status_code == 200
    problem(await alice.client.post("/v1/documents/text", json={"text": "x"}, **given), 403, "missing_scope")
    whole = await alice.client.post("/v1/tokens", **using(alice.key))
    assert whole.json()["scopes"] == ["read", "write", "admin"]
    assert (await token_of(bob))["scopes"] == ["read"]
    problem(await bob.client.post("/v1/tokens", json={"scopes": ["write"]}), 403, "missing_scope")
    problem(await alice.client.post("/v1/tokens", json={}, **using(whole.json()["access_token"])), 401)


async def test_a_token_does_not_outlive_its_key(rt: Runtime, alice: Person) -> None:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5)
    mortal = await key_with(rt, alice, "read", "admin", expires_at=ends)
    made = await token_of(alice, mortal)
    assert datetime.fromisoformat(made["expires_at"]) == ends
    given = using(made["access_token"])
    lasting = await alice.client.post("/v1/keys", json={"name": "x", "scopes": ["read"]}, **given)
    assert datetime.fromisoformat(lasting.json()["expires_at"]) == ends, "nor does a key made with it"
    key_id = (await keys.verify(rt, mortal)).principal.key_id
    assert (await alice.client.get("/v1/documents", **given)).status_code == 200
    await alice.client.delete(f"/v1/keys/{key_id}")
    problem(await alice.client.get("/v1/documents", **given), 401, "invalid_api_key")


async def test_signing_keys_rotate_and_overlap(rt: Runtime, alice: Person) -> None:
    async def age(by: timedelta) -> None:
        async with rt.transaction() as session:
            await session.execute(update(SigningKey).values(created_at=datetime.now(UTC) - by))

    first = (await token_of(alice))["access_token"]
    assert opened((await token_of(alice))["access_token"])[0]["kid"] == opened(first)[0]["kid"]
    await age(SIGNS + timedelta(minutes=1))
    second = (await token_of(alice))["access_token"]
    assert opened(second)[0]["kid"] != opened(first)[0]["kid"]
    for token in (first, second):
        assert (await alice.client.get("/v1/jobs", **using(token))).status_code == 200
    await age(VERIFIES + timedelta(minutes=1))
    problem(await alice.client.get("/v1/jobs", **using(first)), 401)
    await token_of(alice)
    async with rt.transaction() as session:
        assert len((await session.scalars(select(SigningKey))).all()) == 1, "the old ones are gone"


def _joined(header: Any, claims: Any, signature: bytes = b"") -> str:
    parts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in (header, claims)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, signature))


async def test_forged_tokens_are_all_refused_alike(rt: Runtime, alice: Person, charlie: Person) -> None:
    good = (await token_of(alice))["access_token"]
    header, claims = opened(good)
    async with rt.transaction() as session:
        signing = await session.get_one(SigningKey, header["kid"])
        theirs = await session.scalar(select(ApiKey.id).where(ApiKey.tenant_id == charlie.tenant_id))
    secret = OctKey.import_key(signing.secret)
    public = RSAKey.import_key(rsa.generate_private_key(65537, 2048).public_key())

    def signed(header: dict[str, Any] = header, key: Any = secret, **changed: Any) -> str:
        merged = {name: value for name, value in {**claims, **changed}.items() if value is not ...}
        return jwt.encode(header, merged, key, ["HS256", "HS384", "HS512"])

    assert (await alice.client.get("/v1/jobs", **using(signed()))).status_code == 200
    body = good.split(".")
    doubled = json.dumps(claims)[:-1].encode() + b', "exp": 9999999999}'
    past, pem = int(datetime.now(UTC).timestamp()) - 60, public.as_pem(private=False)
    by_public = hmac.digest(pem, _joined(header, claims)[:-1].encode(), "sha256")
    bad = {
        "none": _joined({**header, "alg": "none"}, claims),
        "none, signed": _joined({**header, "alg": "nOnE"}, claims, b"x"),
        "another algorithm": signed({**header, "alg": "HS512"}),
        "a public key as secret": _joined(header, claims, by_public),
        "an empty secret": _joined(header, claims, b""),
        "expired": signed(exp=past),
        "no end": signed(exp=...),
        "not yet valid": signed(nbf=past + 3600),
        "an end that is no number": signed(exp=str(past + 3600)),
        "an end that is true": signed(exp=True),
        "an end past all": signed(exp=10**30),
        "another issuer": signed(iss="https://evil.example.com"),
        "another audience": signed(aud="somebody"),
        "several audiences": signed(aud=["footnote", "somebody"]),
        "another tenant's key": signed(sub=theirs),
        "another tenant": signed(tenant=charlie.tenant_id),
        "an unknown key": signed(sub="key_unknown"),
        "a key that is a list": signed(sub=[claims["sub"]]),
        "a key with NUL": signed(sub=claims["sub"] + "\x00"),
        "a lone surrogate": _joined(header, json.dumps({**claims, "sub": "\ud800"}).encode()),
        "scopes that are a list": signed(scope=["admin"]),
        "kid: a path": signed({**header, "kid": "../../../../dev/null"}),
        "kid: an address": signed({**header, "kid": "https://evil.example.com/key"}),
        "kid: SQL": signed({**header, "kid": "x' UNION SELECT 'a"}),
        "kid: a number": _joined({**header, "kid": 1}, claims),
        "kid: none": signed({name: value for name, value in header.items() if name != "kid"}),
        **{f"{name} header": signed({**header, name: "https://evil.example.com/k"}) for name in ("jku", "x5u")},
        "a key in the header": signed({**header, "jwk": secret.as_dict()}),
        "crit": _joined({**header, "crit": ["exp"]}, claims),
        "twice the same claim": _joined(header, doubled),
        "too long": signed(padding="x" * 9000),
        "unicode": good + "é",
        "claims that are a list": _joined(header, []),
        "deep": _joined(header, b'{"a":' * 1200 + b"1" + b"}" * 1200),
        "the claims changed": ".".join((body[0], _joined({}, {**claims, "scope": "admin"}).split(".")[1], body[2])),
        "the signature changed": good[:-5] + ("A" if good[-5] != "A" else "B") + good[-4:],
        "a part more": good + ".e30",
        "nothing": "..",
    }
    answers = {}
    for name, token in bad.items():
        try:
            raw = token.encode("latin-1")
        except UnicodeEncodeError:
            raise AssertionError(name) from None
        answer = await alice.client.get("/v1/jobs", headers=[(b"authorization", b"Bearer " + raw)])
        assert answer.status_code == 401, name
        answers[name] = {**answer.json(), "request_id": ""}
    assert {json.dumps(each) for each in answers.values()} == {json.dumps(answers["none"])}
