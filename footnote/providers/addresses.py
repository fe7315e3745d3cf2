"""What a base URL says about its server: whether it is local, and whether it is Azure's."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from footnote.errors import ProviderRejected

_LOCAL_NAMES = (".localhost", ".local", ".internal", ".lan", ".home", ".home.arpa")
_AZURE_HOSTS = (
    ".openai.azure.com",
    ".openai.azure.us",
    ".openai.azure.cn",
    ".cognitiveservices.azure.com",
    ".services.ai.azure.com",
    ".azure-api.net",
)
CALLS = ("/chat/completions", "/embeddings")
AZURE_HINT = (
    "An Azure address needs an API version: set OPENAI_BASE_URL to "
    "https://NAME.openai.azure.com/openai/deployments/DEPLOYMENT?api-version=2024-10-21, or to "
    "https://NAME.openai.azure.com/openai/v1, which needs none."
)


def is_local(address: str | None) -> bool:
    """Whether it belongs to this machine or a private network, where a model may have to be loaded before it answers.

    Names are not resolved: a name without a dot counts as a container or a machine nearby.
    """
    host = (urlsplit(address or "").hostname or "").rstrip(".").partition("%")[0]
    try:
        return bool(host) and not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith(_LOCAL_NAMES)


def keeps_thoughts_apart(address: str) -> bool:
    """Whether the server never sends a model's thoughts as text of its answer."""
    host = urlsplit(address).hostname or ""
    return host in ("api.openai.com", "api.anthropic.com") or host.endswith(_AZURE_HOSTS)


@dataclass(frozen=True)
class BaseUrl:
    """A base URL without its query, and the query that every request needs.

    `azure`: the key is sent as `api-key`; `by_deployment`: the path of Azure's dated API, which names a deployment.
    """

    url: str
    query: dict[str, str]
    azure: bool = False
    by_deployment: bool = False

    @classmethod
    def read(cls, url: str) -> "BaseUrl":
        """Raises ProviderRejected with a sentence that says what is missing."""
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        path = parts.path.rstrip("/")
        named = (parts.hostname or "").endswith(_AZURE_HOSTS)
        azure = named or "api-version" in query or "/openai/deployments/" in path
        by_deployment = azure and not path.endswith("/v1")
        if by_deployment and "api-version" not in query:
            raise ProviderRejected("provider_rejected", AZURE_HINT)
        if named and not path:
            path = "/openai"
        for call in CALLS:  # some users copy the whole address of a call
            path = path.removesuffix(call)
        return cls(urlunsplit((parts.scheme, parts.netloc, path, "", "")), query, azure, by_deployment)
