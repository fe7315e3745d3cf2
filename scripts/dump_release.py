"""Makes the small dump of a release by which every later one tests its upgrade.

`python -m scripts.dump_release CODE COMMIT`: CODE is a checkout of the release, whose programs run: documents, a
conversation, and jobs in every state. What its API answers is stored beside the dump, in `tests/releases/`.
`scripts.release` makes one by the programs of the wheel.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg
import httpx2

from footnote.local_stack.lock import holder
from footnote.local_stack.postgres import binaries

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "tests" / "samples"
READY, LATER = ("handbook.pdf", "weather.md", "visitors.html", "boats.docx"), ("signals.rst", "tides.csv", "letter.rtf")
QUESTIONS = ("How much mercury does the bath of the lens hold?", "When is the black cone hoisted?", "visitors welcome")
START_SECONDS = 300.0
# What a worker that was killed leaves behind.
_RUNNING = "UPDATE job SET state = 'running', token = 1, attempts = 1, lease_until = now() WHERE id = $1"


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("code", type=Path)
    asked.add_argument("commit", help="by which git finds that code again")
    asked.add_argument("--port", type=int, default=18731)
    given = asked.parse_args()
    made = dump(Path(sys.executable), given.code, given.commit, ROOT / "tests" / "releases", given.port)
    print(made, sum(each.stat().st_size for each in made.iterdir()), "bytes")
    return 0


def dump(python: Path, code: Path, commit: str, releases: Path, port: int = 18731) -> Path:
    """The new folder in `releases`, made by the Footnote that `python` finds in the folder `code`."""
    with tempfile.TemporaryDirectory(prefix="fn-") as directory:
        data_dir = Path(directory) / "data"
        ports = {"PORT": str(port), "FLOWER_PORT": str(port + 1)}
        env = os.environ | ports | {"FOOTNOTE_DATA_DIR": str(data_dir), "XDG_CONFIG_HOME": directory}
        log = (Path(directory) / "log").open("wb")
        up = subprocess.Popen([python, "-m", "footnote", "up"], cwd=code, env=env, stdout=log, stderr=log)
        try:
            with _api(data_dir, port) as api:
                answers = asyncio.run(_fill(api, holder(data_dir)["database_url"]))
                manifest = {"version": str(_call(api, "GET", "/healthz")["version"]), "commit": commit} | answers
            return asyncio.run(_store(data_dir, releases, manifest))
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait(60)
            log.close()


def _api(data_dir: Path, port: int) -> httpx2.Client:
    """When it is ready, with its first key."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            if httpx2.get(f"http://127.0.0.1:{port}/readyz?strict=true", timeout=10).status_code == 200:
                key = (data_dir / "api_key").read_text().strip()
                return httpx2.Client(
                    base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"}, timeout=60
                )
        except (OSError, httpx2.HTTPError):
            pass
        time.sleep(0.5)
    raise SystemExit("The release did not start.")


async def _fill(api: httpx2.Client, database_url: str) -> dict[str, Any]:
    """Documents, a conversation, webhooks without a receiver, jobs in every state; what the API answers about them."""
    _call(api, "POST", "/v1/webhook_endpoints", {"url": "https://receiver.invalid/hook", "events": ["*"]})
    for name in READY:
        _upload(api, name)
    failed = _upload(api, "encrypted.pdf", expect=None)
    _settle(api)
    conversation = _call(api, "POST", "/v1/conversations", {"title": "Lighthouse"})["id"]
    for question in QUESTIONS:
        _call(api, "POST", "/v1/query", {"question": question, "conversation_id": conversation})
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("INSERT INTO pause DEFAULT VALUES")  # as `footnote pause`
        queued, running, cancelled = [_upload(api, name) for name in LATER]
        _call(api, "POST", f"/v1/jobs/{cancelled}/cancel")
        await connection.execute(_RUNNING, running)
        states = await connection.fetch("SELECT DISTINCT state FROM job")
    finally:
        await connection.close()
    assert {row["state"] for row in states} >= {"succeeded", "queued", "running", "cancelled"}, (states, queued, failed)
    return _answers(api, conversation)


def _answers(api: httpx2.Client, conversation: str) -> dict[str, Any]:
    paths = ["/v1/documents?limit=50", "/v1/collections", "/v1/jobs?limit=50", f"/v1/conversations/{conversation}"]
    documents = _call(api, "GET", paths[0])["data"]
    ready = [each["id"] for each in documents if each["status"] == "ready"]
    paths += [f"/v1/documents/{each}/pages/1" for each in ready] + [f"/v1/documents/{each}" for each in ready]
    hits = {
        question: [each["chunk_id"] for each in _call(api, "POST", "/v1/search", {"query": question})["data"]]
        for question in QUESTIONS
    }
    return {"hits": hits, "answers": {path: _call(api, "GET", path) for path in paths}}


def _call(api: httpx2.Client, method: str, path: str, body: Any = None) -> Any:
    reply = api.request(method, path, json=body)
    reply.raise_for_status()
    return reply.json() if reply.content else None


def _upload(api: httpx2.Client, name: str, expect: int | None = 202) -> str:
    """The id of the job."""
    with (SAMPLES / name).open("rb") as file:
        reply = api.post("/v1/documents", files={"file": (name, file)})
    if expect is not None and reply.status_code != expect:
        raise SystemExit(f"{name}: {reply.status_code} {reply.text}")
    return str(reply.json()["job"]["id"])


def _settle(api: httpx2.Client) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        documents = _call(api, "GET", "/v1/documents?limit=50")["data"]
        if all(each["status"] in ("ready", "failed") for each in documents):
            return
        time.sleep(0.5)
    raise SystemExit("The documents are not ready.")


async def _store(data_dir: Path, releases: Path, manifest: dict[str, Any]) -> Path:
    url = holder(data_dir)["database_url"]
    revision = await _revision(url)
    target = releases / f"{manifest['version']}-{revision}"
    target.mkdir(parents=True, exist_ok=True)
    # Not the hashes of keys: a test makes its own.
    secrets = ("--exclude-table-data=api_key", "--exclude-table-data=signing_key")
    options = ("--format=custom", "--compress=9", "--no-owner", "--no-privileges", *secrets)
    command = [binaries() / "pg_dump", "--dbname", url, *options, "--file", target / "database.dump"]
    await asyncio.to_thread(subprocess.run, command, check=True)
    with tarfile.open(target / "objects.tar.gz", "w:gz") as tar:
        tar.add(data_dir / "objects", arcname=".")
    about = json.dumps(manifest | {"revision": revision}, indent=1, ensure_ascii=False)
    (target / "release.json").write_text(about + "\n")
    return target


async def _revision(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval("SELECT version_num FROM alembic_version"))
    finally:
        await connection.close()


if __name__ == "__main__":
    sys.exit(main())
