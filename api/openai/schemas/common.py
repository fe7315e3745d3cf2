"""Bases of all bodies."""

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, model_validator

Listed = TypeVar("Listed")


class LenientIn(BaseModel):
    """A JSON body. Unknown members are ignored, and null means absent: programs send both."""

    model_config = ConfigDict(extra="ignore", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        return {name: value for name, value in given.items() if value is not None} if isinstance(given, dict) else given


class ListOf(BaseModel, Generic[Listed]):
    object: Literal["list"] = "list"
    data: list[Listed]
    first_id: str = ""
    last_id: str = ""
    has_more: bool = False


class OpenAIErrorOut(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class RefusalOut(BaseModel):
    error: OpenAIErrorOut


def seconds(moment: datetime) -> int:
    """A time as OpenAI's clients read it."""
    return int(moment.timestamp())
