"""Responses: an answer with the search that it was made from."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from api.openai.schemas.asking import AskingIn, Ratio, Tokens
from api.openai.schemas.chat import is_structured
from api.openai.schemas.common import LenientIn
from api.schemas.fields import Plain, Storable

RESULTS = "file_search_call.results"  # what `include` may name
Key = Annotated[Plain, StringConstraints(max_length=64)]
Metadata = Annotated[dict[Key, Annotated[Plain, StringConstraints(max_length=512)]], Field(max_length=16)]


class TextFormatIn(LenientIn):
    format: Storable = None


class ResponseIn(AskingIn):
    """`input`: a question, or items that end with one."""

    input: Annotated[Any, Field(json_schema_extra={"anyOf": [{"type": "string"}, {"type": "array"}]})]
    instructions: Plain | None = None
    include: list[str] = []
    store: bool = True
    previous_response_id: Plain | None = None
    metadata: Metadata = {}
    max_output_tokens: Tokens | None = None
    top_p: Ratio = 1.0
    text: TextFormatIn = TextFormatIn()
    background: bool = False
    conversation: Storable = None
    prompt: Storable = None

    @property
    def most_tokens(self) -> int | None:
        return self.max_output_tokens

    @property
    def shows_results(self) -> bool:
        return RESULTS in self.include

    def refusals(self) -> dict[str, bool]:
        return super().refusals() | {
            "text.format": is_structured(self.text.format),
            "background": self.background,
            "conversation": self.conversation is not None,
            "prompt": self.prompt is not None,
        }


class FileCitationOut(BaseModel):
    """A footnote: its mark begins at `text[index]`. All but the first four are anchors."""

    type: Literal["file_citation"] = "file_citation"
    file_id: str
    filename: str
    index: int
    marker: int
    document_id: str
    version: int
    page_start: int
    page_end: int
    char_start: int
    char_end: int
    quote: str
    verified: bool
    url: str
    highlights_url: str | None


class ResultOfSearchOut(BaseModel):
    """A hit; the last six are anchors."""

    file_id: str
    filename: str
    score: float
    text: str
    attributes: dict[str, Any]
    document_id: str
    version: int
    page_start: int
    page_end: int
    char_start: int
    char_end: int


class FileSearchCallOut(BaseModel):
    type: Literal["file_search_call"] = "file_search_call"
    id: str
    status: Literal["in_progress", "completed"]
    queries: list[str]
    results: list[ResultOfSearchOut] | None


class OutputTextOut(BaseModel):
    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[FileCitationOut]
    logprobs: list[Any]


class OutputMessageOut(BaseModel):
    type: Literal["message"] = "message"
    id: str
    role: Literal["assistant"] = "assistant"
    status: Literal["in_progress", "completed", "incomplete"]
    content: list[OutputTextOut]


class ResponseErrorOut(BaseModel):
    code: str
    message: str


class ResponseUsageOut(BaseModel):
    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int


class ResponseOut(BaseModel):
    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    background: Literal[False] = False
    error: ResponseErrorOut | None
    incomplete_details: dict[str, str] | None
    instructions: str | None
    metadata: dict[str, str]
    model: str
    output: list[FileSearchCallOut | OutputMessageOut]
    parallel_tool_calls: bool
    previous_response_id: str | None
    store: bool
    temperature: float
    top_p: float
    max_output_tokens: int | None
    presence_penalty: float
    frequency_penalty: float
    top_logprobs: int
    tool_choice: Any
    tools: list[dict[str, Any]]
    text: dict[str, Any]
    truncation: Literal["disabled"] = "disabled"
    service_tier: Literal["default"] = "default"
    usage: ResponseUsageOut | None


class InputTextOut(BaseModel):
    type: Literal["input_text"] = "input_text"
    text: str


class InputItemOut(BaseModel):
    type: Literal["message"] = "message"
    id: str
    role: Literal["user", "system", "developer"]
    status: Literal["completed"] = "completed"
    content: list[InputTextOut]


class ResponseDeletedOut(BaseModel):
    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True
