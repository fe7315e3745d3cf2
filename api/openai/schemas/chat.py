"""Chat completions."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from api.openai.schemas.asking import AskingIn, Tokens
from api.openai.schemas.common import LenientIn
from api.schemas.fields import Storable

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]


class SaidIn(LenientIn):
    """`content`: text, or parts that hold text."""

    role: Role
    content: Any = None


class StreamOptionsIn(LenientIn):
    include_usage: bool = False


class ChatIn(AskingIn):
    messages: Annotated[list[SaidIn], Field(min_length=1)]
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    stream_options: StreamOptionsIn = StreamOptionsIn()
    n: Annotated[int, Field(ge=1)] = 1
    logprobs: bool = False
    response_format: Storable = None
    audio: Storable = None
    modalities: list[str] = []

    @property
    def most_tokens(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    def refusals(self) -> dict[str, bool]:
        return super().refusals() | {
            "n": self.n > 1,
            "logprobs": self.logprobs,
            "response_format": is_structured(self.response_format),
            "audio": self.audio is not None,
            "modalities": "audio" in self.modalities,
        }


def is_structured(text_format: Any) -> bool:
    """Whether the request asks for another format than plain text."""
    return bool(text_format) and not (isinstance(text_format, dict) and text_format.get("type") == "text")


class UrlCitationOut(BaseModel):
    """A footnote: `content[start_index:end_index]` is its mark. All but the first four are anchors."""

    url: str
    title: str
    start_index: int
    end_index: int
    marker: int
    document_id: str
    version: int
    page_start: int
    page_end: int
    char_start: int
    char_end: int
    quote: str
    verified: bool
    highlights_url: str | None


class ChatAnnotationOut(BaseModel):
    type: Literal["url_citation"] = "url_citation"
    url_citation: UrlCitationOut


class ChatMessageOut(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None
    annotations: list[ChatAnnotationOut]


class ChoiceOut(BaseModel):
    index: Literal[0] = 0
    message: ChatMessageOut
    logprobs: None = None
    finish_reason: Literal["stop", "length"]


class ChatUsageOut(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CompletionOut(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChoiceOut]
    usage: ChatUsageOut
