"""Writes the types of `footnote.client` from the OpenAPI document: what the client publishes is what the API says."""

import re
from collections.abc import Iterator
from textwrap import wrap
from typing import Any

from api.schemas.search import SourcesOut

Json = dict[str, Any]

# By schema, the name in Python: the last words of the API's names say only that it sends them.
ANSWERS = {
    "CorrectionOut": "WordCorrection",
    "ContextOut": "HitContext",
    "CoverageOut": "SearchCoverage",
    "EvidenceOut": "AnswerEvidence",
    "ExplanationOut": "HitExplanation",
    "UnsupportedOut": "UnsupportedText",
    "UsageOut": "TokenUsage",
    "CitationOut": "AnswerCitation",
    "HitOut": "SearchHit",
    "SearchOut": "SearchHits",
    "SourcesOut": "SourcesEvent",
    "AnswerOut": "Answer",
    "PassageOut": "MessagePassage",
    "MessageOut": "StoredMessage",
    "ConversationOut": "StoredConversation",
    "ConversationDeletionOut": "DeletedConversation",
}
DOCUMENTS = {
    "ErrorOut": "FailureReason",
    "ProgressOut": "StepProgress",
    "ChunkingOut": "ChunkingSettings",
    "EmbeddingOut": "EmbeddingModel",
    "DocumentOut": "StoredDocument",
    "JobOut": "IngestionJob",
    "ListedJobOut": "ListedIngestionJob",
    "AcceptedOut": "AddedDocument",
    "StepOut": "StepStatus",
    "StatusOut": "DocumentStatus",
    "OutlineOut": "PageOutline",
    "PageOut": "DocumentPage",
    "ChunkOut": "DocumentChunk",
    "EstimateOut": "CostEstimate",
    "SkippedFileOut": "SkippedPart",
    "StepTimeOut": "StepTime",
    "WarningOut": "ReportWarning",
    "ReportOut": "IngestionReport",
    "DeletionCounts": "DeletedCounts",
    "DeletionOut": "DeletedDocument",
    "CollectionCounts": "CollectionSize",
    "CollectionOut": "DocumentCollection",
    "CollectionDeletionOut": "DeletedCollection",
    "TaskOut": "TaskStatus",
}
# What calls take as keywords: the fields of a body, without those that the call fills in itself.
OPTIONS = {
    "SearchIn": ("SearchOptions", {"query"}),
    "QueryIn": ("QuestionOptions", {"question", "stream"}),
    "UrlIn": ("DocumentOptions", {"url", "filename"}),
    "ConversationIn": ("ConversationOptions", set()),
    "CollectionIn": ("CollectionOptions", {"name"}),
}
NAMES = ANSWERS | DOCUMENTS | {"TurnIn": "ConversationTurn"}
SIMPLE = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None", "object": "Json"}
LONGEST_LIST, LONGEST_LINE = 100, 120  # characters: of a list that stands in its line, and of a line of its own
HEAD = '''"""{about}

`make docs` writes this file from the OpenAPI document.
"""

{imports}
from footnote.client.shapes import Json, Shape
'''


def answers(openapi: Json) -> str:
    shapes = openapi["components"]["schemas"] | {"SourcesOut": SourcesOut.model_json_schema()}
    imports = (
        "from collections.abc import Sequence\nfrom datetime import datetime\nfrom typing import Literal, TypedDict\n"
    )
    options = [_options(name, shapes["TurnIn" if name == "TurnIn" else name]) for name in ("TurnIn", *OPTIONS)]
    blocks = [*options, *(_class(shapes, name, ANSWERS[name]) for name in ANSWERS)]
    return _module("Answers and what is found, as the API sends them.", imports, blocks)


def documents(openapi: Json) -> str:
    shapes = openapi["components"]["schemas"]
    imports = "from datetime import datetime\nfrom typing import Literal\n"
    blocks = [_class(shapes, name, DOCUMENTS[name]) for name in DOCUMENTS]
    return _module("Documents, collections and their ingestion, as the API sends them.", imports, blocks)


def _module(about: str, imports: str, blocks: list[str]) -> str:
    return "\n\n".join([HEAD.format(about=about, imports=imports), *blocks])


def _class(shapes: Json, schema: str, name: str) -> str:
    shape = shapes[schema]
    rows = [f"class {name}(Shape):", *_docstring(schema, shape), ""]
    required = set(shape.get("required", ()))
    rows += [f"    {each}: {_field(subschema, each in required)}" for each, subschema in shape["properties"].items()]
    return "\n".join(rows) + "\n"


def _options(schema: str, shape: Json) -> str:
    """A TypedDict of a body's fields."""
    name, filled_in = OPTIONS.get(schema, (NAMES.get(schema, ""), set()))
    total = "" if schema == "TurnIn" else ", total=False"
    rows = [f"class {name}(TypedDict{total}):", *_docstring(schema, shape), ""]
    fields = {each: subschema for each, subschema in shape["properties"].items() if each not in filled_in}
    return "\n".join([*rows, *(f"    {each}: {_taken(subschema)}" for each, subschema in fields.items())]) + "\n"


def _taken(subschema: Json) -> str:
    """The type of what a caller gives."""
    return re.sub(r"tuple\[(.+), \.\.\.\]", r"Sequence[\1]", _type(subschema))


def _docstring(schema: str, shape: Json) -> Iterator[str]:
    about = shape.get("description", "").split("\n\n")[0].replace("\n", " ")
    first, *more = wrap(f"`{schema}` of the API. {about}".strip(), 110)
    yield f'    """{first}' + ("" if more else '"""')
    if more:
        yield from (f"    {line}" for line in more)
        yield '    """'


def _field(subschema: Json, required: bool) -> str:
    """The type, and the value if the server does not send it."""
    kind, default = _type(subschema), subschema.get("default")
    if required:
        return kind
    if kind.startswith("tuple["):
        return f"{kind} = ()"
    if default is None:
        return f"{kind} = None" if kind.endswith("None") else f"{kind} | None = None"
    return f'{kind} = "{default}"' if isinstance(default, str) else f"{kind} = {default}"


def _type(subschema: Json) -> str:
    if "$ref" in subschema:
        return NAMES.get(subschema["$ref"].rpartition("/")[2], "Json")
    if several := subschema.get("anyOf") or subschema.get("oneOf"):
        return " | ".join(dict.fromkeys(map(_type, several)))
    if values := subschema.get("enum"):
        listed = ", ".join(f'"{each}"' for each in values)
        if len(listed) < LONGEST_LIST:
            return f"Literal[{listed}]"
        lines = listed if len(listed) <= LONGEST_LINE - 8 else listed.replace(", ", ",\n        ") + ","
        return f"Literal[\n        {lines}\n    ]"
    if subschema.get("format") == "date-time":
        return "datetime"
    if subschema["type"] == "array":
        return f"tuple[{_type(subschema['items'])}, ...]"
    of = subschema.get("additionalProperties")
    return f"dict[str, {_type(of)}]" if isinstance(of, dict) else SIMPLE[subschema["type"]]
