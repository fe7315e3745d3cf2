"""A provider's limits for all processes together: rate limits, pauses, and a circuit for failures.

One JSON value per endpoint in Redis, changed by one script before a call and one after, on the clock of the Redis
server. It may be lost: the next answers restore it. While Redis is unavailable, every call goes ahead without limits.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from footnote.database.redis_client import Shared, script
from footnote.errors import BatchTooLarge, CircuitOpen, FootnoteError, RateLimited, TimedOut, Unavailable
from footnote.telemetry import log, traces
from footnote.telemetry.metrics import CallMeter

Outcome = Literal["answered", "limited", "failed", "left"]
Answer = TypeVar("Answer")

# The share of a limit that we use, so that jitter or another window does not take us over it.
PACE = 0.95
LARGEST = 0.5  # share of a minute's tokens that one call may take, if it can be divided
_SCRIPT = script(__package__, "throttle.lua")
RULES: dict[str, Any] = {
    "pace": PACE,
    "largest": LARGEST,
    "failures": 5,  # in a row, that open the circuit
    "shortest_open": 5_000,  # milliseconds from here on; doubles each time that a trial fails
    "longest_open": 60_000,
    "trial": 90_000,  # for which one call may test whether the provider works again, while the others wait
    "look": 2_000,  # how often the others look for the result
    "shortest_pause": 500,  # after a 429 that names no time; doubles with each that follows
    "longest_pause": 60_000,
    "turn": 1_000,  # between calls after a 429, until one is answered
    "kept": 3_600_000,  # how long the value is stored after the last call
}


@dataclass(frozen=True)
class Urgency:
    """How long a caller waits in its call, in seconds, and how far it may exceed our pace, in minutes of the limit.

    A provider's bucket holds a minute of the limit, and ours a second: the difference is reserved for people.
    """

    patience: float
    borrows: Mapping[str, float]


PIPELINE = Urgency(5.0, {"requests": 0.0, "tokens": 0.0})
# One batch of the pipeline may have spent half a minute's tokens; a question must still pass.
INTERACTIVE = Urgency(1.0, {"requests": 0.1, "tokens": 0.6})


@dataclass(frozen=True)
class Quota:
    """A provider's limits for a minute, what is left of them, and the seconds until there is more."""

    limits: Mapping[str, float]
    left: Mapping[str, float]
    reset: float | None

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> "Quota | None":
        """From `x-ratelimit-*`; a limit of zero means no limit."""
        limits, left, resets = (
            {name: read(headers.get(f"x-ratelimit-{kind}-{name}", "")) for name in ("requests", "tokens")}
            for kind, read in (("limit", _number), ("remaining", _number), ("reset", _seconds))
        )
        limited = {name: limit for name, limit in limits.items() if limit}
        if not limited:
            return None
        known = {name: rest for name, rest in left.items() if name in limited and rest is not None}
        waits = [wait for name, wait in resets.items() if known.get(name) == 0 and wait is not None]
        return cls(limited, known, max(waits, default=None))


def _number(header: str) -> float | None:
    return float(header) if re.fullmatch(r"\d{1,12}", header) else None


def _seconds(header: str) -> float | None:
    """`1s`, `6m0s`, `8.64s`, `120ms`, or bare seconds."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "": 1.0}
    if not re.fullmatch(r"(\d{1,9}(\.\d{1,9})?(ms|h|m|s))+|\d{1,9}(\.\d{1,9})?", header):
        return None
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)(ms|h|m|s|)", header))


@dataclass
class Call:
    """One call that was admitted. The caller records what the answer said."""

    costs: dict[str, float]
    trial: bool = False
    is_plain: bool = False  # an answer without a quota would say nothing new
    quota: Quota | None = None
    tokens: int | None = None  # as the provider counted them
    answered: bool = False


@dataclass
class Endpoint:
    """A provider's model at an address, as all processes share it. `configured` limits are a minute's."""

    shared: Shared
    provider: str
    address: str
    model: str
    configured: Mapping[str, float]
    urgency: Urgency
    known: Mapping[str, float] = field(init=False)  # configured or learned; also what `learn` gets

    def __post_init__(self) -> None:
        self.known = self.configured

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"

    @property
    def key(self) -> str:
        return f"footnote:provider:{self.name}:{hashlib.sha256(self.address.encode()).hexdigest()[:12]}"

    @asynccontextmanager
    async def calling(self, tokens: int, *, patience: float, divisible: bool = False) -> AsyncIterator[Call]:
        """Waits for the call's turn, at most `patience` seconds, and learns from the call's result.

        Raises RateLimited, CircuitOpen, and BatchTooLarge where a `divisible` call asks for too much at once.
        """
        with CallMeter(self.provider) as meter, traces.spanning("provider", current=False, provider=self.provider):
            call = await self._enter(Call({"requests": 1, "tokens": tokens}), patience, divisible)
            meter.admitted()
            async with self._learning(call, tokens, divisible=divisible):
                yield call
            await self.answered(call)

    @asynccontextmanager
    async def _learning(self, call: Call, tokens: int, *, divisible: bool) -> AsyncIterator[None]:
        """Records how the call failed, if it does."""
        try:
            yield
        except RateLimited as error:
            call.quota = call.quota or error.quota
            if divisible and call.quota and tokens > call.quota.limits.get("tokens", tokens):
                await self._leave(call, "answered")  # no pause makes room for so large a call
                raise BatchTooLarge("provider_rejected", error.message) from error
            paused = await self._leave(call, "limited", error.retry_after)
            error.retry_after = max(paused, error.retry_after or 0.0) or None
            raise
        except (Unavailable, TimedOut) as error:
            await self._leave(call, "failed", error.retry_after)
            raise
        except FootnoteError:
            await self._leave(call, "answered")  # it works, but refuses this request
            raise
        except BaseException:
            if call.trial:
                await self._leave(call, "left")
            raise

    async def answered(self, call: Call) -> None:
        """The provider works. A long answer says so with its first piece."""
        if not call.answered:
            call.answered = True
            if call.quota or not call.is_plain:
                await self._leave(call, "answered")
            call.trial = False

    async def circuit(self) -> str | None:
        """`closed`, or until when the provider is not asked; None while Redis is unavailable."""
        found = await self.shared.run(_SCRIPT, self.key, call="look", **RULES)
        if found is None:
            return None
        return _utc(found["open_until"]) if "open_until" in found else "closed"

    async def learn(self, **sizes: int) -> None:
        """Announces to all processes what one call accepts (`texts`) or one text (`longest`); learns from theirs."""
        found = await self.shared.run(_SCRIPT, self.key, call="learn", **RULES, configured=self.configured, sizes=sizes)
        if found is not None:
            self.known = found["limits"]

    async def _enter(self, call: Call, patience: float, divisible: bool) -> Call:
        clock = asyncio.get_running_loop().time
        deadline = clock() + patience
        granted = False
        while True:
            found = await self.shared.run(
                _SCRIPT,
                self.key,
                call="enter",
                **RULES,
                configured=self.configured,
                costs=call.costs,
                borrows=self.urgency.borrows,
                patience=max(0, deadline - clock()) * 1000,
                divisible=divisible and not granted,
                granted=granted,
                trying=call.trial,
            )
            if found is None:
                return call
            self.known = found["limits"]
            if found["verdict"] != "go":
                raise self._refusal(found, call)
            call.trial, call.is_plain = call.trial or found["trial"], found["plain"]
            if not found["wait"]:
                return call
            await asyncio.sleep(found["wait"] / 1000)
            granted = True  # meanwhile there may be a pause, or an open circuit

    def _refusal(self, found: dict[str, Any], call: Call) -> FootnoteError:
        wait = found["wait"] / 1000
        if found["verdict"] == "large":
            limit = f"{self.name} takes {self.known['tokens']:.0f} tokens a minute"
            return BatchTooLarge("provider_rejected", f"{limit}; {call.costs['tokens']:.0f} at once are too many.")
        if found["verdict"] == "open":
            failed = f"{self.name} failed {found['failures']:.0f} times in a row"
            message = f"{failed} and is not asked before {_utc(found['at'])}."
            return CircuitOpen("provider_unavailable", message, retry_after=wait)
        if found["why"] == "pause":
            message = f"{self.name} asked for a pause until {_utc(found['at'])}."
        else:
            limit = f"{self.known[found['why']]:.0f} {found['why']} a minute"
            message = f"{self.name} takes {limit}; there is room again at {_utc(found['at'])}."
        return RateLimited("provider_unavailable", message, retry_after=wait)

    async def _leave(self, call: Call, outcome: Outcome, retry_after: float | None = None) -> float:
        """Records how the call ended; the seconds of the pause that follows."""
        found = await self.shared.run(
            _SCRIPT,
            self.key,
            call="leave",
            **RULES,
            configured=self.configured,
            outcome=outcome,
            tried=call.trial,
            retry_after=(retry_after or 0) * 1000,
            costs=call.costs,
            used=call.tokens,
            learned=call.quota.limits if call.quota else {},
            left=call.quota.left if call.quota else {},
        )
        if found is None:
            return 0.0
        self.known = found["limits"]
        if found.get("changed"):
            log.warning(f"provider circuit {found['changed']}", provider=self.name, until=_utc(found["at"]))
        return float(found["wait"]) / 1000


def _utc(milliseconds: float) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
