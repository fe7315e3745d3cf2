"""Models: what can be asked, and by whom an answer is written."""

from typing import Literal

from pydantic import BaseModel


class ModelOut(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["footnote"] = "footnote"


class ModelsOut(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelOut]
