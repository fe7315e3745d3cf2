"""Searches and questions."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, model_validator

from api.schemas.common import In
from api.schemas.fields import JsonObject, Plain
from api.schemas.filters import FilterIn
from footnote import filters, retrieval, text
from footnote.answering import Question, batch_runs
from footnote.models import Conversation
from footnote.providers import ChatMessage
from footnote.retrieval.expansion import Expand
from footnote.tenancy.keys import Principal

QUESTION_CHARACTERS = 8192
_OBJECT: TypeAdapter[dict[str, Any] | None] = TypeAdapter(JsonObject | None)


def _clean(value: str) -> str:
    cleaned = text.clean(value).strip()
    if not cleaned:
        raise ValueError("must hold a word")
    return cleaned


QueryText = Annotated[str, StringConstraints(min_length=1, max_length=QUESTION_CHARACTERS), AfterValidator(_clean)]
SystemPrompt = Annotated[Plain, StringConstraints(max_length=8192)]
Names = Annotated[list[Annotated[Plain, StringConstraints(max_length=64)]], Field(max_length=100)]


class _RetrievalIn(In):
    """Where and how to search. A question has the same fields."""

    collections: Names | None = None
    document_ids: Names | None = None
    filters: FilterIn | None = None
    top_k: Annotated[int, Field(ge=1, le=100)] = 10
    mode: retrieval.Mode = "hybrid"
    diversity: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    expand: Expand = "none"
    rerank: bool | None = None

    def looking_for(self, words: str, caller: Principal) -> retrieval.Query:
        return retrieval.Query(
            text=words,
            collections=self.collections,
            document_ids=self.document_ids,
            filter=self.filters,
            mode=self.mode,
            top_k=self.top_k,
            diversity=self.diversity,
            expand=self.expand,
            rerank=self.rerank,
            key_id=caller.key_id,
        )


class SearchIn(_RetrievalIn):
    query: QueryText


class _AskingIn(_RetrievalIn):
    model: Annotated[Plain, StringConstraints(max_length=128)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=32_768)] | None = None
    system_prompt: SystemPrompt | None = None

    def asking(self, words: str, history: list[ChatMessage], caller: Principal) -> Question:
        return Question(
            query=self.looking_for(words, caller),
            history=history,
            system_prompt=self.system_prompt,
            model=self.model,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
        )

    def as_in(self, conversation: Conversation) -> Self:
        """With the conversation's defaults for the fields that the request does not set."""
        given = {name: value for name, value in conversation.defaults.items() if name not in self.model_fields_set}
        if "filters" in given:
            given["filters"] = filters.parse(given["filters"], "filters")
        return self.model_copy(update=given)


class TurnIn(In):
    role: Literal["user", "assistant"]
    content: Annotated[str, StringConstraints(min_length=1, max_length=32_768), AfterValidator(_clean)]


class QuestionIn(_AskingIn):
    """A question, or the messages of a conversation that you store yourself; the last one is the question."""

    question: QueryText | None = None
    messages: Annotated[list[TurnIn], Field(min_length=1, max_length=100)] | None = None

    @model_validator(mode="after")
    def _is_a_question(self) -> Self:
        if (self.question is None) == (self.messages is None):
            raise ValueError("give either `question` or `messages`")
        if self.messages and self.messages[-1].role != "user":
            raise ValueError("the last of `messages` must be the user's")
        if len(self.words) > QUESTION_CHARACTERS:
            raise ValueError(f"the last of `messages` must have at most {QUESTION_CHARACTERS} characters")
        return self

    @property
    def words(self) -> str:
        return self.question or (self.messages or [])[-1].content

    def stored(self, given: dict[str, Any], caller: Principal) -> dict[str, Any]:
        """As it is stored until it is answered in the background. `given` is the request that it was parsed from."""
        return batch_runs.stored(self.question_of(caller), _OBJECT.validate_python(given.get("filters")))

    def question_of(self, caller: Principal) -> Question:
        history = [ChatMessage(each.role, each.content) for each in (self.messages or [])[:-1]]
        return self.asking(self.words, history, caller)


class QueryIn(QuestionIn):
    conversation_id: Annotated[Plain, StringConstraints(max_length=64)] | None = None
    stream: bool = False

    @model_validator(mode="after")
    def _has_one_history(self) -> Self:
        if self.messages and self.conversation_id:
            raise ValueError("a conversation has its own messages: give `question` with `conversation_id`")
        return self


class MessageIn(_AskingIn):
    """A question in a conversation. Fields that you leave out have the conversation's values."""

    question: QueryText
    stream: bool = False
