"""API keys: `fn_<prefix>_<secret>`, 256 random bits, stored as a hash and looked up by the prefix."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.errors import Unauthenticated
from footnote.ids import new_id
from footnote.models import ApiKey

SCOPES = ("read", "write", "admin")
_PREFIX_BYTES = 6


@dataclass(frozen=True)
class Principal:
    """Who is asking, and what for they may."""

    tenant_id: str
    key_id: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        return scope in self.scopes or "admin" in self.scopes


async def create(
    session: AsyncSession, tenant_id: str, name: str, scopes: tuple[str, ...] = SCOPES
) -> tuple[ApiKey, str]:
    """The key's row and its text; the text is not kept and cannot be shown again."""
    prefix, secret = secrets.token_hex(_PREFIX_BYTES), secrets.token_urlsafe(32)
    key = ApiKey(
        id=new_id("key"),
        tenant_id=tenant_id,
        name=name,
        prefix=prefix,
        secret_sha256=_digest(secret),
        scopes=list(scopes),
    )
    session.add(key)
    await session.flush()
    return key, f"fn_{prefix}_{secret}"


async def verify(session: AsyncSession, presented: str) -> Principal:
    """Raises Unauthenticated, alike for unknown, wrong, expired and revoked keys."""
    refused = Unauthenticated("invalid_api_key", "The API key is missing, unknown, expired or revoked.")
    kind, _, rest = presented.partition("_")
    prefix, _, secret = rest.partition("_")
    if kind != "fn" or not (prefix.isascii() and prefix.isalnum()) or not secret:
        raise refused
    key = await session.scalar(
        select(ApiKey).where(
            ApiKey.prefix == prefix,
            ApiKey.revoked_at.is_(None),
            (ApiKey.expires_at.is_(None)) | (ApiKey.expires_at > func.now()),
        )
    )
    # Always compare, so that an unknown prefix takes as long as a wrong secret.
    if not hmac.compare_digest(key.secret_sha256 if key else bytes(32), _digest(secret)) or key is None:
        raise refused
    return Principal(key.tenant_id, key.id, frozenset(key.scopes))


def _digest(secret: str) -> bytes:
    """SHA-256: a random 256-bit secret needs no slow password hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
