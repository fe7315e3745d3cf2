"""The ports the stack opens on this machine, and whether the API behind one is ready."""

import errno
import http.client
import json
import socket
from typing import Any

from footnote.local_stack.processes import StackFailed
from footnote.settings import Settings

_ALL_ADDRESSES = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, not bound


def url(host: str, port: int) -> str:
    """Where this machine reaches what listens on a host, which may mean all addresses, and a port."""
    host = _ALL_ADDRESSES.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def check_ports(settings: Settings) -> None:
    """Raise StackFailed if one of our ports is not available."""
    if settings.port == settings.flower_port:
        raise StackFailed(f"PORT and FLOWER_PORT are both {settings.port}.")
    _check_port("PORT", settings.host, settings.port)
    _check_port("FLOWER_PORT", settings.flower_host, settings.flower_port)
    for port in range(settings.metrics_port, settings.metrics_port + 3) if settings.metrics_port else ():
        _check_port("FOOTNOTE_METRICS_PORT", settings.metrics_host, port)


def _check_port(setting: str, host: str, port: int) -> None:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as listener:
            # As servers do: connections of an earlier start that linger are no obstacle.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        reason = "is taken by another program" if error.errno == errno.EADDRINUSE else f"cannot be used: {error}"
        raise StackFailed(f"Port {port} on {host} {reason}. Set {setting} to another port.") from error


def readiness(settings: Settings) -> dict[str, Any] | None:
    """What GET /readyz says, whatever that is; None while the API does not answer."""
    connection = http.client.HTTPConnection(url(settings.host, settings.port).removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", "/readyz")
        body = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return body if isinstance(body, dict) else None
