"""Model providers: one module per provider, found by its name.

A provider module may define `open_embedder(settings, shared_with)`, `open_generator(settings)` and
`open_reranker(settings)`. A server that speaks OpenAI's API, or Cohere's for reranking, needs no module, only settings.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from footnote.errors import Invalid, Unavailable
from footnote.extracts import Passage as Passage
from footnote.providers.addresses import is_local
from footnote.providers.throttle import Quota
from footnote.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Embeddings:
    """`vectors` is float32 of shape (texts, dimensions), finite, L2-normalised; `tokens` as the provider counts.

    `estimated`: the provider did not count them. `split`: places of texts that were too long for the model and were
    embedded in pieces.
    """

    vectors: "NDArray[np.float32]"
    tokens: int
    quota: Quota | None = None
    estimated: bool = False
    split: frozenset[int] = frozenset()

    @property
    def dimensions(self) -> int:
        return int(self.vectors.shape[1])


class Embedder(Protocol):
    """Turns texts into vectors.

    Raises ProviderRejected (permanent; BatchTooLarge if fewer texts may pass), RateLimited, Unavailable or TimedOut
    (temporary).
    """

    @property
    def provider(self) -> str: ...
    @property
    def address(self) -> str | None:
        """Where the model is asked; None if it runs in this process."""
        ...

    @property
    def model(self) -> str: ...
    @property
    def max_texts(self) -> int:
        """Texts in one call, at most."""
        ...

    @property
    def max_tokens(self) -> int:
        """Tokens in one call, at most, summed over its texts."""
        ...

    @property
    def longest_text(self) -> int | None:
        """Tokens of one text that the model reads, at most; None if unknown."""
        ...

    @property
    def question_prefix(self) -> str:
        """What is put before a question, for models that embed it in another way than a passage."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`; an estimate where the provider has no public tokenizer."""
        ...

    async def embed(self, texts: Sequence[str]) -> Embeddings: ...
    async def close(self) -> None: ...


@dataclass(frozen=True)
class ChatMessage:
    role: str
    content: str


@dataclass(frozen=True)
class GenerationRequest:
    """Without passages the system prompt alone is the instruction.

    `near_only`: the passages are too weak to be an answer.
    `brief`: with fewer rules and passages, for a model that did not follow more. `draft`: the model's answer, to be
    written again with its sources.
    `not_mentioned`: what the question names and no passage holds. `parts`: the questions that it consists of, if it is
    several.
    `related`: where the question is in another language than the passages, how related their sentences are to it.
    `alive` is called for everything that the model sends, text or not: a model that thinks is not silent.
    `thought` is called with a model's thoughts, if the server separates them from the answer.
    """

    question: str
    passages: Sequence[Passage]
    history: Sequence[ChatMessage] = field(default_factory=tuple)
    system_prompt: str | None = None
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    not_mentioned: Sequence[str] = ()
    parts: Sequence[str] = ()
    near_only: bool = False
    brief: bool = False
    draft: str = ""
    related: Mapping[str, float] = field(default_factory=dict)
    alive: Callable[[], None] = field(default=lambda: None, compare=False, repr=False)
    thought: Callable[[str], None] = field(default=lambda _text: None, compare=False, repr=False)


@dataclass(frozen=True)
class Token:
    """A piece of a model's answer; markers such as `[1]` or `[1: "quote"]` are still in it."""

    text: str


@dataclass(frozen=True)
class Statement:
    """A finished sentence with the passage and the verbatim quote that support it."""

    text: str
    marker: int
    quote: str


@dataclass(frozen=True)
class Usage:
    """Tokens as the provider counted them, None if it did not; `cost` in US dollars, from our prices."""

    prompt_tokens: int | None
    completion_tokens: int | None
    cost: float | None = None

    def __add__(self, other: "Usage") -> "Usage":
        """A sum with an unknown number is unknown."""
        return Usage(
            _sum(self.prompt_tokens, other.prompt_tokens),
            _sum(self.completion_tokens, other.completion_tokens),
            _sum(self.cost, other.cost),
        )


@dataclass(frozen=True)
class Uncounted:
    """An answer whose provider did not count all of its tokens: what it counted, and our estimates."""

    counted: Usage
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class ModelRef:
    """The model that writes the answer, if there are several."""

    provider: str
    model: str


@dataclass(frozen=True)
class Truncated:
    """The answer ends here but is incomplete: it reached a limit, or its provider stopped."""


@dataclass(frozen=True)
class Nearest:
    """The statements that follow come closest to the question, or to this part of it, and do not hold what it asks."""

    part: str = ""


GeneratorEvent = Token | Statement | Usage | Uncounted | Quota | ModelRef | Truncated | Nearest


class Generator(Protocol):
    """Writes an answer from passages; same errors as an Embedder. Quota and ModelRef may come before the first piece.

    The caller limits its time: it is closed or cancelled when it takes too long.
    """

    @property
    def provider(self) -> str: ...
    @property
    def address(self) -> str | None: ...
    @property
    def model(self) -> str: ...
    def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]: ...
    async def close(self) -> None: ...


class Reranker(Protocol):
    """Says how well texts fit a query; same errors as an Embedder. May be cancelled at any moment."""

    @property
    def provider(self) -> str: ...
    @property
    def address(self) -> str | None: ...
    @property
    def model(self) -> str: ...
    async def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """One finite score for each text, in the order of the texts; the higher, the better it fits."""
        ...

    async def close(self) -> None: ...


def _sum(one: Number | None, other: Number | None) -> Number | None:
    return None if one is None or other is None else one + other


def open_embedder(settings: Settings, shared_with: Embedder | None = None) -> Embedder:
    """The configured embedder. Cheap: models load and connections open at first use.

    It uses the connections of `shared_with`, an embedder of the same provider and address; closing either closes them.
    """
    opened: Embedder = _provider(settings.embedder, "open_embedder")(settings, shared_with)
    return opened


def open_generators(settings: Settings) -> list[Generator]:
    """The configured generators, in the order in which they are asked. Raises Invalid."""
    opened = []
    for number, named in enumerate(settings.generator.split(",")):
        provider, _, model = named.strip().partition(":")
        chosen = model or (settings.chat_model if number == 0 else None)
        for name in _automatic(settings) if provider == "auto" else [provider]:
            opened.append(_provider(name, "open_generator")(settings.model_copy(update={"chat_model": chosen})))
    return opened


def _automatic(settings: Settings) -> list[str]:
    """A local server may be switched off, or too slow: then documents are quoted instead of no answer at all."""
    if settings.openai_api_key or settings.openai_base_url:
        return ["openai", "extractive"] if is_local(settings.openai_base_url) else ["openai"]
    return ["anthropic" if settings.anthropic_api_key else "extractive"]


def open_reranker(settings: Settings) -> Reranker | None:
    """The configured reranker; None if it is off."""
    if settings.reranker == "off":
        return None
    opened: Reranker = _provider(settings.reranker, "open_reranker")(settings)
    return opened


def normalised(vectors: Any, count: int) -> "NDArray[np.float32]":
    """`vectors` as float32 of shape (count, dimensions), each of length 1.

    Raises Unavailable(provider_bad_response) for vectors that must not be stored: another shape, NaN, zeros.
    """
    import numpy as np

    try:
        with np.errstate(over="ignore"):  # values that are too large become infinite, and are refused below
            matrix = np.asarray(vectors, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise Unavailable("provider_bad_response", "The provider sent vectors of different lengths.") from error
    if matrix.ndim != 2 or matrix.shape[0] != count or matrix.shape[1] == 0:
        raise Unavailable("provider_bad_response", f"The provider sent vectors of shape {matrix.shape}.")
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths == 0).any():
        raise Unavailable("provider_bad_response", "The provider sent a vector that is zero or not finite.")
    unit: NDArray[np.float32] = matrix / lengths
    return unit


def _provider(name: str, function: str) -> Any:
    try:
        return getattr(import_module(f"footnote.providers.{name.replace('-', '_')}"), function)
    except (ModuleNotFoundError, AttributeError) as error:
        raise Invalid("unknown_provider", f"There is no {function.removeprefix('open_')} {name!r}.") from error
