"""What chats and responses have in common: the model, where to look, how to write."""

from abc import ABC, abstractmethod
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, Field, PlainValidator, StringConstraints, TypeAdapter, WithJsonSchema

from api.openai.schemas.common import LenientIn
from api.schemas.fields import JsonObject, Plain, Storable

MOST_TOKENS = 32_768  # of an answer; more is taken as this
FILE_SEARCH = "file_search"
Ratio = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Tokens = Annotated[int, Field(ge=1), AfterValidator(lambda given: min(given, MOST_TOKENS))]


class HybridSearchIn(LenientIn):
    embedding_weight: Weight
    text_weight: Weight


class RankingIn(LenientIn):
    """`ranker`: whether a reranker is asked, if there is one. Only hits with the score or more are used."""

    ranker: Annotated[str, StringConstraints(pattern="^(none|auto|default.*)$")] = "auto"
    score_threshold: Ratio = 0.0
    hybrid_search: HybridSearchIn | None = None


class FileSearchIn(LenientIn):
    vector_store_ids: Annotated[list[Plain], Field(min_length=1, max_length=100)]
    filters: JsonObject | None = None
    max_num_results: Annotated[int, Field(ge=1, le=50)] = 10
    ranking_options: RankingIn = RankingIn()


class AskedTool(NamedTuple):
    """A tool as it was given; `search` if it is a search in vector stores. Other tools are never called."""

    given: dict[str, Any]
    search: FileSearchIn | None

    @property
    def kind(self) -> Any:
        return self.given.get("type")


_OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(JsonObject)


def _tool(given: Any) -> AskedTool:
    plain = _OBJECT.validate_python(given)
    return AskedTool(plain, FileSearchIn.model_validate(plain) if plain.get("type") == FILE_SEARCH else None)


Tool = Annotated[AskedTool, PlainValidator(_tool), WithJsonSchema({"type": "object"})]


class AskingIn(LenientIn, ABC):
    """`model`: `footnote`, `footnote:vs_...` for one vector store, or a model that writes."""

    model: Annotated[Plain, StringConstraints(min_length=1, max_length=256)]
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    tools: Annotated[list[Tool], Field(max_length=256)] = []
    tool_choice: Storable = "auto"
    top_logprobs: int = 0
    stream: bool = False

    @property
    @abstractmethod
    def most_tokens(self) -> int | None: ...

    def refusals(self) -> dict[str, bool]:
        """By name, whether a parameter asks for what an answer cannot have."""
        return {"top_logprobs": self.top_logprobs > 0, "tool_choice": self._forces_function()}

    def _forces_function(self) -> bool:
        kinds, choice = [tool.kind for tool in self.tools], self.tool_choice
        if isinstance(choice, dict):
            if choice.get("type") != "allowed_tools":
                return choice.get("type") != FILE_SEARCH
            within = choice.get("allowed_tools", choice)
            allowed = within if isinstance(within, dict) else {}
            tools = allowed.get("tools")
            kinds = [each.get("type") for each in tools if isinstance(each, dict)] if isinstance(tools, list) else []
            choice = allowed.get("mode")
        return choice == "required" and bool(kinds) and FILE_SEARCH not in kinds
