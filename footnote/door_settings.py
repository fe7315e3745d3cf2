"""The settings of the API's doors: who may come in from where, how often, and how much; and how they close."""

from decimal import Decimal
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings

RouteClass = Literal["read", "write", "upload", "query"]
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def env(name: str, default: Any, meaning: str, **limits: Any) -> Any:
    """A field read from exactly the variable `name`."""
    return Field(default, validation_alias=name, description=meaning, **limits)


def listed(value: str | None) -> list[str]:
    """What stands between the commas of a setting."""
    return [each.strip() for each in (value or "").split(",") if each.strip()]


def is_private_on_the_way(url: str) -> bool:
    """Whether nobody between here and there can read or change what is asked of it: https, or loopback."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK))


class DoorSettings(BaseSettings):
    """A part of `footnote.settings.Settings`."""

    reads_per_minute: int = env(
        "FOOTNOTE_READS_PER_MINUTE",
        30_000,
        "Requests a minute that one API key may make to look at something; a minute's worth may come at once. 0, here "
        "and below: no limit. A key may have limits of its own.",
        ge=0,
    )
    writes_per_minute: int = env(
        "FOOTNOTE_WRITES_PER_MINUTE", 6000, "Changes and deletions a minute with one API key.", ge=0
    )
    uploads_per_minute: int = env(
        "FOOTNOTE_UPLOADS_PER_MINUTE", 6000, "Requests a minute with one API key that add documents.", ge=0
    )
    queries_per_minute: int = env(
        "FOOTNOTE_QUERIES_PER_MINUTE", 3000, "Searches and questions a minute with one API key.", ge=0
    )
    requests_at_once: int = env(
        "FOOTNOTE_REQUESTS_AT_ONCE",
        400,
        "Requests of one tenant that an API process answers at once, of the 1,000 it may have. 0: no limit.",
        ge=0,
    )
    quota_documents: int = env(
        "FOOTNOTE_QUOTA_DOCUMENTS",
        0,
        "Documents that a tenant may have. 0, here and below: no limit. `footnote tenants set-quota` "
        "sets a tenant's own.",
        ge=0,
    )
    quota_bytes: int = env("FOOTNOTE_QUOTA_BYTES", 0, "Bytes that a tenant's documents may take, as uploaded.", ge=0)
    quota_tokens: int = env("FOOTNOTE_QUOTA_TOKENS", 0, "Tokens that a tenant may use in a month (UTC).", ge=0)
    quota_usd: Decimal = env(
        "FOOTNOTE_QUOTA_USD",
        Decimal(0),
        "US dollars that a tenant may spend in a month (UTC), by `FOOTNOTE_PRICES`.",
        ge=0,
        allow_inf_nan=False,
    )
    body_seconds: float = env(
        "FOOTNOTE_BODY_SECONDS", 60.0, "Longest time that a request body may take, but for uploads of files.", gt=0
    )
    drain_seconds: int = env(
        "FOOTNOTE_DRAIN_SECONDS",
        10,
        "How long the API, asked to stop, lets running requests go on before it cuts them off with `503`; the image "
        "of the API sets 60. It ends within 5 seconds more.",
        ge=0,
        le=3600,
    )
    drain_notice_seconds: int = env(
        "FOOTNOTE_DRAIN_NOTICE_SECONDS",
        0,
        "Of that time, how long it goes on accepting connections while `/readyz` is `503`, for a load balancer that "
        "must see this before it looks for another node. 0: it stops accepting at once.",
        ge=0,
        le=3600,
    )
    token_seconds: int = env(
        "FOOTNOTE_TOKEN_SECONDS", 1800, "How long a token of `POST /v1/tokens` is good.", ge=10, le=86_400
    )
    oidc_issuer: str | None = env(
        "FOOTNOTE_OIDC_ISSUER",
        None,
        "OIDC issuer whose tokens people may send instead of a key, exactly as its tokens name it: "
        "`https://login.example.com/realms/staff`. Unset: there are only keys.",
    )
    oidc_audience: str | None = env(
        "FOOTNOTE_OIDC_AUDIENCE", None, "Who the issuer's tokens must be for (`aud`); several with commas between them."
    )
    oidc_clients: str | None = env(
        "FOOTNOTE_OIDC_CLIENTS",
        None,
        "Clients that the issuer's tokens must have been given to (`azp`), with commas between them; default: any.",
    )
    oidc_tenant: str | None = env("FOOTNOTE_OIDC_TENANT", None, "Name of the tenant of everybody with such a token.")
    oidc_tenant_claim: str | None = env(
        "FOOTNOTE_OIDC_TENANT_CLAIM",
        None,
        "Or the claim that holds the tenant's name. Here and below, a dot leads into a claim that is an object.",
    )
    oidc_scopes: str = env(
        "FOOTNOTE_OIDC_SCOPES",
        "",
        "Scopes of everybody with such a token: `read`, `write`, `admin`, with commas between them.",
        pattern=r"^((read|write|admin) *(, *|$))*$",
    )
    oidc_scopes_claim: str | None = env(
        "FOOTNOTE_OIDC_SCOPES_CLAIM",
        None,
        "Claim that holds further scopes, among whatever else: `roles`, `resource_access.footnote.roles`.",
    )
    audit_days: float = env(
        "FOOTNOTE_AUDIT_DAYS", 365.0, "How long the audit log keeps who did what; 0: for ever.", ge=0
    )
    cors_origins: str | None = env(
        "FOOTNOTE_CORS_ORIGINS",
        None,
        "Origins whose pages may call the API from a browser, with commas between them: `https://app.example.com`. "
        "`*`: all.",
    )
    hsts_seconds: int = env(
        "FOOTNOTE_HSTS_SECONDS",
        0,
        "How long browsers shall insist on https (Strict-Transport-Security). Only where TLS stands before the API.",
        ge=0,
    )
    docs: Literal["on", "off"] = env("FOOTNOTE_DOCS", "on", "`/docs` and `/openapi.json`: `on` or `off`.")

    @model_validator(mode="after")
    def _knows_its_people(self) -> Self:
        if self.oidc_issuer is None:
            return self
        if not is_private_on_the_way(self.oidc_issuer):
            raise ValueError("FOOTNOTE_OIDC_ISSUER must begin with https://, or be on loopback")
        if not listed(self.oidc_audience):
            raise ValueError("FOOTNOTE_OIDC_ISSUER needs FOOTNOTE_OIDC_AUDIENCE: it makes tokens for others, too")
        if bool(self.oidc_tenant) == bool(self.oidc_tenant_claim):
            raise ValueError(
                "FOOTNOTE_OIDC_ISSUER needs FOOTNOTE_OIDC_TENANT or FOOTNOTE_OIDC_TENANT_CLAIM, and not both"
            )
        return self

    @property
    def rates(self) -> dict[RouteClass, int]:
        """Requests a minute by class of route, where there is a limit."""
        return {
            "read": self.reads_per_minute,
            "write": self.writes_per_minute,
            "upload": self.uploads_per_minute,
            "query": self.queries_per_minute,
        }

    @property
    def quotas(self) -> dict[str, Decimal]:
        return {
            "documents": Decimal(self.quota_documents),
            "bytes": Decimal(self.quota_bytes),
            "tokens": Decimal(self.quota_tokens),
            "usd": self.quota_usd,
        }

    @property
    def allowed_origins(self) -> list[str]:
        return [origin.rstrip("/") for origin in listed(self.cors_origins)]
