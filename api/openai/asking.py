"""Questions of OpenAI's clients: the collections to search, the model, and the earlier messages."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from api.openai import ids, models
from api.openai.errors import unsupported, wrong
from api.openai.schemas.asking import AskingIn, FileSearchIn, RankingIn
from api.schemas.questions import QUESTION_CHARACTERS
from footnote import answering, filters
from footnote.answering import Question
from footnote.errors import NotFound
from footnote.providers import ChatMessage
from footnote.retrieval import Mode, Query
from footnote.runtime import Runtime
from footnote.tenancy.keys import Principal
from footnote.text import clean

TEXTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}  # types of parts
INSTRUCTING = ("system", "developer")
MOST_TURNS = 100  # of a history, the newest; fewer fit into the prompt
MOST_CHARACTERS = 200_000


@dataclass(frozen=True)
class ConversationInput:
    """The messages of a request (`turns`): the question, the history before it, and instructions."""

    words: str
    history: Sequence[ChatMessage]
    instructions: Sequence[str]
    turns: Sequence[ChatMessage]


def conversation_input(messages: Iterable[tuple[str, Any]], param: str) -> ConversationInput:
    """From role and content of each message; the last one of the user is the question. Raises Invalid about `param`."""
    turns = [
        ChatMessage(role, text_of(content, f"{param}.{index}.content"))
        for index, (role, content) in enumerate(messages)
    ]
    last = max((index for index, turn in enumerate(turns) if turn.role == "user"), default=None)
    if last is None:
        raise wrong(param, "There is no user message to answer.")
    history = [turn for turn in turns[:last] if turn.role in ("user", "assistant") and turn.content]
    instructions = [turn.content for turn in turns if turn.role in INSTRUCTING and turn.content]
    words = checked(turns[last].content, param if len(turns) == 1 else f"{param}.{last}.content")
    return ConversationInput(words, recent(history), instructions, turns)


def checked(words: str, param: str) -> str:
    """The words of a question. Raises Invalid."""
    if not words:
        raise wrong(param, "The question is empty.")
    if len(words) > QUESTION_CHARACTERS:
        raise wrong(param, f"A question has at most {QUESTION_CHARACTERS} characters; this one has {len(words)}.")
    return words


def text_of(content: Any, param: str) -> str:
    """The text of a message, which is a string or has parts. Raises Invalid for parts that are none."""
    if content is None or isinstance(content, str):
        return clean(content or "").strip()
    if not isinstance(content, list):
        raise wrong(param, f"Invalid value for '{param}': expected a string or a list of parts.")
    return "\n".join(_text(part, f"{param}.{index}") for index, part in enumerate(content)).strip()


def _text(part: Any, param: str) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    text = part.get(TEXTS[kind]) if isinstance(kind, str) and kind in TEXTS else None
    if not isinstance(text, str):
        raise wrong(param, f"Invalid value for '{param}': only text is supported, no images, audio or files.")
    return clean(text)


def recent(turns: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The newest turns, as many as may be looked at."""
    left, newest = MOST_CHARACTERS, list[ChatMessage]()
    for turn in reversed(turns[-MOST_TURNS:]):
        left -= len(turn.content)
        if left < 0:
            break
        newest.append(turn)
    return newest[::-1]


def question_of(rt: Runtime, asked: AskingIn, conversation: ConversationInput, caller: Principal) -> Question:
    """Raises Invalid, and NotFound for a model that is no collection."""
    for param, refused in asked.refusals().items():
        if refused:
            raise unsupported(param, f"'{param}' is not supported for answers from documents.")
    searches = [(index, tool.search) for index, tool in enumerate(asked.tools) if tool.search is not None]
    return Question(
        query=_looking_for(conversation.words, searches, asked.model, caller),
        history=conversation.history,
        system_prompt="\n\n".join(conversation.instructions) or None,
        model=asked.model if asked.model in models.writers(rt) else None,
        temperature=asked.temperature,
        max_tokens=asked.most_tokens,
        least_relevance=searches[0][1].ranking_options.score_threshold if searches else 0.0,
    )


def _looking_for(words: str, searches: Sequence[tuple[int, FileSearchIn]], model: str, caller: Principal) -> Query:
    """In all stores that tools name, by the options of the first; else in the model's, else in all."""
    if not searches:
        one = models.collection_of(model)
        return Query(words, collections=None if one is None else [one], key_id=caller.key_id)
    index, first = searches[0]
    stores = [(index, store) for index, tool in searches for store in tool.vector_store_ids]
    named = [ids.collection_id(store, f"tools.{index}.vector_store_ids") for index, store in stores]
    return Query(
        words,
        collections=[*dict.fromkeys(named)],
        filter=filters.parse(first.filters, f"body.tools.{index}.filters") if first.filters else None,
        mode=mode_of(first.ranking_options),
        top_k=first.max_num_results,
        rerank=False if first.ranking_options.ranker == "none" else None,
        key_id=caller.key_id,
    )


def mode_of(ranking: RankingIn) -> Mode:
    """One leg where the other one's weight is 0."""
    weights = ranking.hybrid_search
    if weights is None or bool(weights.embedding_weight) == bool(weights.text_weight):
        return "hybrid"
    return "vector" if weights.embedding_weight else "keyword"


async def answered(
    events: AsyncGenerator[answering.Event, None], asked: AskingIn
) -> AsyncGenerator[answering.Event, None]:
    """The events. Raises NotFound about the model if that is what named an unknown collection."""
    try:
        async with aclosing(events):
            async for event in events:
                yield event
    except NotFound as error:
        if error.code != "collection_not_found" or any(tool.search for tool in asked.tools):
            raise
        raise models.unknown(asked.model) from error
