"""What chat programs and workflows send, after their source, by the configuration that the documentation gives."""

import json
from typing import Any

import httpx2
import yaml

from tests import examples
from tests.examples import DOCS, Product

PAGE = DOCS / "clients" / "programs.md"
ASKED = "Who lit the zircon lamp?"
ANSWER = "The zircon lamp was lit by Agnes Tolmie in the year 1874. [1]"
# The beginning of the prompt by which Open WebUI has a chat named.
TITLE = "### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.\n### Output:\nJSON"


def configurations(language: str, product: Product) -> list[str]:
    """What the page shows in it, with the product's own address and key."""
    found = [each.code for each in examples.examples(PAGE) if each.language == language]
    return [examples.replaced(product.names, each) for each in found]


async def open_webui(product: Product) -> None:
    """Lists models, chats, shows annotations as sources, asks for a title (`routers/openai.py`, `tasks.py`)."""
    [told] = configurations("ini", product)
    given = dict(line.split("=", 1) for line in told.splitlines())
    headers = {"Authorization": f"Bearer {given['OPENAI_API_KEYS']}", "Content-Type": "application/json"}
    async with httpx2.AsyncClient(headers=headers, trust_env=False, timeout=60) as client:
        base = given["OPENAI_API_BASE_URLS"]
        models = [each["id"] for each in (await client.get(f"{base}/models")).json()["data"]]
        assert {given["DEFAULT_MODELS"], f"footnote:{product.store}"} <= {*models}
        chat = {"stream": True, "model": models[0], "messages": [{"role": "user", "content": ASKED}]}
        text, annotations = await streamed(client, base, chat | {"stream_options": {"include_usage": True}})
        assert text == ANSWER
        [source] = [each["url_citation"] for each in annotations if each["type"] == "url_citation"]
        assert (source["title"], source["url"].startswith(f"{product.url}/d/doc_")) == ("lamp.txt", True)
        task = {"model": models[0], "messages": [{"role": "user", "content": TITLE}], "stream": False}
        named = await client.post(f"{base}/chat/completions", json=task | {"max_completion_tokens": 1000})
        assert named.json()["choices"][0]["message"]["annotations"] == []


async def librechat(product: Product) -> None:
    """Fetches the models, and chats as LangChain for JavaScript does."""
    [told] = configurations("yaml", product)
    [endpoint] = yaml.safe_load(told)["endpoints"]["custom"]
    assert endpoint["apiKey"] == "${FOOTNOTE_API_KEY}"
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {product.key}"}, trust_env=False) as client:
        listed = (await client.get(f"{endpoint['baseURL']}/models")).json()["data"]
        assert endpoint["models"]["default"][0] in [each["id"] for each in listed]
        messages = [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": ASKED}]},
        ]
        sent = {"model": "footnote", "user": "66b1", "stream": True, "n": 1, "temperature": 1, "messages": messages}
        assert (await streamed(client, endpoint["baseURL"], sent))[0] == ANSWER


async def n8n(product: Product) -> None:
    """Sends what the nodes of the workflow send (`HttpRequestV3.node.ts`)."""
    [told] = [each for each in configurations("json", product) if "nodes" in each]
    add, ask = [each["parameters"] for each in json.loads(told)["nodes"]]
    assert {add["genericAuthType"], ask["genericAuthType"]} == {"httpBearerAuth"}
    headers = {"Authorization": f"Bearer {product.key}", "User-Agent": "n8n", "Accept": "application/json,text/*;q=0.9"}
    async with httpx2.AsyncClient(headers=headers, trust_env=False, timeout=60) as client:
        sent = {each["name"]: each for each in add["bodyParameters"]["parameters"]}
        assert sent["file"] == {"parameterType": "formBinaryData", "name": "file", "inputDataFieldName": "data"}
        form = {"collection": sent["collection"]["value"]}
        files = {"file": ("lamp.txt", examples.TEXT.encode(), "text/plain")}
        added = await client.request(add["method"], add["url"], data=form, files=files)
        assert added.json()["document"]["filename"] == "lamp.txt"
        body = ask["jsonBody"].removeprefix("=").replace("{{ JSON.stringify($json.question) }}", json.dumps(ASKED))
        answer = (await client.request(ask["method"], ask["url"], json=json.loads(body))).json()
        assert (answer["answer"], answer["citations"][0]["verified"]) == (ANSWER, True)


async def streamed(client: httpx2.AsyncClient, base: str, sent: dict[str, Any]) -> tuple[str, list[Any]]:
    """Text and annotations, as these programs add up the pieces."""
    text = ""
    annotations: list[Any] = []
    async with client.stream("POST", f"{base}/chat/completions", json=sent) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line.removeprefix("data: ") async for line in answer.aiter_lines() if line]
    assert lines.pop() == "[DONE]"
    for chunk in map(json.loads, lines):
        for choice in chunk["choices"]:
            text += choice["delta"].get("content") or ""
            annotations += choice["delta"].get("annotations") or []
    return text, annotations
