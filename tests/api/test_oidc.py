"""Tokens of an OIDC issuer: a small real one on loopback, its keys, and tokens that must be refused."""

import asyncio
import base64
import hmac
import json
import time
import warnings
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from pydantic import ValidationError
from sqlalchemy import func, select, update

from api.app import create_app
from footnote.models import Tenant, UsageOfDay
from footnote.outbound.oidc_keys import AGAIN_SECONDS, FRESH_SECONDS, STALE_SECONDS, Issuer
from footnote.runtime import Runtime, open_runtime
from footnote.settings import Settings
from footnote.tenancy.oidc import LEEWAY_SECONDS, claim
from tests.api.test_errors import problem
from tests.api.test_keys import using
from tests.conftest import Person

pytestmark = pytest.mark.anyio
DISCOVERY, KEYS = "/.well-known/openid-configuration", "/keys"


def signed(head: dict[str, Any], claims: Any, key: Any, algorithm: str = "") -> str:
    """A signed token; its parts need not be valid."""
    parts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in (head, claims)]
    said = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    name = algorithm or head["alg"]
    by_secret = isinstance(key, bytes)
    signature = hmac.digest(key, said, f"sha{name[2:]}") if by_secret else JWSRegistry.algorithms[name].sign(said, key)
    return (said + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


@dataclass
class FakeIssuer:
    """Serves its documents, counts who asks for them, and signs."""

    keys: dict[str, Key] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)  # in the discovery document, where not as it should be
    asked: Counter[str] = field(default_factory=Counter)
    away: bool = False
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    now: float = 1000.0  # on the clock of the cache of its keys

    @asynccontextmanager
    async def listening(self) -> "AsyncIterator[FakeIssuer]":
        self.answering.set()
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        self.asked[path] += 1
        await self.answering.wait()
        use = {"enc": "enc"}
        published = [
            {"use": use.get(kid, "sig"), **k.as_dict(private=False), "kid": kid} for kid, k in self.keys.items()
        ]
        told = {DISCOVERY: {"issuer": self.url, "jwks_uri": self.url + KEYS} | self.told, KEYS: {"keys": published}}
        body = json.dumps(told[path]).encode()
        status = b"503 Away" if self.away else b"200 OK"
        writer.write(b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)
        await writer.drain()
        writer.close()

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Dora's, with some changed or, where `...`, left out."""
        now = int(time.time())
        found = {"iss": self.url, "aud": "footnote", "sub": "dora", "azp": "web", "iat": now - 5, "exp": now + 300}
        found |= {"tenant": "ours", "roles": ["read", "offline_access"]} | changed
        return {name: value for name, value in found.items() if value is not ...}

    def token(self, kid: str = "rsa", alg: str = "RS256", **changed: Any) -> str:
        return signed({"alg": alg, "kid": kid, "typ": "JWT"}, self.claims(**changed), self.keys[kid])


@pytest.fixture(scope="module")
def made_keys() -> dict[str, Key]:
    rsa = RSAKey.generate_key(2048)
    return {
        "rsa": rsa,
        "enc": rsa,
        "p256": ECKey.generate_key("P-256"),
        "p521": ECKey.generate_key("P-521"),
        "ed": OKPKey.generate_key("Ed25519"),
        "x": OKPKey.generate_key("X25519"),
    }


@pytest.fixture
async def issuer(made_keys: dict[str, Key]) -> AsyncIterator[FakeIssuer]:
    async with FakeIssuer(dict(made_keys)).listening() as issuer:
        yield issuer


@asynccontextmanager
async def trusting(issuer: FakeIssuer) -> AsyncIterator[Issuer]:
    opened = Issuer(issuer.url, lambda: issuer.now)
    yield opened
    await opened.close()


@asynccontextmanager
async def client_of(rt: Runtime, issuer: FakeIssuer, **settings: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """A client without credentials, of an API that trusts the issuer."""
    given = {"oidc_issuer": issuer.url, "oidc_audience": "other, footnote", "oidc_scopes_claim": "roles", **settings}
    if "oidc_tenant" not in given:
        given["oidc_tenant_claim"] = "tenant"
    async with trusting(issuer) as trusted:
        app = create_app(runtime=replace(rt, settings=rt.settings.model_copy(update=given), issuer=trusted))
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://footnote") as client,
        ):
            yield client


async def test_tokens_give_their_tenant_and_scopes(rt: Runtime, alice: Person, issuer: FakeIssuer) -> None:
    now = int(time.time())
    async with client_of(rt, issuer) as client:
        for kid, algorithm in (
            *(("rsa", "RS256"), ("rsa", "PS384"), ("p256", "ES256"), ("p521", "ES512")),
            *(("ed", "EdDSA"), ("ed", "Ed25519")),
        ):
            answer = await client.get("/v1/jobs", **using(issuer.token(kid, algorithm)))
            assert answer.status_code == 200, algorithm
        head = {"alg": "RS256", "kid": "rsa", "typ": "at+jwt", "x5t": "dGh1bWI"}
        for good in (
            signed(head, issuer.claims(aud=["account", "footnote"]), issuer.keys["rsa"]),
            issuer.token(exp=now - LEEWAY_SECONDS // 2, iat=now + LEEWAY_SECONDS // 2, nbf=now + LEEWAY_SECONDS // 2),
            issuer.token(groups=["x" * 36] * 200),
        ):
            assert (await client.get("/v1/jobs", **using(good))).status_code == 200
        assert issuer.asked == {DISCOVERY: 1, KEYS: 1}

        text = {"text": "A lamp."}
        problem(await client.post("/v1/documents/text", json=text, **using(issuer.token())), 403, "missing_scope")
        writer = using(issuer.token(roles="openid read write"))
        accepted = await client.post("/v1/documents/text", json=text, **writer)
        assert accepted.status_code == 202
        assert accepted.headers["ratelimit-policy"].startswith('"upload"')
        seen = await alice.client.get(f"/v1/documents/{accepted.json()['document']['id']}")
        assert seen.status_code == 200, "it is the tenant's"
        problem(await client.post("/v1/tokens", **writer), 401, "invalid_api_key")

        admin = using(issuer.token(roles=["admin"]))
        [used] = (await client.get("/v1/usage", params={"group": "key"}, **admin)).json()["data"]
        assert used["key_id"].startswith("oidc_")
        assert (len(used["key_id"]), used["key_name"], used["documents"]) == (37, None, 1)
        lasting = (await client.post("/v1/keys", json={"name": "robot", "scopes": ["read"]}, **admin)).json()
        assert lasting["expires_at"] is None
        assert (await client.get("/v1/jobs", **using(lasting["secret"]))).status_code == 200

        for stranger in ("unknown", "ours\x00", "", ["ours"], 1, ...):
            problem(await client.get("/v1/jobs", **using(issuer.token(tenant=stranger))), 403, "no_tenant")
        assert (await client.get("/v1/jobs", **using(alice.key))).status_code == 200, "keys are as good as before"
        await rt.execute(update(Tenant).where(Tenant.id == alice.tenant_id).values(deleted_at=func.now()))
        problem(await client.get("/v1/jobs", **admin), 403, "no_tenant")


async def test_configured_tenant_scopes_and_clients(
    rt: Runtime, alice: Person, charlie: Person, issuer: FakeIssuer
) -> None:
    configured = {"oidc_tenant": "theirs", "oidc_scopes": "read,write", "oidc_clients": "web, cli"}
    async with client_of(rt, issuer, **configured, oidc_scopes_claim="app.footnote.roles") as client:
        made = await client.post("/v1/documents/text", json={"text": "A."}, **using(issuer.token(tenant="ours")))
        path = f"/v1/documents/{made.json()['document']['id']}"
        assert (await charlie.client.get(path)).status_code == 200
        assert (await alice.client.get(path)).status_code == 404
        problem(await client.get("/v1/keys", **using(issuer.token(roles=["admin"]))), 403, "missing_scope")
        admin = issuer.token(app={"footnote": {"roles": ["admin"]}}, azp="cli")
        assert (await client.get("/v1/keys", **using(admin))).status_code == 200
        for client_id in ("evil", ..., ["web"]):
            problem(await client.get("/v1/jobs", **using(issuer.token(azp=client_id))), 401, "invalid_api_key")
    async with rt.transaction() as session:
        ids = (await session.scalars(select(UsageOfDay.key_id).distinct())).all()
    assert len(ids) == 1, "one person, whatever the token"
    dotted = {"https://a.example/roles": 1, "a": {"b.c": 2}, "d": []}
    paths = ("https://a.example/roles", "a.b.c", "a.b", "d.e", "a", "", None)
    assert [claim(dotted, path) for path in paths] == [1, 2, None, None, {"b.c": 2}, None, None]


async def test_forged_and_foreign_tokens_are_refused_like_a_wrong_key(
    rt: Runtime, alice: Person, issuer: FakeIssuer
) -> None:
    now = int(time.time())
    rsa: Any = issuer.keys["rsa"]
    p256, ed = issuer.keys["p256"], issuer.keys["ed"]
    head, claims = {"alg": "RS256", "kid": "rsa"}, issuer.claims()
    mine = RSAKey.generate_key(2048)
    pem = rsa.as_pem(private=False)
    jwk = json.dumps(rsa.as_dict(private=False)).encode()
    good = issuer.token()
    body = good.split(".")
    late, soon = now - LEEWAY_SECONDS - 60, now + LEEWAY_SECONDS + 60
    named = dict.fromkeys(("jku", "x5u", "cty", "b64"), "https://evil.example.com/keys")
    bad = {
        "another's key": signed(head, claims, mine),
        "none": signed({**head, "alg": "none"}, claims, None),
        "None, signed": signed({**head, "alg": "None"}, claims, rsa, "RS256"),
        "no algorithm": signed({"kid": "rsa"}, claims, rsa, "RS256"),
        "algorithms": signed({**head, "alg": ["RS256"]}, claims, rsa, "RS256"),
        "the public key as secret": signed({**head, "alg": "HS256"}, claims, pem),
        "the public JWK as secret": signed({**head, "alg": "HS256"}, claims, jwk),
        "an algorithm not taken": signed({**head, "alg": "HS512"}, claims, pem),
        "another algorithm than said": signed({**head, "alg": "PS256"}, claims, rsa, "RS256"),
        "EC for RSA": signed({"alg": "ES256", "kid": "rsa"}, claims, p256),
        "RSA for EC": signed({"alg": "RS256", "kid": "p256"}, claims, rsa),
        "another curve": signed({"alg": "ES256", "kid": "p521"}, claims, p256),
        "OKP for EC": signed({"alg": "ES256", "kid": "ed"}, claims, p256),
        "a key to encrypt with": signed({**head, "kid": "enc"}, claims, rsa),
        "a key that signs nothing": signed({"alg": "EdDSA", "kid": "x"}, claims, ed),
        "a key in the head": signed({**head, "jwk": mine.as_dict(private=False)}, claims, mine),
        "a certificate in the head": signed({**head, "x5c": ["MIIB"]}, claims, rsa),
        **{f"{name} in the head": signed({**head, name: value}, claims, rsa) for name, value in named.items()},
        "crit": signed({**head, "crit": ["exp"]}, claims, rsa),
        "unknown kid": signed({**head, "kid": "rsa2"}, claims, rsa),
        "no kid": signed({"alg": "RS256"}, claims, rsa),
        "kid: a path": signed({**head, "kid": "../../etc/passwd\x00"}, claims, rsa),
        "kid: a list": signed({**head, "kid": ["rsa"]}, claims, rsa),
        "a logout token": signed({**head, "typ": "logout+jwt"}, claims, rsa),
        "typ: a number": signed({**head, "typ": 1}, claims, rsa),
        "another issuer": issuer.token(iss="https://evil.example.com"),
        "the issuer with a slash": issuer.token(iss=issuer.url + "/"),
        "issuers": issuer.token(iss=[issuer.url]),
        "ours": issuer.token(iss="footnote", aud="footnote"),
        "no issuer": issuer.token(iss=...),
        "another audience": issuer.token(aud="footnote2"),
        "other audiences": issuer.token(aud=["account", ["footnote"]]),
        "no audience": issuer.token(aud=...),
        "an audience within": issuer.token(aud={"footnote": 1}),
        "no subject": issuer.token(sub=...),
        "empty": issuer.token(sub=""),
        "a long subject": issuer.token(sub="x" * 256),
        "a list of people": issuer.token(sub=["dora"]),
        "expired": issuer.token(exp=late),
        "no end": issuer.token(exp=...),
        "an end that is text": issuer.token(exp=str(soon)),
        "a beginning that is true": issuer.token(iat=True),
        "an end that is no number": issuer.token(exp=float("nan")),
        "not yet": issuer.token(nbf=soon),
        "not ever": issuer.token(nbf=None),
        "from the future": issuer.token(iat=soon),
        "no beginning": issuer.token(iat=...),
        "too long": issuer.token(padding="x" * 16_384),
        "twice the same claim": signed(head, json.dumps(claims)[:-1].encode() + b',"aud":"footnote"}', rsa),
        "claims that are a list": signed(head, [], rsa),
        "deep": signed(head, b'{"a":' * 1200 + b"1" + b"}" * 1200, rsa),
        "the claims changed": ".".join((body[0], signed(head, issuer.claims(sub="eve"), rsa).split(".")[1], body[2])),
        "the signature left out": ".".join((*body[:2], "")),
        "encrypted": ".".join((*body, "", "")),
    }
    async with client_of(rt, issuer) as client:
        assert (await client.get("/v1/jobs", **using(good))).status_code == 200
        wrong = await client.get("/v1/jobs", **using(alice.key[:-3] + "xxx"))
        problem(wrong, 401, "invalid_api_key")
        for name, token in bad.items():
            answer = await client.get("/v1/jobs", **using(token))
            assert answer.status_code == 401, name
            assert answer.json() | {"request_id": ""} == wrong.json() | {"request_id": ""}, name
    assert (await alice.client.get("/v1/jobs", **using(good))).status_code == 401, "where no issuer is configured"


async def test_rotated_keys_and_unknown_kids(issuer: FakeIssuer) -> None:
    async with trusting(issuer) as trusted:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            issuer.keys["short"] = RSAKey.import_key(rsa.generate_private_key(65537, 1024))
            assert await trusted.key("short", "RS256") is None
        assert await trusted.key("rsa", "RS256") is not None
        issuer.keys["new"] = ECKey.generate_key("P-256")
        old = issuer.keys.pop("rsa")
        assert await trusted.key("new", "ES256") is None, "it was asked a moment ago"
        issuer.now += AGAIN_SECONDS
        assert await trusted.key("new", "ES256") is not None
        assert await trusted.key("rsa", "RS256") is None, "taken back"
        assert issuer.asked[KEYS] == 2

        issuer.keys["rsa"] = old
        issuer.now += AGAIN_SECONDS
        issuer.answering.clear()
        asking = [asyncio.ensure_future(trusted.key(f"random{each}", "RS256")) for each in range(100)]
        asking.append(asyncio.ensure_future(trusted.key("rsa", "RS256")))
        left = asyncio.ensure_future(trusted.key("p256", "ES256"))
        assert await left is not None, "whose key is known waits for nothing"
        asking[0].cancel()  # who asked first leaves
        issuer.answering.set()
        found = await asyncio.gather(*asking[1:])
        assert [each is None for each in found] == [True] * 99 + [False]
        assert issuer.asked[KEYS] == 3
        issuer.keys.pop("new")
        issuer.now += FRESH_SECONDS + 1
        assert await trusted.key("new", "ES256") is None, "keys do not stay good unasked"


async def test_cached_keys_verify_while_the_issuer_is_away(rt: Runtime, alice: Person, issuer: FakeIssuer) -> None:
    async with client_of(rt, issuer) as client:
        issuer.away = True
        for _ in range(3):
            answer = await client.get("/v1/jobs", **using(issuer.token()))
            problem(answer, 503, "issuer_unavailable")
            assert answer.headers["retry-after"] == str(int(AGAIN_SECONDS))
        assert issuer.asked[DISCOVERY] == 1
        elsewhere = issuer.url.replace("127.0.0.1", "127.1") + KEYS  # another name, without https
        for told in ({"issuer": issuer.url + "/"}, {"jwks_uri": elsewhere}, {"jwks_uri": 1}):
            issuer.away, issuer.told = False, told
            issuer.now += AGAIN_SECONDS
            problem(await client.get("/v1/jobs", **using(issuer.token())), 503, "issuer_unavailable")
        assert issuer.asked[KEYS] == 0, "what does not fit together is no word of the issuer"

        issuer.told = {}
        issuer.now += AGAIN_SECONDS
        assert (await client.get("/v1/jobs", **using(issuer.token()))).status_code == 200
        issuer.away = True
        issuer.now += STALE_SECONDS - 1
        assert (await client.get("/v1/jobs", **using(issuer.token()))).status_code == 200
        unknown = signed({"alg": "RS256", "kid": "new"}, issuer.claims(), issuer.keys["rsa"])
        problem(await client.get("/v1/jobs", **using(unknown)), 503, "issuer_unavailable")
        issuer.now += AGAIN_SECONDS
        problem(await client.get("/v1/jobs", **using(issuer.token())), 503, "issuer_unavailable")
        assert (await client.get("/v1/jobs", **using(alice.key))).status_code == 200


async def test_invalid_oidc_settings_are_refused() -> None:
    good: dict[str, Any] = {"oidc_issuer": "https://a.example", "oidc_audience": "footnote", "oidc_tenant": "ours"}
    for wrong in (
        {"oidc_issuer": "http://a.example"},
        {"oidc_issuer": "http://127.0.0.1.evil.example"},
        {"oidc_issuer": "a.example"},
        {"oidc_audience": " ,"},
        {"oidc_tenant": None},
        {"oidc_tenant_claim": "tenant"},
        {"oidc_scopes": "root"},
        {"oidc_scopes": "readwrite"},
    ):
        with pytest.raises(ValidationError, match=r"(?i)oidc"):
            Settings(_env_file=None, **{**good, **wrong})
    async with open_runtime(Settings(_env_file=None, oidc_scopes="read, write", **good)) as opened:
        assert opened.issuer is not None
        assert opened.issuer.url == "https://a.example"
