"""API keys."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from api.schemas.common import In, Out
from api.schemas.fields import Moment, Plain
from footnote.models import ApiKey
from footnote.settings import RouteClass

Scope = Literal["read", "write", "admin"]
Rates = dict[RouteClass, Annotated[int, Field(ge=0, le=1_000_000)]]


def _amount(value: Any) -> Any:
    """A string is allowed, too: a float cannot hold every amount exactly."""
    if isinstance(value, bool):
        raise ValueError("must be a number, or one as a string")
    return value


class BudgetIn(In):
    """What the key may spend in a calendar month (UTC). Above that, questions and uploads are refused."""

    usd: Annotated[
        Decimal | None,
        Field(ge=0, le=1_000_000, allow_inf_nan=False, strict=False, description="US dollars, by the price table."),
        BeforeValidator(_amount),
    ] = None
    tokens: Annotated[int | None, Field(ge=0, le=10**15)] = None


class KeyIn(In):
    name: Annotated[Plain, Field(min_length=1, max_length=200)]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=3)] = ["read", "write"]
    expires_at: Annotated[
        Moment | None, Field(description="Default: never, or when the key that creates it expires.")
    ] = None
    rates: Annotated[
        Rates, Field(description="Requests a minute by class of operation. You can only lower the configured limits.")
    ] = {}
    budget: BudgetIn = BudgetIn()


class BudgetOut(Out):
    usd: float | None
    tokens: int | None


class KeyOut(Out):
    id: str
    name: str
    prefix: Annotated[str, Field(description="The first characters of the key, to identify it.")]
    scopes: list[Scope]
    rates: dict[str, int]
    budget: BudgetOut
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: Annotated[datetime | None, Field(description="Rounded to the minute.")]

    @classmethod
    def fields_of(cls, key: ApiKey) -> dict[str, object]:
        usd = None if key.budget_usd is None else float(key.budget_usd)
        shown = {name: getattr(key, name) for name in cls.model_fields if name not in ("prefix", "budget", "secret")}
        return {**shown, "prefix": f"fn_{key.prefix}", "budget": BudgetOut(usd=usd, tokens=key.budget_tokens)}

    @classmethod
    def of(cls, key: ApiKey) -> "KeyOut":
        return KeyOut.model_validate(cls.fields_of(key))


class NewKeyOut(KeyOut):
    secret: Annotated[str, Field(description="The API key itself. It is not stored and cannot be shown again.")]
