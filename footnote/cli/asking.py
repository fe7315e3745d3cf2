"""Questions on the command line: `ask` and `search`."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footnote.cli.arguments import json_object
from footnote.cli.terminal import counted, location_of, one_line, pages_of, say, say_json
from footnote.errors import NotFound

if TYPE_CHECKING:
    from footnote.client import Footnote

Json = dict[str, Any]
NOT_FOUND = 4
UNANSWERED = ("not_found", "related")
EXCERPT, QUOTE = 200, 160
AT_ONCE = 10  # questions in one request, so that the first answers come soon

Collections = Annotated[
    list[str] | None, typer.Option("--collection", help="Only this collection; may be given several times.")
]
QuestionFile = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, allow_dash=True, help="One question a line; - is stdin.")
]
TopK = Annotated[int | None, typer.Option(min=1, help="How many passages to use.")]
Filters = Annotated[
    str | None,
    typer.Option("--filter", metavar="JSON", help='Only these documents: {"type": "eq", "key": "k", "value": "v"}.'),
]
Rerank = Annotated[
    bool | None,
    typer.Option("--rerank/--no-rerank", help="Use the reranker or not; default: the server's setting."),
]
Conversation = Annotated[
    str | None,
    typer.Option("--conversation", metavar="ID", help="Ask in this conversation, which stores question and answer."),
]
Begin = Annotated[bool, typer.Option("--begin", help="Start a conversation with this question.")]
Continue = Annotated[bool, typer.Option("--continue", help="Ask in the conversation that was started last.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's reply.")]


class Mode(StrEnum):
    hybrid = "hybrid"
    vector = "vector"
    keyword = "keyword"


def register(app: typer.Typer) -> None:
    for command in (ask, search):
        app.command(rich_help_panel="Answers")(command)


def ask(
    question: Annotated[str | None, typer.Argument()] = None,
    file: QuestionFile = None,
    collection: Collections = None,
    filter: Filters = None,
    top_k: TopK = None,
    rerank: Rerank = None,
    conversation: Conversation = None,
    begin: Begin = False,
    go_on: Continue = False,
    as_json: AsJson = False,
    stream: Annotated[bool, typer.Option("--stream/--no-stream", help="Print the answer while it is written.")] = True,
) -> None:
    """Ask the documents. Footnotes quote the pages, and each quote is checked; sentences without one are listed.

    In a conversation a question may refer to those before it: `footnote ask --continue "And in 2019?"`.

    With --file, ask every question of a file and print its answer; with --json, as JSON lines.

    Exit codes: 0 answered, 1 an error, 4 the documents hold no answer, or only passages
    that come near it (not with --file).
    """
    from footnote.cli.connection import open_api

    if sum((conversation is not None, begin, go_on, file is not None)) > 1:
        raise typer.BadParameter("give one of --conversation, --begin, --continue and --file")
    if (question is None) == (file is None):
        raise typer.BadParameter("give a question, or a --file of them")
    filters = json_object(filter, "--filter") if filter is not None else None
    body = _given(question=question, collections=collection, filters=filters, top_k=top_k, rerank=rerank)
    if file is not None:
        _ask_all(file, body, as_json=as_json)
        return
    with open_api() as api:
        body |= _given(conversation_id=_conversation(api, conversation, begin=begin, go_on=go_on))
        if stream and not as_json:
            answer = _streamed(api, body)
        else:
            answer = api.ask(**body).raw
            if not as_json:
                say(answer["answer"])
    if as_json:
        say_json(answer)
    else:
        _under(answer)
    if answer["answer_status"] in UNANSWERED:
        raise typer.Exit(NOT_FOUND)


def _ask_all(file: Path, defaults: Json, *, as_json: bool) -> None:
    """Each question of the file, a batch of them at a time, in order. An error in one does not stop the others."""
    from footnote.cli.connection import open_api
    from footnote.client.calls import ANSWER_SECONDS

    lines = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8", errors="replace")
    questions = [line.strip() for line in lines.splitlines() if line.strip()]
    failed = False
    with open_api() as api:
        for start in range(0, len(questions), AT_ONCE):
            asked = questions[start : start + AT_ONCE]
            body = {"questions": [{"question": each} for each in asked], "defaults": defaults}
            results = api.request("POST", "/v1/query/batch", body=body, timeout=ANSWER_SECONDS)["data"]
            for question, result in zip(asked, results, strict=True):
                failed = failed or "error" in result
                if as_json:
                    say_json({"question": question, **result}, indent=None)
                else:
                    _show_result(question, result)
    if failed:
        raise typer.Exit(1)


def _show_result(question: str, result: Json) -> None:
    from footnote.client.errors import refusal

    say(f"> {question}")
    if "error" in result:
        say(str(refusal(result["status"], result["error"])))
    else:
        say(result["answer"]["answer"])
        _under(result["answer"])
    say()


def _conversation(api: "Footnote", named: str | None, *, begin: bool, go_on: bool) -> str | None:
    """The id of the one to ask in, if any."""
    if begin:
        return api.conversations.create().id
    if not go_on:
        return named
    for newest in api.conversations.list(limit=1):
        return newest.id
    raise NotFound("no_conversation", "There is no conversation yet: `footnote ask --begin` starts one.")


def _streamed(api: "Footnote", body: Json) -> Json:
    """Prints the answer while it arrives; returns the whole one."""
    from footnote.client import DeltaEvent, DoneEvent

    begun = False
    try:
        for event in api.stream(**body):
            if isinstance(event, DeltaEvent):
                say(event.text if begun else event.text.lstrip(), nl=False)
                begun = True
            elif isinstance(event, DoneEvent):
                if not begun:
                    say(event.answer.answer, nl=False)
                    begun = True
                return event.answer.raw
        raise AssertionError("a stream ends with an answer or an error")
    finally:
        if begun:
            say()


def _parts(parts: list[str] | None) -> None:
    if parts:
        say("\nSearched for each part of the question:")
    for part in parts or ():
        say(f"  {one_line(part, QUOTE)}")


def _footnotes(citations: list[Json]) -> None:
    if citations:
        say()
    for each in sorted(citations, key=lambda citation: int(citation["marker"])):
        checked = "✓ checked" if each["verified"] else "✗ not verified"
        quote = one_line(each["quote"], QUOTE)
        say(f"[{each['marker']}] {each['filename']}, {location_of(each)} — “{quote}”  {checked}")
        _link(each)


def _link(anchored: Json) -> None:
    """Where the text can be seen on its page; servers before this version do not say."""
    if url := anchored.get("reader_url"):
        say(f"    {url}")


def _under(answer: Json) -> None:
    """What is printed under an answer."""
    _parts(answer.get("parts"))
    _footnotes(answer["citations"])
    _unsupported(answer["unsupported"])
    _claim(answer)
    _searched_for(answer.get("searched_for"))
    _still_to_come(answer.get("searched"))


def _unsupported(sentences: list[Json]) -> None:
    if sentences:
        say("\nThese sentences are not supported by a checked footnote:")
    for each in sentences:
        say(f"  {one_line(each['text'], QUOTE)}{_reason(each)}")


def _reason(sentence: Json) -> str:
    match sentence.get("reason"):
        case "not_in_quote":
            return f"  (not in its quote: {', '.join(map(one_line, sentence['missing']))})"
        case "quote_denies":
            return "  (its quote says the opposite)"
    return ""


def _claim(answer: Json) -> None:
    """Prints what an answer without a model claims."""
    if answer["answer_status"] == "related":
        say("\nThese passages come closest to the question; they may not answer it.")
    elif answer.get("answer_kind") == "extract" and answer["citations"]:
        say("\nQuoted from the documents; no model wrote an answer.")


def _searched_for(corrections: list[Json] | None) -> None:
    """Prints which words of the question were corrected."""
    for each in corrections or []:
        say(f"\nNothing holds “{each['word']}”; searched for “{' '.join(each['searched'])}”.")


def _still_to_come(searched: Json | None) -> None:
    """Prints which documents are not searchable yet."""
    if searched and (unfinished := searched["unfinished"]):
        are = "is" if unfinished == 1 else "are"
        say(f"\n{counted(unfinished, 'document')} {are} still being read; ask again in a moment.")
    elif searched and not searched["documents"]:
        say("\nNo documents were searched: `footnote add PATH` adds some, `footnote status` lists them.")


def search(
    query: str,
    collection: Collections = None,
    filter: Filters = None,
    top_k: TopK = None,
    mode: Annotated[Mode, typer.Option(help="How to search.")] = Mode.hybrid,
    rerank: Rerank = None,
    as_json: AsJson = False,
) -> None:
    """Find the passages that fit the query best."""
    from footnote.cli.connection import open_api

    filters = json_object(filter, "--filter") if filter is not None else None
    body = _given(query=query, collections=collection, filters=filters, top_k=top_k, mode=mode.value, rerank=rerank)
    with open_api() as api:
        found = api.search(**body).raw
    if as_json:
        say_json(found)
    elif not found["data"]:
        say("Nothing found.")
    else:
        for rank, hit in enumerate(found["data"], 1):
            _show_hit(rank, hit)
    if not as_json:
        _searched_for(found.get("searched_for"))
        _still_to_come(found.get("searched"))


def _show_hit(rank: int, hit: Json) -> None:
    heading = f"  {one_line(hit['heading'])}" if hit["heading"] else ""
    say(f"{rank:>2}. {hit['filename']}, {pages_of(hit)}{heading}")
    say(f"    {one_line(hit['text'], EXCERPT)}")
    _link(hit)


def _given(**fields: Any) -> Json:
    """Only the given options; the API has the defaults."""
    return {name: value for name, value in fields.items() if value not in (None, [], "")}
