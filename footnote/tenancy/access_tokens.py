"""JSON Web Tokens that are issued for an API key and bound to it, signed with HS256 only.

Whatever is wrong with a token, the answer is the same.
"""

import json
import re
import secrets
import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import OctKey
from joserfc.jwt import ClaimsOption
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.clock import from_now
from footnote.database.ids import new_id
from footnote.errors import Forbidden
from footnote.models import SigningKey
from footnote.runtime import Runtime
from footnote.tenancy import audit_log, keys
from footnote.tenancy.keys import Principal, Verified

ISSUER = "footnote"
LONGEST = 16_384  # characters of a token; issuers may list all groups of a person
SIGNS = timedelta(days=30)  # for which a signing key signs; then another does
LONGEST_LIFE = timedelta(days=1)  # of a token
VERIFIES = SIGNS + LONGEST_LIFE
_HEADER = {"alg", "kid", "typ", "x5t"}  # nothing that holds a key, says where one is, or must be understood
_CLAIMS = {"iss", "aud", "sub", "tenant", "scope", "iat", "exp", "jti"}
_PLAIN = re.compile(r"[A-Za-z0-9._~+/=-]{1,128}")


async def issue(
    session: AsyncSession, holder: Principal, scopes: Sequence[str] | None, seconds: int
) -> tuple[str, list[str], datetime]:
    """A token, its scopes (default: the key's) and when it ends, which is not after the key does.

    Raises Forbidden for a scope that the key lacks, and Unauthenticated for a holder of a token instead of a key.
    """
    if holder.by_token:
        raise keys.refusal()
    given = sorted(set(scopes) if scopes is not None else holder.scopes, key=keys.SCOPES.index)
    if beyond := [scope for scope in given if not holder.may(scope)]:
        raise Forbidden("missing_scope", f"The API key lacks the scope {beyond[0]!r}, and cannot give it away.")
    signing, now = await _signing_key(session)
    ends = min(now + timedelta(seconds=seconds), holder.expires_at or datetime.max.replace(tzinfo=UTC))
    claims = {
        **{"iss": ISSUER, "aud": ISSUER, "sub": holder.key_id, "tenant": holder.tenant_id, "scope": " ".join(given)},
        **{"iat": int(now.timestamp()), "exp": int(ends.timestamp()), "jti": secrets.token_hex(12)},
    }
    ends = ends.replace(microsecond=0)
    about = {"scopes": given, "expires_at": ends.isoformat()}
    await audit_log.note_for(session, holder.tenant_id, "key.token_issued", holder.key_id, **about)
    token = jwt.encode({"alg": "HS256", "kid": signing.id}, claims, OctKey.import_key(signing.secret), ["HS256"])
    return token, given, ends


async def _signing_key(session: AsyncSession) -> tuple[SigningKey, datetime]:
    """The newest, or a new one if that has signed long enough. Two that are created at once do no harm."""
    now = (await session.execute(select(func.now()))).scalar_one()
    newest = await session.scalar(select(SigningKey).order_by(SigningKey.created_at.desc()).limit(1))
    if newest is not None and newest.created_at > now - SIGNS:
        return newest, now
    await session.execute(delete(SigningKey).where(SigningKey.created_at < from_now(-VERIFIES.total_seconds())))
    made = SigningKey(id=new_id("sgk"), secret=secrets.token_bytes(32), created_at=now)
    session.add(made)
    await session.flush()
    return made, now


def looks_like_token(presented: str) -> bool:
    return presented.count(".") == 2


def issuer_of(presented: str) -> Any:
    """The issuer that a token names, unverified; None for what is not a token."""
    return read(presented)[1].get("iss") if looks_like_token(presented) else None


def read(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, of which nothing is proven yet. Raises Unauthenticated for what cannot be a good token."""
    try:
        if len(token) > LONGEST:
            raise ValueError("too long")
        parts = jws.extract_compact(token.encode("ascii"))
        header, claims = parts.headers(), json.loads(parts.payload, object_pairs_hook=_unique)
        if not isinstance(header, dict) or not isinstance(claims, dict):
            raise ValueError("not an object")
    except (JoseError, ValueError, RecursionError) as error:
        raise keys.refusal() from error
    if not set(header) <= _HEADER or not _is_plain(header.get("kid")):
        raise keys.refusal()
    return header, claims


def _is_plain(name: Any) -> bool:
    return isinstance(name, str) and _PLAIN.fullmatch(name) is not None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON's last claim of a name would win, another reader's first."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the same name twice")
    return found


async def verify(rt: Runtime, token: str, *, to_spend: bool = False) -> Verified:
    """The principal of an access token: the key's tenant, with the token's scopes. Raises Unauthenticated.

    One look-up finds the token's key and the signing key: when either is gone, so is the token.
    """
    header, claims = read(token)
    scope, expires, key_id = claims.get("scope"), claims.get("exp"), claims.get("sub")
    if set(claims) != _CLAIMS or type(expires) is not int or not _is_plain(key_id):
        raise keys.refusal()
    if not all(isinstance(claims[name], str) for name in ("aud", "tenant", "scope")):
        raise keys.refusal()
    found = await keys.look_up(rt, _BY_ID, key_id, header["kid"], VERIFIES, to_spend=to_spend)
    if found is None:
        raise keys.refusal()
    check_signature(token, OctKey.import_key(found.secret), ["HS256"])
    holder, now = found.principal, found.now
    check_claims(claims, now, {"iss": _only(ISSUER), "aud": _only(ISSUER), "tenant": _only(holder.tenant_id)})
    if expires - now.timestamp() > LONGEST_LIFE.total_seconds():
        raise keys.refusal()
    scopes = frozenset(each for each in str(scope).split() if holder.may(each))
    ends = datetime.fromtimestamp(expires, UTC)
    await keys.note_use(rt, found)
    return replace(found, principal=replace(holder, scopes=scopes, expires_at=ends, by_token=True))


_BY_ID = keys.FIND.format(
    proof="s.secret",
    joined="JOIN signing_key s ON s.id = $2 AND s.created_at > now() - CAST($3 AS interval)",
    which="k.id",
    used="k.last_used_at",
)


def _only(value: str) -> ClaimsOption:
    return {"essential": True, "value": value}


def check_signature(token: str, key: Any, algorithms: list[str]) -> None:
    """Raises Unauthenticated unless one of the algorithms, with a key of its kind, has signed the token."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # EdDSA, which RFC 9864 would call Ed25519 or Ed448
            jws.deserialize_compact(token, key, algorithms)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise keys.refusal() from error


def check_claims(claims: dict[str, Any], now: datetime, expected: dict[str, ClaimsOption], leeway: int = 0) -> None:
    """Raises Unauthenticated if a claim is missing or another than expected, or `now` is outside the token's time.

    `now` is the database's clock; `leeway` in seconds.
    """
    try:
        jwt.JWTClaimsRegistry(int(now.timestamp()), leeway, **expected).validate(claims)
    except JoseError as error:
        raise keys.refusal() from error
