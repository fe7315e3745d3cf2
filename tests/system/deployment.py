"""`make deploy-check`: what deploy/ says, held to the schemas of Kubernetes and to a real proxy before the product.

Ends with 1 if an object is not valid, or if something cannot be done through the proxy.
"""

import argparse
import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import yaml

from footnote.local_stack.processes import Process, ended, spawn
from scripts import manifests
from tests.system.faults.stack import Stack, free_ports, until

ROOT = Path(__file__).parents[2]
VERSIONS = ("1.33", "1.37")  # of Kubernetes
MOST_MB = 4  # through the proxy here, instead of 1200
APART = {"ScaledObject", "PodMonitor"}  # of KEDA and of the Prometheus Operator, which Kubernetes does not know


def invalid(tools: Path) -> int:
    """How many overlays some version of Kubernetes would refuse."""
    builder = manifests.builder()
    assert builder, "Install kustomize or kubectl."
    failed = 0
    for overlay in manifests.OVERLAYS:
        known = [each for each in manifests.build(builder, overlay) if each["kind"] not in APART]
        for version in VERSIONS:
            command = [str(tools / "kubernetes-validate"), "--kubernetes-version", version, "--strict", "--quiet", "-"]
            held = subprocess.run(command, input=yaml.safe_dump_all(known), text=True, check=False)
            print(
                f"{'invalid' if held.returncode else 'valid':8} {overlay}: {len(known)} objects, Kubernetes {version}"
            )
            failed += held.returncode != 0
    return failed


def configured(caddy: Path, env: dict[str, str], http_port: int) -> str:
    """The Caddyfile as it is, but that Caddy neither listens on port 80 nor stores anything outside its folder."""
    command = [str(caddy), "adapt", "--config", str(ROOT / "deploy/compose/Caddyfile")]
    config = json.loads(subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True).stdout)
    config["apps"]["http"]["http_port"] = http_port
    config["admin"] = {"disabled": True}
    return json.dumps(config)


@asynccontextmanager
async def proxy(caddy: Path, upstream: str) -> AsyncIterator[tuple[str, ssl.SSLContext]]:
    """The address of Caddy before the product, and what trusts its certificate."""
    https, http = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="fn-proxy-") as folder:
        places = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), folder)
        env = os.environ | places | {"DOMAIN": f"localhost:{https}", "UPSTREAM": upstream, "MAX_BODY": f"{MOST_MB}MB"}
        config = Path(folder) / "caddy.json"
        config.write_text(configured(caddy, env, http))
        with (Path(folder) / "log").open("wb") as log:
            process = spawn([str(caddy), "run", "--config", str(config)], log, env=env)
        try:
            address, root = f"https://localhost:{https}", Path(folder) / "caddy/pki/authorities/local/root.crt"
            yield address, await until(lambda: trusted(address, root, process), 60, "Caddy has a certificate")
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


async def trusted(address: str, root: Path, process: Process) -> ssl.SSLContext | None:
    """What trusts Caddy's own authority, once its certificate for this address is made."""
    assert not ended(process), "Caddy has ended"
    if not root.exists():
        return None
    trust = ssl.create_default_context(cafile=str(root))
    try:
        async with httpx2.AsyncClient(verify=trust, trust_env=False) as client:
            return trust if (await client.get(f"{address}/healthz")).is_success else None
    except httpx2.TransportError:
        return None


@asynccontextmanager
async def events(client: httpx2.AsyncClient) -> AsyncIterator[AsyncIterator[str]]:
    async with client.stream("GET", "/v1/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        yield response.aiter_lines()


async def first(lines: AsyncIterator[str], word: str) -> None:
    """Waits for a line; only an answer that is not collected has it before its end."""
    async with asyncio.timeout(60):
        async for line in lines:
            if word in line:
                return
    raise AssertionError(f"The stream ended without {word}.")


async def used(stack: Stack, address: str, trust: ssl.SSLContext) -> None:
    headers = {"Authorization": f"Bearer {stack.key}"}
    async with httpx2.AsyncClient(
        base_url=address, headers=headers, verify=trust, timeout=60, trust_env=False
    ) as client:
        async with events(client) as lines:
            await first(lines, "counts")
            body = b"The zircon lamp was lit by Agnes Tolmie in 1874. " * 40_000
            files = {"file": ("lamp.txt", body[: MOST_MB * 500_000])}
            added = await client.post("/v1/documents", files=files)
            assert added.status_code == 202, added.text
            await first(lines, added.json()["document"]["id"])
        print("passed   an upload, and events while the stream is open")
        await left(stack)
        print("passed   the API learns that a client has left")
        refused = await client.post("/v1/documents", files={"file": ("large.txt", b"x" * (MOST_MB + 1) * 1_000_000)})
        assert refused.status_code == 413, refused.text
        print("passed   a body beyond the proxy's limit is refused with 413")


async def left(stack: Stack) -> None:
    async def logged() -> bool:
        lines = (stack.data_dir / "logs" / "api.log").read_text().splitlines()
        told = [json.loads(line) for line in lines if '"/v1/events"' in line and line.startswith("{")]
        return any(each["status"] == 499 for each in told)

    await until(logged, 30, "status 499 of GET /v1/events in the log")


async def serve(caddy: Path) -> None:
    async with Stack(FOOTNOTE_LOG_FORMAT="json") as stack:
        await stack.ready()
        async with proxy(caddy, f"127.0.0.1:{stack.port}") as (address, trust):
            await used(stack, address, trust)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tools", type=Path, required=True, help="folder of kubernetes-validate and caddy")
    tools = parser.parse_args().tools.absolute()
    failed = invalid(tools)
    asyncio.run(serve(tools / "caddy"))
    return failed


if __name__ == "__main__":
    sys.exit(main())
