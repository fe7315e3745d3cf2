"""Bases of all bodies, and shapes that several of them use."""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from api.hints import unknown

Item = TypeVar("Item")


MOST_NAMES = 100  # in one object of a request


class In(BaseModel):
    """A JSON body. Values must have the right type: a string in place of a number is refused.

    Each unknown name is refused with an error of its own, so the number of names is limited.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _known_names(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        if len(given) > MOST_NAMES:
            raise ValueError(f"has more than {MOST_NAMES} fields")
        problems = [_unknown(name, cls) for name in given if name not in cls.model_fields]
        if problems:
            raise ValidationError.from_exception_data(cls.__name__, problems)
        return given


def _unknown(name: str, model: type[BaseModel]) -> InitErrorDetails:
    message = unknown(name, model.model_fields, "field")
    # The message is passed as a value, so that braces in it are not filled in.
    error = PydanticCustomError("unknown_field", "{message}", {"message": message})
    return InitErrorDetails(type=error, loc=(name,), input=None)


class Params(In):
    """Query parameters, which are always strings."""

    model_config = ConfigDict(strict=False)


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
    """An error, as in RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldProblemOut] | None = None
    retry_after: int | None = None
