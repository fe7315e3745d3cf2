"""Every setting: its environment variable, default and meaning. Nothing else reads the environment.

Well-known names (DATABASE_URL, OPENAI_API_KEY, AWS_*, PORT, ...) keep them; our own start with FOOTNOTE_.
`docs/settings.md` is generated from the fields below.
"""

import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from footnote.door_settings import DoorSettings
from footnote.door_settings import env as _env

MIB = 1024 * 1024


@dataclass(frozen=True)
class ParseLimits:
    """What a parser's child process may use: CPU seconds, silent wall seconds, bytes of address space.

    And the languages (`eng+deu`) in which it reads pictures of text; none: it does not.
    """

    cpu_seconds: int
    wall_seconds: int
    memory_bytes: int
    ocr_languages: str = ""


class Price(BaseModel):
    """US dollars for a million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Decimal = Field(ge=0, allow_inf_nan=False)
    output: Decimal = Field(Decimal(0), ge=0, allow_inf_nan=False)


def _from_json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


class Settings(DoorSettings):
    """Read once per process from the environment and `.env`; immutable afterwards."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, populate_by_name=True)

    # -- where things are --
    data_dir: Path = _env(
        "FOOTNOTE_DATA_DIR", Path(".footnote"), "Directory of the local stack: databases, files, logs, first API key."
    )
    database_url: str | None = _env(
        "DATABASE_URL", None, "Postgres with pgvector (`postgresql://...`). Unset: `footnote up` embeds one."
    )
    tenant_role: str = _env(
        "FOOTNOTE_TENANT_ROLE",
        "footnote_tenant",
        "Postgres role as which requests and steps of a tenant act, bound by row-level security; `footnote migrate` "
        "makes it. Empty: the wall between tenants stands in the code only.",
        pattern=r"^([a-z_][a-z0-9_]{0,62})?$",
    )
    redis_url: str | None = _env(
        "REDIS_URL", None, "Redis or Valkey for the task queue. Unset: `footnote up` embeds one."
    )
    storage_url: str | None = _env(
        "STORAGE_URL",
        None,
        "Object store: `file:///path` or `s3://bucket/prefix` (with the usual AWS_* variables). "
        "Unset: a folder in the data directory.",
    )
    s3_public_endpoint_url: str | None = _env(
        "FOOTNOTE_S3_PUBLIC_ENDPOINT_URL",
        None,
        "Address of the S3 server for those who upload to it directly, where `AWS_ENDPOINT_URL` is an inner one.",
    )

    # -- the API --
    host: str = _env("FOOTNOTE_HOST", "127.0.0.1", "Address the API listens on.")
    port: int = _env("PORT", 8000, "Port of the API.", ge=1, le=65535)
    api_workers: int = _env(
        "WEB_CONCURRENCY",
        2,
        "API processes behind the one port. Each takes up to 10 connections to Postgres, and 90 MB, 170 with the local "
        "embedding model.",
        ge=1,
        le=64,
    )
    metrics_dir: Path | None = _env(
        "PROMETHEUS_MULTIPROC_DIR",
        None,
        "Directory, empty at the start, in which several API processes count for `/metrics`. Unset: a temporary one.",
    )
    max_upload_bytes: int = _env("FOOTNOTE_MAX_UPLOAD_BYTES", 1024 * MIB, "Largest document accepted, in bytes.", ge=1)
    max_json_bytes: int = _env("FOOTNOTE_MAX_JSON_BYTES", MIB // 4, "Largest JSON request body, in bytes.", ge=1024)
    body_idle_seconds: float = _env(
        "FOOTNOTE_BODY_IDLE_SECONDS",
        30.0,
        "Longest silence within a request body before the connection is closed.",
        gt=0,
    )
    api_key: str | None = _env(
        "FOOTNOTE_API_KEY",
        None,
        "API key used by the command line; default: the one `footnote up` keeps in the data directory.",
    )
    api_url: str | None = _env("FOOTNOTE_API_URL", None, "API used by the command line; default: the local stack's.")
    user_config_dir: Path = _env("XDG_CONFIG_HOME", Path("~/.config"), "Holds the command line's `footnote/` folder.")

    # -- logs --
    log_level: str = _env("LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR.")
    log_format: Literal["auto", "json", "console"] = _env(
        "FOOTNOTE_LOG_FORMAT", "auto", "`auto` is `console` on a terminal and `json` elsewhere."
    )

    # -- the worker --
    worker_concurrency: int = _env(
        "FOOTNOTE_WORKER_CONCURRENCY", 2, "Documents worked on at once by one worker.", ge=1, le=256
    )
    lease_seconds: float = _env(
        "FOOTNOTE_LEASE_SECONDS",
        30.0,
        "A step without a heartbeat for this long is given to another worker.",
        gt=0,
    )
    heartbeat_seconds: float = _env(
        "FOOTNOTE_HEARTBEAT_SECONDS",
        10.0,
        "Interval of a step's heartbeats; at most a third of the lease.",
        gt=0,
    )
    ring_again_seconds: float = _env(
        "FOOTNOTE_RING_AGAIN_SECONDS",
        30.0,
        "A due job that nobody picked up is sent again after this long.",
        gt=0,
    )
    queue_high_water: int = _env(
        "FOOTNOTE_QUEUE_HIGH_WATER",
        4,
        "Messages kept in each lane of the broker, or as many as jobs run; the rest waits in Postgres, in turns.",
        ge=1,
    )
    turn_seconds: float = _env(
        "FOOTNOTE_TURN_SECONDS",
        5.0,
        "A long embedding gives its place in the worker to others that wait after this long, at its next batch.",
        ge=0,
    )
    max_attempts: int = _env(
        "FOOTNOTE_MAX_ATTEMPTS", 5, "Crashes of the worker on one step after which the document fails.", ge=1
    )
    max_retries: int = _env(
        "FOOTNOTE_MAX_RETRIES",
        100,
        "Retries of one step after temporary errors before the document fails; 100 take about 16 hours. "
        "A rate limit is no error, and progress starts the count anew.",
        ge=0,
    )
    flower_port: int = _env("FLOWER_PORT", 5555, "Port of the Flower dashboard.", ge=1, le=65535)
    flower_host: str = _env("FLOWER_HOST", "127.0.0.1", "Address the Flower dashboard listens on.")
    flower_user: str = _env("FLOWER_USER", "footnote", "User name of the Flower dashboard.")
    flower_password: str | None = _env(
        "FLOWER_PASSWORD", None, "Password of the Flower dashboard. Unset: `footnote up` makes one."
    )

    # -- reading documents --
    parse_cpu_seconds: int = _env(
        "FOOTNOTE_PARSE_CPU_SECONDS",
        60,
        "CPU time a parser may use on a document, plus one second for every 20 pages done.",
        ge=1,
    )
    parse_wall_seconds: int = _env(
        "FOOTNOTE_PARSE_WALL_SECONDS", 120, "Longest silence of a parser before it is killed.", ge=1
    )
    parse_memory_bytes: int = _env(
        "FOOTNOTE_PARSE_MEMORY_BYTES", 768 * MIB, "Address space a parser may use.", ge=64 * MIB
    )
    ocr: Literal["auto", "off"] = _env(
        "FOOTNOTE_OCR",
        "auto",
        "Text recognition of scanned pages: `auto` where the program `tesseract` is on the worker's PATH, or `off`.",
    )
    ocr_languages: str = _env(
        "FOOTNOTE_OCR_LANGUAGES",
        "eng",
        "Languages of scanned pages, by tesseract's names: `eng+deu`. Their data must be installed.",
        pattern=r"^[A-Za-z]\w*(/\w+)?(\+[A-Za-z]\w*(/\w+)?)*$",
    )
    fetch_timeout_seconds: float = _env(
        "FOOTNOTE_FETCH_TIMEOUT_SECONDS", 300.0, "Longest time to fetch a document from an address.", gt=0
    )
    fetch_allow_private: bool = _env(
        "FOOTNOTE_FETCH_ALLOW_PRIVATE", False, "Fetch documents from loopback and private addresses, too."
    )
    chunk_size: int = _env(
        "FOOTNOTE_CHUNK_SIZE", 1200, "Longest chunk of a new collection, in characters.", ge=100, le=8000
    )
    chunk_overlap: int = _env(
        "FOOTNOTE_CHUNK_OVERLAP",
        180,
        "Characters repeated between neighbouring chunks of a new collection.",
        ge=0,
        le=4000,
    )

    # -- models --
    embedder: str = _env(
        "FOOTNOTE_EMBEDDER",
        "local",
        "Embedding provider: `local` (all-MiniLM-L6-v2 on the CPU) or `openai` (any compatible server).",
    )
    embedding_model: str | None = _env(
        "FOOTNOTE_EMBEDDING_MODEL", None, "Embedding model; default: the provider's own."
    )
    embedding_dimensions: int | None = _env(
        "FOOTNOTE_EMBEDDING_DIMENSIONS",
        None,
        "Ask the provider for shorter vectors, for collections without any; default: the model's own length.",
        ge=1,
        le=3800,
    )
    embedding_batch: int = _env(
        "FOOTNOTE_EMBEDDING_BATCH",
        64,
        "Chunks embedded and committed together; a crash repeats at most one batch.",
        ge=1,
        le=2048,
    )
    embedding_rpm: int | None = _env(
        "FOOTNOTE_EMBEDDING_RPM",
        None,
        "Requests a minute that the embedding provider takes, over all processes; default: what it says.",
        ge=1,
    )
    embedding_tpm: int | None = _env(
        "FOOTNOTE_EMBEDDING_TPM",
        None,
        "Tokens a minute that the embedding provider takes, over all processes; default: what it says.",
        ge=1,
    )
    generator: str = _env(
        "FOOTNOTE_GENERATOR",
        "auto",
        "Answer writers, in the order in which they are asked: `openai` (any compatible server), `anthropic`, "
        "`extractive` (no model); each may name a model: `openai:gpt-4o,anthropic,extractive`. `auto`: `openai` when a "
        "key or base URL is set (nearby, `extractive` follows), else `anthropic` when its key is, else `extractive`.",
    )
    chat_model: str | None = _env(
        "FOOTNOTE_CHAT_MODEL", None, "Chat model of the first answer writer; default: the provider's own."
    )
    chat_rpm: int | None = _env(
        "FOOTNOTE_CHAT_RPM",
        None,
        "Requests a minute that the first answer writer takes, over all processes; default: what it says.",
        ge=1,
    )
    chat_tpm: int | None = _env(
        "FOOTNOTE_CHAT_TPM",
        None,
        "Tokens a minute that the first answer writer takes, over all processes; default: what it says.",
        ge=1,
    )
    openai_api_key: str | None = _env("OPENAI_API_KEY", None, "Key for OpenAI or a compatible server.")
    openai_base_url: str | None = _env(
        "OPENAI_BASE_URL", None, "Base URL of a compatible server (Ollama, ...).", pattern=r"^(https?://[^/\s]|$)"
    )
    anthropic_api_key: str | None = _env("ANTHROPIC_API_KEY", None, "Key for Anthropic's API.")
    anthropic_base_url: str | None = _env(
        "ANTHROPIC_BASE_URL",
        None,
        "Base URL of another server that speaks Anthropic's API, without `/v1`.",
        pattern=r"^https?://[^/\s]",
    )
    reranker: str = _env(
        "FOOTNOTE_RERANKER",
        "off",
        "Reranking of what a search found: `off`, `cohere` (Cohere, Jina, vLLM, Infinity, ...) or `tei` "
        "(Text Embeddings Inference).",
    )
    rerank_url: str | None = _env(
        "FOOTNOTE_RERANK_URL",
        None,
        "Address of the reranker, to which `/rerank` is added: `https://api.cohere.com/v2`.",
        pattern=r"^https?://[^/\s]",
    )
    rerank_model: str | None = _env("FOOTNOTE_RERANK_MODEL", None, "Model of the reranker; default: the server's own.")
    rerank_api_key: str | None = _env("FOOTNOTE_RERANK_API_KEY", None, "Key for the reranker.")
    rerank_seconds: float = _env(
        "FOOTNOTE_RERANK_SECONDS",
        1.0,
        "Longest wait for the reranker; after that a search keeps its own order.",
        gt=0,
        le=60,
    )
    rerank_candidates: int = _env(
        "FOOTNOTE_RERANK_CANDIDATES", 50, "Candidates of a search that the reranker is asked about.", ge=1, le=200
    )
    least_evidence: float = _env(
        "FOOTNOTE_LEAST_EVIDENCE",
        0.56,
        "Evidence below which a question is answered with `not_found`, and no model is asked: the best hit's cosine, "
        "and half the share of the question's words in it. The default was learned with the local embedding model; "
        "0 lets everything pass.",
        ge=0,
        le=1.5,
    )
    answer_cache_seconds: float = _env(
        "FOOTNOTE_ANSWER_CACHE_SECONDS",
        86_400.0,
        "How long an answer is given again to questions that mean the same, while nothing changes in the collections; "
        "0: never.",
        ge=0,
    )
    answer_cache_similarity: float = _env(
        "FOOTNOTE_ANSWER_CACHE_SIMILARITY",
        0.95,
        "Cosine from which two questions are taken to mean the same, if their numbers and names are; 1: only the same "
        "words.",
        ge=0.5,
        le=1,
    )
    question_cache_seconds: float = _env(
        "FOOTNOTE_QUESTION_CACHE_SECONDS",
        3600.0,
        "How long the embedding of a question is kept in Redis; 0: not at all.",
        ge=0,
    )
    provider_timeout_seconds: float = _env(
        "FOOTNOTE_PROVIDER_TIMEOUT_SECONDS",
        60.0,
        "Longest wait for one embedding call, or between two signs of a model at work on an answer.",
        gt=0,
    )
    batch_concurrency: int = _env(
        "FOOTNOTE_BATCH_CONCURRENCY", 4, "Questions of one batch that are answered at once.", ge=1, le=64
    )
    history_tokens: int = _env(
        "FOOTNOTE_HISTORY_TOKENS",
        2000,
        "Of what was said before in a conversation, so many tokens at most are given to the model, the newest first.",
        ge=0,
    )
    provider_connect_seconds: float = _env(
        "FOOTNOTE_PROVIDER_CONNECT_SECONDS", 5.0, "Longest wait for a connection to a provider.", gt=0
    )
    first_token_seconds: float | None = _env(
        "FOOTNOTE_FIRST_TOKEN_SECONDS", None, "Longest wait for a model's first sign; default: 10, nearby 120.", gt=0
    )
    answer_seconds: float | None = _env(
        "FOOTNOTE_ANSWER_SECONDS", None, "Longest time of an answer from there; default: 120, nearby 600.", gt=0
    )

    prices: Annotated[dict[str, Price], NoDecode, BeforeValidator(_from_json)] = _env(
        "FOOTNOTE_PRICES",
        {},
        'US dollars for a million tokens, by model: `{"gpt-4o-mini": {"input": 0.15, "output": 0.6}}`. None are built '
        "in, for they change.",
    )

    # -- webhooks --
    webhook_allow_private: bool = _env(
        "FOOTNOTE_WEBHOOK_ALLOW_PRIVATE",
        False,
        "Let webhooks reach loopback and private addresses (local development).",
    )
    webhook_timeout_seconds: float = _env(
        "FOOTNOTE_WEBHOOK_TIMEOUT_SECONDS", 15.0, "Longest wait for a webhook receiver.", gt=0
    )
    webhook_log_days: float = _env(
        "FOOTNOTE_WEBHOOK_LOG_DAYS", 30.0, "How long it is kept which webhooks were sent, and how that went.", gt=0
    )
    webhook_disable_days: float = _env(
        "FOOTNOTE_WEBHOOK_DISABLE_DAYS",
        5.0,
        "A webhook endpoint to which nothing could be delivered for so long is disabled.",
        gt=0,
    )

    @model_validator(mode="after")
    def _beats_in_time(self) -> Self:
        if self.heartbeat_seconds > self.lease_seconds / 3:
            raise ValueError("FOOTNOTE_HEARTBEAT_SECONDS must be at most a third of FOOTNOTE_LEASE_SECONDS")
        return self

    @property
    def parse_limits(self) -> "ParseLimits":
        languages = self.ocr_languages if self.ocr == "auto" else ""
        return ParseLimits(self.parse_cpu_seconds, self.parse_wall_seconds, self.parse_memory_bytes, languages)

    @property
    def storage_location(self) -> str:
        """STORAGE_URL, or the folder in the data directory that stands in for it."""
        return self.storage_url or f"file://{self.data_dir.resolve()}/objects"
