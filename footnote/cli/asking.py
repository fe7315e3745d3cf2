"""Questions on the command line: `ask` and `search`."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footnote.cli.arguments import json_object
from footnote.cli.terminal import one_line, pages_of, say, say_json
from footnote.errors import FootnoteError, NotFound, Unavailable

if TYPE_CHECKING:
    from footnote.cli.client import Api

Json = dict[str, Any]
NOT_FOUND = 4
EXCERPT, QUOTE = 200, 160

Collections = Annotated[
    list[str] | None, typer.Option("--collection", help="Only this collection; may be given several times.")
]
TopK = Annotated[int | None, typer.Option(min=1, help="How many passages to look at.")]
Filters = Annotated[
    str | None,
    typer.Option("--filter", metavar="JSON", help='Only of these documents: {"type": "eq", "key": "k", "value": "v"}.'),
]
Rerank = Annotated[
    bool | None,
    typer.Option("--rerank/--no-rerank", help="Ask the reranker or do without; default: as the server is set."),
]
Conversation = Annotated[
    str | None, typer.Option("--conversation", metavar="ID", help="Ask in this conversation, where it is kept.")
]
Begin = Annotated[bool, typer.Option("--begin", help="Begin a conversation with this question.")]
Continue = Annotated[bool, typer.Option("--continue", help="Ask in the conversation that was begun last.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's reply.")]


class Mode(StrEnum):
    hybrid = "hybrid"
    vector = "vector"
    keyword = "keyword"


def register(app: typer.Typer) -> None:
    for command in (ask, search):
        app.command(rich_help_panel="Answers")(command)


def ask(
    question: str,
    collection: Collections = None,
    filter: Filters = None,
    top_k: TopK = None,
    rerank: Rerank = None,
    conversation: Conversation = None,
    begin: Begin = False,
    go_on: Continue = False,
    as_json: AsJson = False,
    stream: Annotated[bool, typer.Option("--stream/--no-stream", help="Print the answer as it grows.")] = True,
) -> None:
    """Ask the documents. Every claim of the answer has a footnote, checked against the page it quotes.

    In a conversation a question may lean on those before it: `footnote ask --continue "And in 2019?"`.

    Exit codes: 0 answered, 1 an error, 4 the documents hold no answer.
    """
    from footnote.cli.client import open_api

    if sum((conversation is not None, begin, go_on)) > 1:
        raise typer.BadParameter("give one of --conversation, --begin and --continue")
    filters = json_object(filter, "--filter") if filter is not None else None
    body = _given(question=question, collections=collection, filters=filters, top_k=top_k, rerank=rerank)
    with open_api() as api:
        if begin:
            conversation = api.post("/v1/conversations", {})["id"]
        elif go_on:
            conversation = _begun_last(api)
        if conversation is not None:
            body["conversation_id"] = conversation
        if stream and not as_json:
            answer = _streamed(api, body)
        else:
            answer = api.post("/v1/query", {**body, "stream": False})
            if not as_json:
                say(answer["answer"])
    if as_json:
        say_json(answer)
    else:
        _footnotes(answer["citations"])
        _unsupported(answer["unsupported"])
    if answer["answer_status"] == "not_found":
        raise typer.Exit(NOT_FOUND)


def _begun_last(api: "Api") -> str:
    found = api.get("/v1/conversations", limit=1)["data"]
    if not found:
        raise NotFound("no_conversation", "There is no conversation yet: `footnote ask --begin` begins one.")
    return str(found[0]["id"])


def _streamed(api: "Api", body: Json) -> Json:
    """Prints the answer while it comes; returns the event that ends it."""
    from footnote.cli.client import problem_message

    begun = False
    try:
        for name, event in api.events("/v1/query", {**body, "stream": True}):
            if name == "delta":
                say(event["text"] if begun else event["text"].lstrip(), nl=False)
                begun = True
            elif name == "error":
                raise FootnoteError(str(event.get("code", "error")), problem_message(event))
            elif name == "done":
                if not begun:
                    say(event["answer"], nl=False)
                    begun = True
                return event
        raise Unavailable("connection_lost", "The connection was lost before the answer was complete.")
    finally:
        if begun:
            say()


def _footnotes(citations: list[Json]) -> None:
    if citations:
        say()
    for each in sorted(citations, key=lambda citation: int(citation["marker"])):
        checked = "✓ checked" if each["verified"] else "✗ not verified"
        quote = one_line(each["quote"], QUOTE)
        say(f"[{each['marker']}] {each['filename']}, {pages_of(each)} — “{quote}”  {checked}")


def _unsupported(sentences: list[Json]) -> None:
    if sentences:
        say("\nNo checked footnote stands behind:")
    for each in sentences:
        say(f"  {one_line(each['text'], QUOTE)}")


def search(
    query: str,
    collection: Collections = None,
    filter: Filters = None,
    top_k: TopK = None,
    mode: Annotated[Mode, typer.Option(help="How to look.")] = Mode.hybrid,
    rerank: Rerank = None,
    as_json: AsJson = False,
) -> None:
    """Find the passages that fit the query best."""
    from footnote.cli.client import open_api

    filters = json_object(filter, "--filter") if filter is not None else None
    body = _given(query=query, collections=collection, filters=filters, top_k=top_k, mode=mode.value, rerank=rerank)
    with open_api() as api:
        found = api.post("/v1/search", body)
    if as_json:
        say_json(found)
    elif not found["data"]:
        say("Nothing found.")
    else:
        for rank, hit in enumerate(found["data"], 1):
            _show_hit(rank, hit)


def _show_hit(rank: int, hit: Json) -> None:
    heading = f"  {one_line(hit['heading'])}" if hit["heading"] else ""
    say(f"{rank:>2}. {hit['filename']}, {pages_of(hit)}{heading}")
    say(f"    {one_line(hit['text'], EXCERPT)}")


def _given(**fields: Any) -> Json:
    """Without what was not given: the defaults are the API's."""
    return {name: value for name, value in fields.items() if value not in (None, [], "")}
