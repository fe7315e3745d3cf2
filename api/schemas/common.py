"""Shapes that every noun uses."""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, model_validator

Item = TypeVar("Item")


MOST_NAMES = 100  # in an object of a request


class In(BaseModel):
    """What a caller sends. Names that are not known are refused, each with an error of its own: so not any number."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _few_names(cls, given: Any) -> Any:
        if isinstance(given, dict) and len(given) > MOST_NAMES:
            raise ValueError(f"has more than {MOST_NAMES} fields")
        return given


class Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class PageOf(BaseModel, Generic[Item]):
    data: list[Item]
    next_cursor: str | None


class ErrorOut(Out):
    code: str
    message: str


class FieldProblemOut(Out):
    field: str
    message: str


class ProblemOut(Out):
    """An error as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldProblemOut] | None = None
    retry_after: int | None = None
