"""People with a token of the OIDC issuer: verified by the issuer's keys, members of the tenant that the token names.

OpenID Connect Core 1.0, section 3.1.3.7; RFC 9068, section 4; RFC 8725. ID and access tokens are both accepted if
their audience is right.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from joserfc.jwt import ClaimsOption
from sqlalchemy import func, select

from footnote.errors import Forbidden
from footnote.models import Tenant
from footnote.outbound.oidc_keys import ALGORITHMS, Issuer
from footnote.runtime import Runtime
from footnote.settings import Settings, listed
from footnote.tenancy import access_tokens, keys
from footnote.tenancy.keys import Principal

LEEWAY_SECONDS = 60  # between the issuer's clock and the database's
LONGEST_SUBJECT = 255
_ALGORITHMS = [name for names in ALGORITHMS.values() for name in names]
_TYPES = ("jwt", "at+jwt", "application/at+jwt")  # not a logout token, for example


async def verify(rt: Runtime, issuer: Issuer, token: str) -> Principal:
    """The person whose token it is. Raises Unauthenticated, Unavailable, and Forbidden for one without a tenant here.

    The database is asked last, and no transaction waits for the issuer.
    """
    header, claims = access_tokens.read(token)
    algorithm, subject = header.get("alg"), claims.get("sub")
    if algorithm not in _ALGORITHMS or not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT:
        raise keys.refusal()
    clients = listed(rt.settings.oidc_clients)
    if str(header.get("typ", "JWT")).lower() not in _TYPES or (clients and claims.get("azp") not in clients):
        raise keys.refusal()
    key = await issuer.key(header["kid"], algorithm)
    if key is None:
        raise keys.refusal()
    access_tokens.check_signature(token, key, [algorithm])
    name = rt.settings.oidc_tenant or claim(claims, rt.settings.oidc_tenant_claim)
    named = select(Tenant.id).where(Tenant.name == (name if isinstance(name, str) and name.isprintable() else ""))
    named = named.where(Tenant.deleted_at.is_(None))
    async with rt.transaction() as session:
        now, tenant_id = (await session.execute(select(func.now(), named.scalar_subquery()))).one()
    expected: dict[str, ClaimsOption] = {
        **{"iss": {"essential": True, "value": issuer.url}, "exp": {"essential": True}, "iat": {"essential": True}},
        "aud": {"essential": True, "values": _audiences(rt.settings)},
    }
    access_tokens.check_claims(claims, now, expected, LEEWAY_SECONDS)
    if tenant_id is None:
        raise Forbidden("no_tenant", "The token is good, but names no tenant that is here.")
    # That the token ends soon does not bound the keys that the person makes: they are theirs, not the token's.
    return Principal(tenant_id, _id_of(issuer.url, subject), _scopes(rt.settings, claims), by_token=True)


def _audiences(settings: Settings) -> list[str]:
    """Whom a token must be for; the MCP server's address is one, as clients name it to the issuer (RFC 8707)."""
    own = [f"{settings.public_url}/mcp"] if settings.public_url and settings.mcp == "on" else []
    return [*listed(settings.oidc_audience), *own] or [""]  # of [], joserfc takes any


def _id_of(issuer: str, subject: str) -> str:
    """Short, stable and without meaning; `sub` is unique within its issuer only."""
    return "oidc_" + hashlib.sha256(f"{issuer}\n{subject}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _scopes(settings: Settings, claims: Mapping[str, Any]) -> frozenset[str]:
    """The configured scopes, and those that the claim names, as a list or separated by spaces."""
    found = claim(claims, settings.oidc_scopes_claim)
    named = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
    return frozenset(scope for scope in keys.SCOPES if scope in [*listed(settings.oidc_scopes), *named])


def claim(claims: Any, path: str | None) -> Any:
    """The claim of that name, which may hold dots; else the one that the dots lead to. None where there is none."""
    if path is None or not isinstance(claims, dict):
        return None
    if path in claims:
        return claims[path]
    first, _, rest = path.partition(".")
    return claim(claims.get(first), rest) if rest else None
