"""What a base URL tells of the server behind it."""

from collections.abc import AsyncIterator

import pytest
from pydantic import ValidationError

from footnote.database.redis_client import Shared
from footnote.errors import ProviderRejected
from footnote.providers import GenerationRequest, open_generators
from footnote.providers.addresses import is_local
from footnote.providers.guarded import guard_generators
from footnote.providers.openai import OpenAIEmbedder, OpenAIGenerator
from footnote.settings import Settings
from tests.fakes import FakeServer
from tests.providers.test_openai import DONE, HEAD, collect, delta, failure, vectors

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer().listening() as fake:
        yield fake


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("http://localhost:11434/v1", True),
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:8080/v1", True),
        ("http://192.168.1.20:1234/v1", True),
        ("http://10.0.0.7/v1", True),
        ("http://172.17.0.1/v1", True),
        ("http://100.64.0.9/v1", True),
        ("http://[fd00::1]/v1", True),
        ("http://ollama:11434/v1", True),
        ("http://host.docker.internal:11434/v1", True),
        ("http://tower.local/v1", True),
        ("https://api.openai.com/v1", False),
        ("https://8.8.8.8/v1", False),
        ("https://[2606:4700::1]/v1", False),
        ("https://local.example.com/v1", False),
        ("https://x.openai.azure.com/openai", False),
    ],
)
def test_near_servers(address: str, local: bool) -> None:
    assert is_local(address) == local


@pytest.mark.parametrize("address", ["localhost:11434/v1", "ollama", "https://", "http:///v1"])
def test_a_base_url_without_scheme_or_host_is_refused_at_the_start(address: str) -> None:
    with pytest.raises(ValidationError, match="OPENAI_BASE_URL"):
        Settings(_env_file=None, OPENAI_BASE_URL=address)
    assert not Settings(_env_file=None, OPENAI_BASE_URL="").openai_base_url


async def test_a_base_url_without_a_path_or_with_that_of_a_call(server: FakeServer) -> None:
    base = f"http://127.0.0.1:{server.port}"
    generator = OpenAIGenerator(Settings(_env_file=None, openai_base_url=base))
    server.text("404 page not found", 404, "text/plain")
    with pytest.raises(ProviderRejected, match=r"404 page not found OPENAI_BASE_URL has no path: .* /v1"):
        await collect(generator)
    await generator.close()
    generator = OpenAIGenerator(Settings(_env_file=None, openai_base_url=f"{base}/v1/chat/completions"))
    server.raw(HEAD, delta("Agnes"), DONE)
    await collect(generator)
    assert server.heads[-1].startswith("POST /v1/chat/completions HTTP")
    await generator.close()


def test_a_server_nearby_has_time_to_load_its_model_and_one_behind_it() -> None:
    near = Settings(_env_file=None, openai_base_url="http://ollama:11434/v1")
    far = Settings(_env_file=None, openai_base_url="https://models.example/v1")
    assert [each.provider for each in open_generators(near)] == ["openai", "extractive"]
    assert [each.provider for each in open_generators(far)] == ["openai"]


AZURE = [
    # base URL behind the host, path of a chat call, path of a call for vectors
    (
        "/openai/deployments/gpt?api-version=2024-10-21",
        "/openai/deployments/gpt/chat/completions?api-version=2024-10-21",
        "/openai/deployments/gpt/embeddings?api-version=2024-10-21",
    ),
    (
        "/openai?api-version=2024-10-21",
        "/openai/deployments/chat/chat/completions?api-version=2024-10-21",
        "/openai/deployments/vectors/embeddings?api-version=2024-10-21",
    ),
    (
        "/openai/v1/?api-version=preview",
        "/openai/v1/chat/completions?api-version=preview",
        "/openai/v1/embeddings?api-version=preview",
    ),
    (
        "/openai/deployments/gpt/chat/completions?api-version=2024-10-21",
        "/openai/deployments/gpt/chat/completions?api-version=2024-10-21",
        "/openai/deployments/gpt/embeddings?api-version=2024-10-21",
    ),
]


@pytest.mark.parametrize(("base", "chat", "embeddings"), AZURE)
async def test_azure_is_asked_as_it_wants_to_be(server: FakeServer, base: str, chat: str, embeddings: str) -> None:
    chosen = {"openai_api_key": "azure-key", "chat_model": "chat", "embedding_model": "vectors"}
    settings = Settings(_env_file=None, openai_base_url=f"http://127.0.0.1:{server.port}{base}").model_copy(
        update=chosen
    )
    generator, embedder = OpenAIGenerator(settings), OpenAIEmbedder(settings)
    server.raw(HEAD, delta("Oil."), DONE)
    await collect(generator)
    server.json(vectors([1.0, 0.0]))
    await embedder.embed(["a"])
    for head, path in zip(server.heads, (chat, embeddings), strict=True):
        assert head.startswith(f"POST {path} HTTP/1.1\r\n")
        assert "\r\napi-key: azure-key\r\n" in head.lower()
        assert "authorization" not in head.lower()
    await generator.close()
    await embedder.close()


@pytest.mark.parametrize(
    "base",
    ["https://x.openai.azure.com", "https://x.openai.azure.com/openai/deployments/gpt", "https://x.azure-api.net/y"],
)
async def test_an_azure_address_without_its_version_is_refused_with_a_sentence(base: str) -> None:
    for model in (OpenAIGenerator, OpenAIEmbedder):
        opened = model(Settings(_env_file=None, openai_api_key="x", openai_base_url=base))
        call = collect(opened) if isinstance(opened, OpenAIGenerator) else opened.embed(["a"])
        with pytest.raises(ProviderRejected, match=r"\?api-version="):
            await call


async def test_azures_words_for_an_address_that_is_not_one(server: FakeServer) -> None:
    server.json({"error": {"code": "404", "message": "Resource not found"}}, 404)
    generator = OpenAIGenerator(Settings(_env_file=None, openai_base_url=f"http://127.0.0.1:{server.port}/v1"))
    with pytest.raises(ProviderRejected, match=r"404: Resource not found.*\?api-version="):
        await collect(generator)
    server.json(failure("The model does not exist"), 404)
    with pytest.raises(ProviderRejected) as raised:
        await collect(generator)
    assert "api-version" not in raised.value.message
    await generator.close()


async def test_the_first_sign_is_waited_for_as_long_as_the_address_is_far(server: FakeServer) -> None:
    """The error of a wait names its setting."""
    from footnote.providers.guarded_generator import _Stopwatch

    unset = Settings(_env_file=None)
    waits = [
        (watch._silence, watch._whole)
        for watch in (_Stopwatch(unset, "http://ollama/v1"), _Stopwatch(unset, "https://x.example"))
    ]
    assert waits == [(120.0, 600.0), (10.0, 120.0)]
    given = Settings(_env_file=None, openai_base_url=f"http://127.0.0.1:{server.port}/v1").model_copy(
        update={"first_token_seconds": 0.05}
    )
    server.raw(HEAD, 30.0)
    [generator] = guard_generators([OpenAIGenerator(given)], Shared(None), given, interactive=True).generators
    with pytest.raises(Exception, match=r"silent for 0.05 seconds \(FOOTNOTE_FIRST_TOKEN_SECONDS\)"):
        [event async for event in generator.generate(GenerationRequest("Why?", ()))]
    await generator.close()
