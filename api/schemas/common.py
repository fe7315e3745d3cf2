"""Shapes that every noun uses."""

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

Item = TypeVar("Item")


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
