"""Which of our parameters an endpoint's model does not accept, learned from its refusals.

Servers that speak OpenAI's API differ in their optional parameters: `stream_options`, `temperature`, the name of the
limit on an answer, the role `system`. A parameter that a refusal names is left out from then on (ADR 25).
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from footnote.providers.refusals import ProviderRefusal
from footnote.telemetry import log

Answer = TypeVar("Answer")

MOST_MODELS = 64  # of an endpoint; requests may name any
SYSTEM = "system role"
# Two names of one limit: if one is refused, the other is tried.
_OTHER_NAME = {"max_completion_tokens": "max_tokens", "max_tokens": "max_completion_tokens"}
OPTIONAL = ("stream_options", "temperature", *_OTHER_NAME, "dimensions", "encoding_format")

_STATUSES = (400, 422, 500, 501)  # 500: a chat template that raises an error of its own
_NAMED = {name: re.compile(rf"(?<![a-z]){name.replace('_', '[_ -]?')}(?![a-z])", re.I) for name in OPTIONAL}
_NAMED["encoding_format"] = re.compile(r"encoding[_ -]?format|base64", re.I)
_NAMED["stream_options"] = re.compile(r"stream[_ -]?options|include[_ -]?usage", re.I)
_NAMED[SYSTEM] = re.compile(
    r"\b(?:system|developer)(?:\b|_).{0,20}(?:role|message|prompt|instruction)|\brole.{0,60}\b(?:system|developer)\b"
    r"|\broles? must alternate|\bonly\b.{0,20}\buser\b.{0,20}\bassistant\b.{0,20}\broles?\b|messages?\S{0,60}\brole\b"
    r"|\b(?:first message|begin|start)\b.{0,40}\buser\b|\Asystem\Z",
    re.I | re.S,
)
# The value is refused, not the parameter: the caller must choose another.
_VALUE = re.compile(
    r"\btoo (?:large|high|big|long|low|small)|\b(?:less|greater|larger|higher|more) than|\bat (?:most|least)\b"
    r"|\bbetween\b|\bm(?:ax|in)imum\b|\bexceed|\brange\b|\bcontext (?:length|window)|\bpositive\b|[<>]=?\s*\d|[≤≥]",
    re.I,
)
# The parameter itself is refused, whatever else the message says.
_UNKNOWN = re.compile(
    r"\bun(?:known|expected|recogni[sz]ed|supported) (?:request )?(?:parameter|argument|field|property|name|key)"
    r"|\bextra (?:inputs|fields)\b|\badditional propert",
    re.I,
)
# The names that follow are those of other parameters.
_OTHERS = re.compile(
    r"\bexpected one of|\bdid you mean|(?<!not )\buse\s+[`'\"]"
    r"|\b(?:supported|allowed|valid|permitted|available) (?:parameters|arguments|fields|properties|names)\b",
    re.I,
)

_CHOSEN = ("temperature", *_OTHER_NAME, "dimensions")  # chosen by a request or a setting


@dataclass
class Dialect:
    """The parameters that one model at one address refuses."""

    address: str
    model: str
    refused: frozenset[str] = frozenset()

    async def ask(self, call: Callable[[dict[str, Any]], Awaitable[Answer]], request: Mapping[str, Any]) -> Answer:
        """The answer of `call` to the request as the model accepts it; several refusals may follow each other.

        Raises ProviderRefusal, and then learns nothing.
        """
        refused = self.refused
        while True:
            spoken = _spoken(request, refused)
            try:
                answer = await call(spoken)
            except ProviderRefusal as error:
                named = _named(error, set(_sent(spoken)) - refused)
                if not named:
                    raise
                refused, words = refused | named, error.words
                continue
            if refused - self.refused:
                log.warning(
                    "the model does not take all parameters",
                    address=self.address,
                    model=self.model,
                    left_out=sorted(refused - self.refused),
                    refused_with=words,
                )
                self.refused |= refused
            return answer


class Dialects(dict[str, Dialect]):
    """By name, the dialects of the models at one address; the oldest is dropped when there are MOST_MODELS."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = address

    def __missing__(self, model: str) -> Dialect:
        if len(self) >= MOST_MODELS:
            del self[next(iter(self))]
        self[model] = Dialect(self._address, model)
        return self[model]


def _sent(request: Mapping[str, Any]) -> Iterator[str]:
    yield from (name for name in OPTIONAL if name in request)
    if "system" in request or any(each.get("role") == "system" for each in request.get("messages", ())):
        yield SYSTEM


def _named(error: ProviderRefusal, sent: Iterable[str]) -> frozenset[str]:
    """The parameters that the refusal's fields name; else those that its words name."""
    if error.status not in _STATUSES:
        return frozenset()
    said = error.said
    pointed = [name for name in sent if any(_NAMED[name].search(place) for place in said.places)]
    end = others.start() if (others := _OTHERS.search(said.words)) else None
    found = pointed or [name for name in sent if _NAMED[name].search(said.words[: None if name == SYSTEM else end])]
    by_value = _VALUE.search(said.words) is not None and not _UNKNOWN.search(said.words)
    return frozenset(name for name in found if name not in _CHOSEN or not by_value)


def _spoken(request: Mapping[str, Any], refused: frozenset[str]) -> dict[str, Any]:
    """The request without the refused parameters, or with their substitutes."""
    spoken = dict(request)
    for name in OPTIONAL:
        if name in refused and name in spoken:
            value = spoken.pop(name)
            if (other := _OTHER_NAME.get(name)) and other not in refused:
                spoken[other] = value
    if SYSTEM in refused:
        system = [{"role": "system", "content": spoken.pop("system", "")}]
        spoken["messages"] = _without_system([*system, *spoken.get("messages", ())])
    return spoken


def _without_system(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """The messages with the system prompt at the start of the user's first message."""
    instructions = "\n\n".join(each["content"] for each in messages if each["role"] == "system" and each["content"])
    turns = [each for each in messages if each["role"] != "system"]
    if not instructions:
        return turns
    first, *rest = turns
    if first["role"] != "user":
        return [{"role": "user", "content": instructions}, *turns]
    return [{"role": "user", "content": f"{instructions}\n\n{first['content']}"}, *rest]
