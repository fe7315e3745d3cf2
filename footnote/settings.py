"""Every setting: its environment variable, default and meaning. Nothing else reads the environment.

A setting's variable is its name in capitals after FOOTNOTE_, or a well-known name (DATABASE_URL, OPENAI_API_KEY, PORT).
Instead, the variable with _FILE behind it may name a file that holds the value, as orchestrators mount secrets.
`docs/settings.md` is generated from the fields below.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, SettingsConfigDict
from pydantic_settings import PydanticBaseSettingsSource as Source

PREFIX = "FOOTNOTE_"
RouteClass = Literal["read", "write", "upload", "query"]
_RATED: dict[RouteClass, str] = {"read": "reads", "write": "writes", "upload": "uploads", "query": "queries"}
MIB = 1024 * 1024
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def listed(value: str | None) -> list[str]:
    """The values of a setting that is separated by commas."""
    return [each.strip() for each in (value or "").split(",") if each.strip()]


def is_secure_url(url: str) -> bool:
    """Whether an attacker on the network can neither read nor change requests to it: https, or loopback."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK))


@dataclass(frozen=True)
class ParseLimits:
    """Limits of a parser process: CPU seconds, seconds without output, bytes; and languages of text recognition."""

    cpu_seconds: int
    wall_seconds: int
    memory_bytes: int
    ocr_languages: str = ""


class Price(BaseModel):
    """US dollars for a million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Decimal = Field(ge=0, allow_inf_nan=False)
    output: Decimal = Field(Decimal(0), ge=0, allow_inf_nan=False)


# Environment variables by their former names. Each still works for one version; the log names the new one.
RENAMED = {
    "FOOTNOTE_RING_AGAIN_SECONDS": "FOOTNOTE_RESEND_SECONDS",
    "FOOTNOTE_TURN_SECONDS": "FOOTNOTE_YIELD_SECONDS",
}
outdated: dict[str, str] = {}  # those of them that this process was given


def _by_new_names(variables: Mapping[str, str | None]) -> Mapping[str, str | None]:
    """The values of the sources, in lower case. A variable with its new name has priority."""
    given = {old: new for old, new in RENAMED.items() if old.lower() in variables}
    outdated.update(given)
    return {new.lower(): variables[old.lower()] for old, new in given.items()} | dict(variables)


FILE = "_FILE"
MOST_FILE_CHARACTERS = 64 * 1024


def _with_files(variables: Mapping[str, str | None]) -> Mapping[str, str | None]:
    """Adds the content of the file `X_FILE` as `X`. Raises ValidationError for a file without a value."""
    paths = {name.removesuffix(FILE.lower()): path for name, path in variables.items() if name.endswith(FILE.lower())}
    settings = {variable(name).lower() for name in Settings.model_fields}
    # An empty path is a variable that Compose passes on unset.
    named = {name: path for name, path in paths.items() if path and name in settings}
    return dict(variables) | {name: _held(name, path, variables.get(name)) for name, path in named.items()}


def _held(name: str, path: str, given: str | None) -> str:
    try:
        with Path(path).open(encoding="utf-8") as file:
            value = file.read(MOST_FILE_CHARACTERS + 1).strip()
        why = "is empty" if not value else "is too long" if len(value) > MOST_FILE_CHARACTERS else ""
    except OSError as error:
        value, why = "", f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        value, why = "", "is not text in UTF-8"
    if given:
        raise _refused(name, path, f"{name.upper()} is set, too: set one of them")
    if why:
        raise _refused(name, path, f"{path} {why}")
    return value


def _refused(name: str, path: str, why: str) -> ValidationError:
    """As pydantic raises it for a field, so that it is reported in the same way."""
    kind = PydanticCustomError("file", "{why}", {"why": why})
    details = InitErrorDetails(type=kind, loc=(name.upper() + FILE,), input=path)
    return ValidationError.from_exception_data("Settings", [details])


def _from_json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


class Settings(BaseSettings):
    """Read once per process from the environment and `.env`; immutable afterwards."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_prefix=PREFIX,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  pydantic passes it by this name
        init_settings: Source,
        env_settings: Source,
        dotenv_settings: Source,
        file_secret_settings: Source,
    ) -> tuple[Source, ...]:
        sources = (init_settings, env_settings, dotenv_settings, file_secret_settings)
        for source in sources:
            if isinstance(source, EnvSettingsSource):
                source.env_vars = _with_files(_by_new_names(source.env_vars))
        return sources

    # -- where things are --
    data_dir: Path = Path(".footnote")
    """Directory of the local stack: databases, files, logs, first API key."""
    database_url: str | None = Field(None, validation_alias="DATABASE_URL")
    """Postgres with pgvector (`postgresql://...`), or PgBouncer in front of it. Unset: `footnote up` embeds one."""
    database_direct_url: str | None = Field(None, validation_alias="DATABASE_DIRECT_URL")
    """Direct address of Postgres if DATABASE_URL is a pooler: for migrations, notifications and building indexes."""
    tenant_role: str = Field("footnote_tenant", pattern=r"^([a-z_][a-z0-9_]{0,62})?$")
    """Postgres role for requests and steps of a tenant; `footnote migrate` creates it. Empty: no row-level security."""
    redis_url: str | None = Field(None, validation_alias="REDIS_URL")
    """Redis or Valkey for the task queue, or `sentinel://host,host/primary`. Unset: `footnote up` embeds one."""
    storage_url: str | None = Field(None, validation_alias="STORAGE_URL")
    """Object store: `file:///path` or `s3://bucket/prefix` (and AWS_* variables). Default: in the data directory."""
    s3_public_endpoint_url: str | None = None
    """Address of the S3 server for clients that upload to it directly, if `AWS_ENDPOINT_URL` is an internal one."""

    # -- backups and retention --
    backup_dir: Path | None = None
    """Folder of backups: `footnote up` then backs up embedded Postgres and objects, and stores the write-ahead log."""
    backup_every_hours: float = Field(24.0, gt=0)
    """`footnote backup --wal` makes a backup when the newest one is this old, in hours."""
    backup_days: float = Field(14.0, gt=0)
    """`footnote backup --wal` removes backups that are older, in days; never the newest."""
    backup_grace_hours: float = Field(24.0, ge=0)
    """Objects that are deleted within this time after a backup stay in the store until it has passed, in hours."""
    job_days: float = Field(30.0, ge=0)
    """How long an ended job is stored, in days, once its document has a newer one; 0 (also below): forever."""
    conversation_days: float = Field(0.0, ge=0)
    """How long a conversation is stored after its last message, in days."""
    usage_days: float = Field(0.0, ge=0)
    """How long daily usage is stored, in days; at least 62, or 0."""

    # -- the API --
    host: str = "127.0.0.1"
    """Address that the API listens on."""
    port: int = Field(8000, validation_alias="PORT", ge=1, le=65535)
    """Port of the API."""
    api_workers: int = Field(2, validation_alias="WEB_CONCURRENCY", ge=1, le=64)
    """API processes on the same port. Each takes 90 MB, or 170 MB with the local embedding model."""
    api_connections: int = Field(10, ge=1, le=1000)
    """Connections of an API process to Postgres; further requests wait for a free one."""
    public_url: Annotated[str, AfterValidator(lambda url: url.rstrip("/"))] | None = Field(
        None, pattern=r"^https?://[^/\s?#]+[^\s?#]*$"
    )
    """Public address of the API, with which links begin. Default: the address of each request."""
    max_upload_bytes: int = Field(1024 * MIB, ge=1)
    """Largest document accepted, in bytes."""
    max_json_bytes: int = Field(MIB // 4, ge=1024)
    """Largest JSON request body, in bytes."""
    body_idle_seconds: float = Field(30.0, gt=0)
    """Longest silence within a request body before the connection is closed."""
    api_key: str | None = None
    """API key of the command line; default: the one that `footnote up` stores in the data directory."""
    api_url: str | None = None
    """API that the command line uses; default: the local stack's."""
    user_config_dir: Path = Field(Path("~/.config"), validation_alias="XDG_CONFIG_HOME")
    """Directory that holds the command line's `footnote/` folder."""

    # -- access: limits, quotas, people of an OIDC issuer --
    reads_per_minute: int = Field(30_000, ge=0)
    """Read requests per minute with one API key; a minute's share may come in a burst. 0 (also below): no limit."""
    writes_per_minute: int = Field(6000, ge=0)
    """Changes and deletions per minute with one API key."""
    uploads_per_minute: int = Field(6000, ge=0)
    """Requests per minute with one API key that add documents."""
    queries_per_minute: int = Field(3000, ge=0)
    """Searches and questions per minute with one API key."""
    requests_at_once: int = Field(400, ge=0)
    """Requests of one tenant that an API process answers at the same time, on its 1,000 connections. 0: no limit."""
    quota_documents: int = Field(0, ge=0)
    """Documents a tenant may have. 0 (also below): no limit. `footnote tenants set-quota` sets quotas of one tenant."""
    quota_bytes: int = Field(0, ge=0)
    """Bytes that a tenant's documents may take, as uploaded."""
    quota_tokens: int = Field(0, ge=0)
    """Tokens that a tenant may use in a month (UTC)."""
    quota_usd: Decimal = Field(Decimal(0), ge=0, allow_inf_nan=False)
    """US dollars that a tenant may spend in a month (UTC), by `FOOTNOTE_PRICES`."""
    body_seconds: float = Field(60.0, gt=0)
    """Longest time for a request body, except uploads of files."""
    drain_seconds: int = Field(10, ge=0, le=3600)
    """How long a stopping API lets running requests continue (60 in its image). It then ends within 5 seconds."""
    drain_notice_seconds: int = Field(0, ge=0, le=3600)
    """Seconds of `FOOTNOTE_DRAIN_SECONDS` in which connections are still accepted while `/readyz` answers `503`."""
    token_seconds: int = Field(1800, ge=10, le=86_400)
    """How long a token of `POST /v1/tokens` is valid."""
    oidc_issuer: str | None = None
    """OIDC issuer of tokens that people may send instead of a key: `https://login.example.com/realms/staff`."""
    oidc_audience: str | None = None
    """Audience that the issuer's tokens must have (`aud`); separate several with commas."""
    oidc_clients: str | None = None
    """Clients that the issuer's tokens must be issued to (`azp`), separated by commas; default: any."""
    oidc_tenant: str | None = None
    """Name of the tenant of all people with such a token."""
    oidc_tenant_claim: str | None = None
    """Instead of a name: the claim with the tenant's name. Here and below, a dot separates nested claims."""
    oidc_scopes: str = Field("", pattern=r"^((read|write|admin) *(, *|$))*$")
    """Scopes of all people with such a token: `read`, `write`, `admin`, separated by commas."""
    oidc_scopes_claim: str | None = None
    """Claim with further scopes, possibly among other words: `roles`, `resource_access.footnote.roles`."""
    audit_days: float = Field(365.0, ge=0)
    """How long the audit log stores entries, in days; 0: forever."""
    cors_origins: str | None = None
    """Origins whose pages may call the API, separated by commas: `https://app.example.com`. `*`: all."""
    hsts_seconds: int = Field(0, ge=0)
    """Seconds for which browsers must use https (HSTS). Set it only if a TLS proxy is in front of the API."""
    docs: Literal["on", "off"] = "on"
    """`/docs` and `/openapi.json`: `on` or `off`."""
    ui: Literal["on", "off"] = "on"
    """The web page at `/`: `on` or `off`."""
    mcp: Literal["on", "off"] = "on"
    """The MCP server at `/mcp`: `on` or `off`."""

    # -- logs and metrics --
    log_level: str = Field("INFO", validation_alias="LOG_LEVEL")
    """DEBUG, INFO, WARNING or ERROR."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """`console`, `json`, or `auto`: `console` on a terminal, else `json`."""
    metrics_port: int | None = Field(None, ge=1, le=65_533)
    """Port of `GET /metrics`. With `footnote up`: of the API; worker and dispatcher use the next two ports."""
    metrics_host: str = "127.0.0.1"
    """Address on which `FOOTNOTE_METRICS_PORT` is opened."""
    otlp_endpoint: str | None = Field(None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT", pattern=r"^https?://")
    """OpenTelemetry collector that gets traces over OTLP/HTTP: `http://127.0.0.1:4318`. Unset: no traces."""

    # -- the worker --
    worker_concurrency: int = Field(2, ge=1, le=256)
    """Documents that one worker processes at the same time, each in its own process."""
    worker_connections: int = Field(3, ge=1, le=100)
    """Connections of each worker process to Postgres: for documents that end at the same time, and heartbeats."""
    lease_seconds: float = Field(30.0, gt=0)
    """A step without a heartbeat for this long is given to another worker."""
    heartbeat_seconds: float = Field(10.0, gt=0)
    """Interval of a step's heartbeats; at most a third of the lease."""
    resend_seconds: float = Field(30.0, gt=0)
    """A due job that no worker picked up is sent again after this long."""
    queue_high_water: int = Field(4, ge=1)
    """Most jobs queued in a lane of the broker, or as many as are running if more. Other jobs wait in Postgres."""
    yield_seconds: float = Field(5.0, ge=0)
    """After this long, long work (embedding, a deletion) yields to other work that waits, at its next checkpoint."""
    max_attempts: int = Field(5, ge=1)
    """Crashes of the worker at the same step after which the document fails."""
    max_retries: int = Field(100, ge=0)
    """Retries of a step after temporary errors since its last progress, without rate limits; 100: about 16 hours."""
    flower_port: int = Field(5555, validation_alias="FLOWER_PORT", ge=1, le=65535)
    """Port of the Flower dashboard."""
    flower_host: str = Field("127.0.0.1", validation_alias="FLOWER_HOST")
    """Address that the Flower dashboard listens on."""
    flower_user: str = Field("footnote", validation_alias="FLOWER_USER")
    """User name of the Flower dashboard."""
    flower_password: str | None = Field(None, validation_alias="FLOWER_PASSWORD")
    """Password of the Flower dashboard. Unset: `footnote up` creates one."""

    # -- reading documents --
    parse_cpu_seconds: int = Field(60, ge=1)
    """CPU time a parser may use on a document, plus one second for every 20 pages read."""
    parse_wall_seconds: int = Field(120, ge=1)
    """Longest time without output before a parser is killed."""
    parse_memory_bytes: int = Field(768 * MIB, ge=64 * MIB)
    """Address space a parser may use."""
    ocr: Literal["auto", "off"] = "auto"
    """Text recognition of scanned pages: `auto` (if `tesseract` is on the worker's PATH) or `off`."""
    ocr_languages: str = Field("eng", pattern=r"^[A-Za-z]\w*(/\w+)?(\+[A-Za-z]\w*(/\w+)?)*$")
    """Languages of scanned pages, by tesseract's names: `eng+deu`. Their data must be installed."""
    fetch_timeout_seconds: float = Field(300.0, gt=0)
    """Longest time to fetch a document from an address."""
    fetch_allow_private: bool = False
    """Also fetch documents from loopback and private addresses."""
    chunk_size: int = Field(1200, ge=100, le=8000)
    """Longest chunk of a new collection, in characters."""
    chunk_overlap: int = Field(180, ge=0, le=4000)
    """Characters repeated between neighbouring chunks of a new collection."""

    # -- models --
    embedder: str = "local"
    """Embedding provider: `local` (all-MiniLM-L6-v2 on the CPU), `local-multilingual` or `openai` (any such server)."""
    embedding_model: str | None = None
    """Embedding model; default: the provider's own."""
    embedding_dimensions: int | None = Field(None, ge=1, le=3800)
    """Vector length to request from the provider, for collections without vectors; default: the model's own."""
    embedding_batch: int = Field(64, ge=1, le=2048)
    """Chunks embedded and committed together; a crash repeats at most four batches of a document."""
    embedding_rpm: int | None = Field(None, ge=1)
    """Requests per minute to the embedding provider, over all processes; default: learned from its answers."""
    embedding_tpm: int | None = Field(None, ge=1)
    """Tokens per minute to the embedding provider, over all processes; default: learned from its answers."""
    generator: str = "auto"
    """Generators, tried in this order: `openai` (any compatible server), `anthropic`, `extractive` (no model); each may
    name a model: `openai:gpt-4o,anthropic`. `auto`: those with a key or base URL, then `extractive`."""
    chat_model: str | None = None
    """Chat model of the first generator; default: the provider's own."""
    chat_rpm: int | None = Field(None, ge=1)
    """Requests per minute to the first generator, over all processes; default: learned from its answers."""
    chat_tpm: int | None = Field(None, ge=1)
    """Tokens per minute to the first generator, over all processes; default: learned from its answers."""
    openai_api_key: str | None = Field(None, validation_alias="OPENAI_API_KEY")
    """Key for OpenAI or a compatible server."""
    openai_base_url: str | None = Field(None, validation_alias="OPENAI_BASE_URL", pattern=r"^(https?://[^/\s]|$)")
    """Base URL of a compatible server (Ollama, ...)."""
    anthropic_api_key: str | None = Field(None, validation_alias="ANTHROPIC_API_KEY")
    """Key for Anthropic's API."""
    anthropic_base_url: str | None = Field(None, validation_alias="ANTHROPIC_BASE_URL", pattern=r"^https?://[^/\s]")
    """Base URL of another server that speaks Anthropic's API, without `/v1`."""
    reranker: str = "off"
    """Reranker of search results: `off`, `cohere` (Cohere, Jina, vLLM, ...) or `tei` (Text Embeddings Inference)."""
    rerank_url: str | None = Field(None, pattern=r"^https?://[^/\s]")
    """Address of the reranker, without `/rerank`: `https://api.cohere.com/v2`."""
    rerank_model: str | None = None
    """Model of the reranker; default: the server's own."""
    rerank_api_key: str | None = None
    """Key for the reranker."""
    rerank_seconds: float = Field(1.0, gt=0, le=60)
    """Longest wait for the reranker; after that the fused order is used."""
    rerank_candidates: int = Field(50, ge=1, le=200)
    """Candidates of a search that are sent to the reranker."""
    least_evidence: float = Field(0.56, ge=0, le=1.5)
    """Least evidence for an answer: relatedness of the best hit plus half the share of the question's words in it."""
    answer_cache_seconds: float = Field(86_400.0, ge=0)
    """How long an answer is reused for the same question while the collections do not change; 0: never."""
    answer_cache_similarity: float = Field(0.95, ge=0.5, le=1)
    """Least cosine of questions with equal numbers and names to count as the same; 1: only identical words."""
    answer_repair: Literal["on", "off"] = "off"
    """`on`: the model is asked once more for sentences without a source; the answer is then not streamed."""
    space_keep_days: float = Field(7.0, ge=0, le=3650)
    """How long after a switch to another embedding model you can roll back; then the former vectors are deleted."""
    question_cache_seconds: float = Field(3600.0, ge=0)
    """How long the embedding of a question is stored in Redis; 0: not at all."""
    provider_timeout_seconds: float = Field(60.0, gt=0)
    """Longest wait for one embedding call, or between two pieces of data of an answer."""
    batch_concurrency: int = Field(4, ge=1, le=64)
    """Questions of one batch that are answered in parallel."""
    history_tokens: int = Field(2000, ge=0)
    """Most tokens of earlier messages in a conversation that the model sees, the newest first."""
    provider_connect_seconds: float = Field(5.0, gt=0)
    """Longest wait for a connection to a provider."""
    first_token_seconds: float | None = Field(None, gt=0)
    """Longest wait for the first data of an answer; default: 10, for loopback or private addresses 120."""
    answer_seconds: float | None = Field(None, gt=0)
    """Longest time of an answer after its first data; default: 120, for loopback or private addresses 600."""
    prices: Annotated[dict[str, Price], NoDecode, BeforeValidator(_from_json)] = {}
    """US dollars per million tokens, by model: `{"gpt-4o-mini": {"input": 0.15, "output": 0.6}}`. None is built in."""

    # -- webhooks --
    webhook_allow_private: bool = False
    """Let webhooks reach loopback and private addresses (local development)."""
    webhook_timeout_seconds: float = Field(15.0, gt=0)
    """Longest wait for a webhook receiver."""
    webhook_log_days: float = Field(30.0, gt=0)
    """How long webhook deliveries and their attempts are stored, in days."""
    webhook_disable_days: float = Field(5.0, gt=0)
    """A webhook endpoint to which nothing could be delivered for this many days is disabled."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.heartbeat_seconds > self.lease_seconds / 3:
            raise ValueError("FOOTNOTE_HEARTBEAT_SECONDS must be at most a third of FOOTNOTE_LEASE_SECONDS")
        if self.oidc_issuer is None:
            return self
        if not is_secure_url(self.oidc_issuer):
            raise ValueError("FOOTNOTE_OIDC_ISSUER must begin with https://, or be on loopback")
        if not listed(self.oidc_audience):
            raise ValueError("FOOTNOTE_OIDC_ISSUER needs FOOTNOTE_OIDC_AUDIENCE: it makes tokens for others, too")
        if bool(self.oidc_tenant) == bool(self.oidc_tenant_claim):
            raise ValueError("FOOTNOTE_OIDC_ISSUER needs one of FOOTNOTE_OIDC_TENANT and FOOTNOTE_OIDC_TENANT_CLAIM")
        return self

    @property
    def parse_limits(self) -> "ParseLimits":
        languages = self.ocr_languages if self.ocr == "auto" else ""
        return ParseLimits(self.parse_cpu_seconds, self.parse_wall_seconds, self.parse_memory_bytes, languages)

    @property
    def storage_location(self) -> str:
        """STORAGE_URL, or by default the folder in the data directory."""
        return self.storage_url or (self.data_dir.resolve() / "objects").as_uri()

    @property
    def rates(self) -> dict[RouteClass, int]:
        """Requests a minute by class of route, for classes with a limit."""
        return {kind: getattr(self, f"{plural}_per_minute") for kind, plural in _RATED.items()}

    @property
    def quotas(self) -> dict[str, Decimal]:
        return {of: Decimal(getattr(self, f"quota_{of}")) for of in ("documents", "bytes", "tokens", "usd")}

    @property
    def allowed_origins(self) -> list[str]:
        return [origin.rstrip("/") for origin in listed(self.cors_origins)]


def variable(name: str) -> str:
    """The environment variable of a setting, given as its name or as the variable."""
    field = Settings.model_fields.get(name)
    if field is None:
        return name
    return str(field.validation_alias or PREFIX + name.upper())
