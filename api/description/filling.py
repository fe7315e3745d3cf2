"""Adds an example to every body and every answer. An answer's example is composed of the examples of its fields."""

import json
from typing import Any

from api.description.examples import BODIES, OTHER_BODIES, TIME, VALUES, Json
from api.description.whole_answers import ANSWERS
from api.schemas.events import EVENTS


def add(operation: Json, components: dict[str, Json]) -> None:
    """Adds an example to the schema of the body and of each success answer that has a text form."""
    name = operation["operationId"]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schemas = content["schema"].get("anyOf", [content["schema"]])
        models = [schema["$ref"].rpartition("/")[2] for schema in schemas if "$ref" in schema]
        content["example"] = BODIES[models[0]] if models else OTHER_BODIES[name]
    for status, answer in operation["responses"].items():
        for media_type, content in answer.get("content", {}).items():
            if media_type == "application/json" and (status < "3" or name in ANSWERS):
                content["example"] = ANSWERS.get(name) or _value(content["schema"], components, "", name)
            elif media_type == "text/event-stream":
                content |= _events(name, components)
                content.pop("itemSchema", None)  # OpenAPI 3.2 has it


def _events(name: str, components: dict[str, Json]) -> Json:
    if name == "stream_document_status":
        sent = {"status": _value({"$ref": "StatusOut"}, components, "", "")}
    elif name == "stream_events":
        schemas = {event: model.model_json_schema(mode="serialization") for event, model in EVENTS.items()}
        sent = {event: _object(each, each.get("$defs", {}), each["title"]) for event, each in schemas.items()}
    else:
        sent = {"delta": {"text": "The notice period is "}, "done": _value({"$ref": "AnswerOut"}, components, "", "")}
    frames = "".join(f"event: {event}\ndata: {json.dumps(data)}\n\n" for event, data in sent.items())
    # OpenAPI 3.1 leaves it open whether a schema is of the whole stream or of each event.
    return {"schema": {"description": "Server-sent events."}, "example": frames}


def _object(schema: Json, components: dict[str, Json], model: str) -> Json:
    """Without optional fields that are null: most answers do not have them."""
    values = {name: _value(each, components, model, name) for name, each in schema.get("properties", {}).items()}
    return {name: value for name, value in values.items() if value is not None or name in schema.get("required", ())}


def _value(schema: Json, components: dict[str, Json], model: str, name: str) -> Any:
    """The example of a field `name` of a model, or of a whole model. Raises KeyError for a field without a value."""
    for key in (f"{model}.{name}", name):
        if key in VALUES:
            return VALUES[key]
    if "anyOf" in schema:
        schema = schema["anyOf"][0]
    if "$ref" in schema:
        inner = schema["$ref"].rpartition("/")[2]
        return _object(components[inner], components, inner)
    if schema.get("type") == "array":
        return [_value(schema["items"], components, model, "")]
    if "const" in schema or "enum" in schema:
        return schema.get("const") or schema["enum"][0]
    if schema.get("format") == "date-time":
        return TIME
    if schema.get("type") == "boolean":
        return False
    raise KeyError(f"no example for {model}.{name}")
