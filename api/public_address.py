"""The address at which a request reached us."""

import re

from starlette.types import Scope

_HOST = re.compile(rb"[A-Za-z0-9._~-]{1,255}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")


def origin_of(scope: Scope) -> str:
    """Scheme and host as the client named them; the socket's own where it sent no sound `Host`."""
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    if _HOST.fullmatch(host):
        return f"{scope['scheme']}://{host.decode()}"
    address, port = scope.get("server") or ("127.0.0.1", None)
    named = f"[{address}]" if ":" in address else address
    return f"{scope['scheme']}://{named}" if port is None else f"{scope['scheme']}://{named}:{port}"
