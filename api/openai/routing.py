"""What the routes for OpenAI's clients have in common."""

from typing import Any

from fastapi import APIRouter, Response

from api.openai import PREFIX, TAG

POLL_MILLISECONDS = 500
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "With `stream: true` as server-sent events.",
        "content": {"text/event-stream": {}},
    }
}


def new_router() -> APIRouter:
    """A router below the prefix, whose routes are named by their functions."""
    return APIRouter(prefix=PREFIX, tags=[TAG], generate_unique_id_function=lambda route: route.name)


def ask_again(response: Response) -> None:
    """Tells clients when to poll again for work in progress. They read the header as an integer."""
    response.headers["openai-poll-after-ms"] = str(POLL_MILLISECONDS)
