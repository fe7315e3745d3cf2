"""Resources and prompts of the MCP server: documents and their pages by URI, and two ways to ask for sources."""

import json
import re
from collections.abc import Mapping

from mcp import MCPError
from mcp_types import (
    INVALID_PARAMS,
    GetPromptResult,
    ListResourcesResult,
    Prompt,
    PromptArgument,
    PromptMessage,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextContent,
    TextResourceContents,
)

from api.schemas.documents import DocumentOut
from footnote import documents
from footnote.documents import DocumentDetails
from footnote.errors import NotFound
from footnote.runtime import Runtime

LISTED = 100  # documents in one page of the list
DOCUMENT = "footnote://documents/{document_id}"
PAGE = DOCUMENT + "/pages/{page}"
TEMPLATES = [
    ResourceTemplate(
        uri_template=DOCUMENT,
        name="document",
        title="Document",
        description="State, metadata and number of pages of a document, and the URIs of its first and last page.",
        mime_type="application/json",
    ),
    ResourceTemplate(
        uri_template=PAGE,
        name="page",
        title="Page of a document",
        description="The stored text of a page, against which citations are checked.",
        mime_type="text/plain",
    ),
]
_URI = re.compile(r"footnote://documents/(doc_[0-9a-z]{26})(?:/pages/([1-9][0-9]{0,6}))?")
_CURSOR = re.compile("doc_[0-9a-z]{26}")


async def listed(rt: Runtime, cursor: str | None) -> ListResourcesResult:
    """Documents that can be searched, newest first. Raises MCPError for a cursor that this list did not give."""
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        raise MCPError(INVALID_PARAMS, "The cursor is not one of this list.")
    async with rt.transaction() as session:
        found = await documents.list_documents(session, limit=LISTED + 1, before=cursor, states=["succeeded"])
    shown = found[:LISTED]
    more = shown[-1].document.id if len(found) > LISTED else None
    return ListResourcesResult(resources=[_resource(each) for each in shown], next_cursor=more)


def _resource(details: DocumentDetails) -> Resource:
    version = details.version
    return Resource(
        uri=DOCUMENT.format(document_id=details.document.id),
        name=version.filename,
        title=version.filename,
        mime_type=version.media_type,
        size=version.bytes,
    )


def unknown() -> MCPError:
    """The one answer for URIs of another form, unknown ones and those of another tenant."""
    return MCPError(INVALID_PARAMS, "There is no such resource.")


async def read(rt: Runtime, uri: str) -> ReadResourceResult:
    """A document as JSON, or the text of a page. Raises MCPError."""
    found = _URI.fullmatch(uri)
    if found is None:
        raise unknown()
    try:
        contents = await (_page(rt, found[1], int(found[2])) if found[2] else _document(rt, found[1]))
    except NotFound as error:
        raise unknown() from error
    mime_type = "text/plain" if found[2] else "application/json"
    return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type=mime_type, text=contents)])


async def _page(rt: Runtime, document_id: str, number: int) -> str:
    async with rt.transaction() as session:
        return (await documents.page_text(session, document_id, number)).text


async def _document(rt: Runtime, document_id: str) -> str:
    async with rt.transaction() as session:
        shown = DocumentOut.of(await documents.get(session, document_id))
    last = shown.pages or 0
    pages = [PAGE.format(document_id=document_id, page=number) for number in (1, last)] if last else []
    return json.dumps(shown.model_dump(mode="json") | {"pages_uris": pages}, ensure_ascii=False)


PROMPTS = [
    Prompt(
        name="cited_answer",
        title="Answer with sources",
        description="Answer a question from the documents, with page and quote for each claim.",
        arguments=[
            PromptArgument(name="question", description="What you want to know.", required=True),
            PromptArgument(name="collection", description="Only documents of this collection.", required=False),
        ],
    ),
    Prompt(
        name="compare",
        title="Compare two documents",
        description="Compare what two documents say about a question, with page and quote for each claim.",
        arguments=[
            PromptArgument(name="question", description="What to compare.", required=True),
            PromptArgument(name="document_a", description="Id of a document.", required=True),
            PromptArgument(name="document_b", description="Id of another document.", required=True),
        ],
    ),
]
_CITE = "Give page and quote for each claim, with its link, and say so if the documents do not answer it."
_TEXTS = {
    "cited_answer": "Answer this question from the documents, with the tool `ask`{where}: {question}\n\n" + _CITE,
    "compare": (
        "Compare what the documents {document_a} and {document_b} say about this: {question}\n\n"
        "Use the tool `search` to find the passages of each, and `fetch` to read their pages. " + _CITE
    ),
}


def prompt(name: str, given: Mapping[str, str]) -> GetPromptResult:
    """The prompt with its arguments. Raises MCPError for an unknown one, and where an argument is wrong."""
    found = next((each for each in PROMPTS if each.name == name), None)
    if found is None:
        raise MCPError(INVALID_PARAMS, "There is no such prompt.")
    arguments = found.arguments or []
    if missing := [each.name for each in arguments if each.required and not given.get(each.name)]:
        raise MCPError(INVALID_PARAMS, f"The argument `{missing[0]}` is missing.")
    if unknown_names := given.keys() - {each.name for each in arguments}:
        raise MCPError(INVALID_PARAMS, f"There is no argument `{min(unknown_names)[:64]}`.")
    where = f" in the collection {given['collection']!r}" if given.get("collection") else ""
    words = _TEXTS[name].format(where=where, **{each.name: given.get(each.name, "") for each in arguments})
    message = PromptMessage(role="user", content=TextContent(type="text", text=words))
    return GetPromptResult(description=found.description, messages=[message])
