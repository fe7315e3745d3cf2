"""Vectors of texts."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from api.openai.schemas.common import LenientIn
from api.schemas.fields import Plain


class EmbeddingsIn(LenientIn):
    """`input`: a text or a list of them."""

    model: Annotated[Plain, StringConstraints(min_length=1, max_length=256)]
    input: Annotated[Any, Field(json_schema_extra={"anyOf": [{"type": "string"}, {"type": "array"}]})]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1)] | None = None


class VectorOut(BaseModel):
    """`embedding` as numbers, or as base64 of little-endian float32."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingsUsageOut(BaseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingsOut(BaseModel):
    object: Literal["list"] = "list"
    model: str
    data: list[VectorOut]
    usage: EmbeddingsUsageOut
