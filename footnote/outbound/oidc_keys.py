"""The keys of the OIDC issuer, found by discovery and cached for a while.

OpenID Connect Discovery 1.0, section 4; RFC 7517 (keys), RFC 7518, 8037 and 9864 (what each signs with).
"""

import asyncio
import json
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx2
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import JWKRegistry, Key

from footnote.errors import Unavailable
from footnote.settings import is_secure_url
from footnote.telemetry import log

# By kind of key, and curve: public keys only, so that no public key can be taken for a secret.
ALGORITHMS: dict[tuple[Any, Any], tuple[str, ...]] = {
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA", "Ed25519"),
}
FRESH_SECONDS = 600.0  # after which the keys are read again: a withdrawn key is valid for so long
STALE_SECONDS = 12 * 3600.0  # for which they verify while the issuer is unavailable
AGAIN_SECONDS = 10.0  # between two requests, regardless of the tokens that are sent
FETCH_SECONDS = 5.0  # for both documents
LARGEST = 1024 * 1024  # bytes of a document

Keys = dict[tuple[str, str], Key]  # by name (`kid`) and algorithm


class Issuer:
    """One issuer, as one process knows it. The first token causes the first request."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = url
        self._clock = clock
        self._http = httpx2.AsyncClient(timeout=FETCH_SECONDS, headers={"accept-encoding": "identity"})
        self._keys: Keys = {}
        self._read_at = self._tried_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def key(self, kid: str, algorithm: str) -> Key | None:
        """None: the issuer has no such key. Raises Unavailable if the issuer must be asked and cannot be reached."""
        found = self._keys.get((kid, algorithm))
        if found is None or self._age > FRESH_SECONDS:
            await self._read_again()
            found = self._keys.get((kid, algorithm))
        if self._read_at < self._tried_at and (found is None or self._age > STALE_SECONDS):
            raise Unavailable("issuer_unavailable", "The token's issuer cannot be reached.", retry_after=AGAIN_SECONDS)
        return found

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
        await self._http.aclose()

    @property
    def _age(self) -> float:
        return self._clock() - self._read_at

    async def _read_again(self) -> None:
        """One request for all who wait, completed even if they leave, and not soon after the last one."""
        now = self._clock()
        if now - self._tried_at >= AGAIN_SECONDS:
            self._tried_at = now
            self._reading = asyncio.create_task(self._read(now))
        if self._reading is not None:
            await asyncio.shield(self._reading)

    async def _read(self, now: float) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                discovered = await self._json(self.url.rstrip("/") + "/.well-known/openid-configuration")
                if discovered["issuer"] != self.url:
                    raise ValueError(f"it calls itself {discovered['issuer']!r}")
                if not is_secure_url(discovered["jwks_uri"]):
                    raise ValueError(f"its keys are at {discovered['jwks_uri']!r}, without https")
                self._keys, self._read_at = _usable(await self._json(discovered["jwks_uri"])), now
        except Exception as error:  # of any kind: the known keys continue to verify
            reason = f"{type(error).__name__}: {error}"[:300]
            log.warning("the issuer's keys could not be read", issuer=self.url, error=reason)

    async def _json(self, url: str) -> Any:
        """Redirects are not followed: they could leave https."""
        async with self._http.stream("GET", url) as answer:
            if answer.status_code != 200:
                raise ValueError(f"{url} answered {answer.status_code}")
            body = bytearray()
            async for piece in answer.aiter_raw():
                body += piece
                if len(body) > LARGEST:
                    raise ValueError(f"{url} answers too much")
        return json.loads(body)


def _usable(key_set: Any) -> Keys:
    """The keys that sign, are of a known kind, and long enough."""
    keys: Keys = {}
    for each in key_set["keys"]:
        algorithms = ALGORITHMS.get((each.get("kty"), each.get("crv")), ())
        if each.get("use", "sig") != "sig" or not isinstance(each.get("kid"), str):
            continue
        with suppress(JoseError, ValueError, TypeError, KeyError, SecurityWarning), warnings.catch_warnings():
            warnings.simplefilter("error", SecurityWarning)  # RSA of less than 2,048 bits
            key = JWKRegistry.import_key(each)
            keys |= {(each["kid"], name): key for name in algorithms if each.get("alg", name) == name}
    return keys
