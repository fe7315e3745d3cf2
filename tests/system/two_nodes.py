"""`python -m tests.system.two_nodes`: two nodes behind a load balancer, with everything external, one of each killed.

Postgres on TCP, PgBouncer before it, a primary with two replicas and three sentinels, an S3 server. Each node has an
API, a worker and a dispatcher. Ends with 1 if anything that was uploaded is missing, or if the nodes do not agree.
"""

import asyncio
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import boto3
import httpx2
from moto.server import ThreadedMotoServer

from footnote.local_stack.postgres import Postgres
from footnote.local_stack.processes import Process, finish, spawn
from tests import pgbouncer, sentinels
from tests.system.faults import checks, corpus, edges
from tests.system.faults.load import Load
from tests.system.faults.report import Report
from tests.system.faults.stack import PROFILE, Stack, until
from tests.system.faults.watch import Fault, Watch

DOCUMENTS, LAST = 60, 20  # of which the last are uploaded after the primary of Redis was killed
QUESTIONS = 10
BUCKET = "footnote"
AWS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
REDIS_SECONDS = 30.0  # after the primary was killed
AWAY_SECONDS = 5.0


class Site(Stack):
    """Two nodes: for the checks, a stack whose API is either node's."""

    def __init__(self, directory: Path, env: dict[str, str], ports: list[int]) -> None:
        self.data_dir, self.env, self.ports = directory, env, ports
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self.url, self.database_url = self.urls[0], env["DATABASE_DIRECT_URL"]
        self.processes: dict[tuple[str, int], Process] = {}

    def run(self, command: str, node: int) -> None:
        """A process of the node; started again where it was killed. Call from the main thread."""
        env = self.env | {"PORT": str(self.ports[node]), "FOOTNOTE_DATA_DIR": str(self.data_dir / f"node{node}")}
        with (self.data_dir / f"{command}-{node}.log").open("ab") as log:
            self.processes[command, node] = spawn([sys.executable, "-m", "footnote", command], log, env=env)

    def kill(self, command: str, node: int) -> None:
        process = self.processes[command, node]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            finish(process, time.monotonic() + 15)


class Balancer(httpx2.AsyncBaseTransport):
    """Sends requests to the nodes in turn, and to the other one if a node accepts no connection."""

    def __init__(self, urls: list[str]) -> None:
        self.urls, self.turns = [httpx2.URL(url) for url in urls], count()
        self.transport = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        turn = next(self.turns)
        for number, _ in enumerate(self.urls):
            node = self.urls[(turn + number) % len(self.urls)]
            request.url = request.url.copy_with(host=node.host, port=node.port)
            try:
                return await self.transport.handle_async_request(request)
            except httpx2.ConnectError:
                if number + 1 == len(self.urls):
                    raise
        raise AssertionError

    async def aclose(self) -> None:
        await self.transport.aclose()


# -- what is external -------------------------------------------------------------------------------------------


@contextmanager
def external_postgres(directory: Path) -> Iterator[str]:
    """Postgres on TCP, with an empty database."""
    server, port = Postgres.within(directory), sentinels.free_ports(1)[0]
    on_tcp = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={port}"]
    with (directory / "log").open("ab") as log:
        assert spawn(server.prepare_initdb(), log, run_as=server.user.prefix).wait() == 0
        server.finish_initdb()
        process = spawn([*server.command(), *on_tcp], log, stop=signal.SIGINT, run_as=server.user.prefix)
    url = f"postgresql://postgres@127.0.0.1:{port}"
    try:
        asyncio.run(_create_database(f"{url}/postgres"))
        yield f"{url}/footnote"
    finally:
        process.send_signal(signal.SIGINT)
        finish(process, time.monotonic() + 20)


async def _create_database(url: str) -> None:
    async def connected() -> Any:
        try:
            return await asyncpg.connect(url)
        except (OSError, asyncpg.CannotConnectNowError):
            return None

    connection = await until(connected, 60, "Postgres answers")
    await connection.execute("CREATE DATABASE footnote")
    await connection.close()


@contextmanager
def external_store() -> Iterator[dict[str, str]]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    env = AWS | {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "STORAGE_URL": f"s3://{BUCKET}/objects"}
    os.environ.update(env)
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    try:
        yield env
    finally:
        server.stop()


def pooled(entered: ExitStack, postgres_url: str) -> pgbouncer.Pooler | None:
    try:
        program = pgbouncer.program()
    except LookupError as why:
        print(f"Without PgBouncer: {why}")
        return None
    return entered.enter_context(pgbouncer.running(program, postgres_url))


# -- the scenario -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def running(site: Site) -> AsyncIterator[None]:
    done = subprocess.run([sys.executable, "-m", "footnote", "migrate"], env=site.env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    try:
        for node in (0, 1):
            for command in ("api", "worker", "dispatcher"):
                site.run(command, node)
        for url in reversed(site.urls):
            site.url = url
            await until(lambda: site.says_ok("/readyz?strict=true"), 120, f"{url} is ready")
        yield
    finally:
        site.stop()


async def kill_one_of_each(site: Site, watch: Watch) -> None:
    """The other node takes over: of an API, only the answers that it was giving are cut off."""
    rng = random.Random(1)
    for command in ("api", "worker", "dispatcher"):
        await asyncio.sleep(2)
        node = rng.randrange(2)
        site.kill(command, node)
        now = time.monotonic()
        watch.faults.append(Fault(f"{command} killed", command, site.processes[command, node].pid, now, back=now))
        await asyncio.sleep(AWAY_SECONDS)
        site.run(command, node)


async def without_pooler(report: Report, site: Site, load: Load, watch: Watch, pooler: pgbouncer.Pooler) -> None:
    """Both nodes refuse soon and in words, and are ready again when it is back."""
    await until(lambda: both_ready(site), 120, "both nodes are ready, the one with the killed API too")
    left = time.monotonic()
    watch.faults.append(fault := Fault("pooler killed", "pooler", pooler.process.pid, left))
    pooler.kill()
    await asyncio.sleep(AWAY_SECONDS)
    asked_at = time.monotonic()
    report.exactly("PgBouncer killed: /readyz of both", [503, 503], await statuses(site))
    back = time.monotonic()
    report.at_most("PgBouncer killed: /readyz of both", checks.REFUSED_SECONDS, back - asked_at)
    pooler.start()
    await until(lambda: both_ready(site), 30, "both nodes are ready again")
    fault.back = time.monotonic()
    report.at_most("PgBouncer back: both nodes are ready", 5, fault.back - back)
    checks.refused(report, "PgBouncer killed", load, left, back)


async def goes_on(watch: Watch) -> float:
    """Seconds from now until a worker has a job that was sent by the new primary."""
    killed = time.monotonic()
    [[at]] = await checks.rows(watch, "SELECT now()")
    later = "SELECT count(*) FROM job WHERE dispatched_at > $1 AND state IN ('running', 'succeeded')"

    async def one() -> bool:
        return await checks.count(watch, later, at) > 0

    await until(one, 120, "a worker has a job that was sent after the primary was killed")
    return time.monotonic() - killed


async def statuses(site: Site) -> list[int]:
    async with httpx2.AsyncClient(timeout=30) as client:
        answers = await asyncio.gather(*(client.get(f"{url}/readyz") for url in site.urls))
    return [each.status_code for each in answers]


async def both_ready(site: Site) -> bool:
    try:
        return await statuses(site) == [200, 200]
    except httpx2.TransportError:
        return False


async def asked(site: Site, load: Load, method: str, path: str, **options: Any) -> list[Any]:
    """What each node answers by itself."""
    async with httpx2.AsyncClient(headers=load.client.headers, timeout=30) as client:
        return [(await client.request(method, f"{url}{path}", **options)).json() for url in site.urls]


async def agreed(site: Site, load: Load, sources: list[corpus.Source]) -> int:
    """Of the questions, to how many both nodes give the same hits."""
    same = 0
    for source in sources[:: len(sources) // QUESTIONS][:QUESTIONS]:
        question = {"query": source.question, "top_k": 10}
        one, other = await asked(site, load, "POST", "/v1/search", json=question)
        hits = [[(hit["chunk_id"], hit["score"]) for hit in each["data"]] for each in (one, other)]
        same += hits[0] == hits[1] != []
    return same


async def scenario(site: Site, redis: sentinels.Watched, pooler: pgbouncer.Pooler | None) -> Report:
    report = Report(f"two nodes: {DOCUMENTS} documents, {'with' if pooler else 'without'} PgBouncer")
    sources, receiver = corpus.sources(1, DOCUMENTS), edges.Receiver()
    async with running(site), edges.serving(receiver.answer) as callback_url:
        load = Load(site, callback_url)
        await load.client.aclose()
        load.client = httpx2.AsyncClient(
            base_url=site.url, headers=load.client.headers, timeout=30, transport=Balancer(site.urls)
        )
        async with load.client, Watch(site) as watch:
            async with load.asking(2), asyncio.TaskGroup() as group:
                group.create_task(load.upload_all(sources[LAST:], 2))
                await kill_one_of_each(site, watch)
                if pooler is not None:
                    await without_pooler(report, site, load, watch, pooler)
                redis.kill_primary()
                group.create_task(load.upload_all(sources[:LAST], 2))
                report.at_most("jobs go on after the primary is killed", REDIS_SECONDS, await goes_on(watch))
            took = await watch.until_ended()
            report.tell("all work done after the last upload", took)
            await checks.documents(report, site, watch, load, sources)
            await checks.webhooks(report, watch, receiver)
            report.exactly(
                "questions to which both nodes give the same hits", QUESTIONS, await agreed(site, load, sources)
            )
            served(report, load, watch)
            await told(report, load, site, pooler)
    return report


def served(report: Report, load: Load, watch: Watch) -> None:
    sent = load.answered("upload", "query", "status")
    failed = [each for each in sent if not each.ok and not watch.excused(each)]
    report.exactly(f"of {len(sent)} requests, failed while a node and PgBouncer were there", 0, len(failed))
    print(*(f"{each.kind}: {each.status} {each.problem}" for each in failed[:5]), sep="\n", end="")


async def told(report: Report, load: Load, site: Site, pooler: pgbouncer.Pooler | None) -> None:
    ready = [(each["status"], each["notifications"]) for each in await asked(site, load, "GET", "/readyz?strict=true")]
    report.exactly("readiness of both", [("ready", "listening")] * 2, ready)
    if pooler is not None:
        connection = await asyncpg.connect(site.database_url)
        sessions = await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE datname = 'footnote'")
        await connection.close()
        report.at_most("sessions of Postgres", 20 + 2 * 3 + 2, sessions, "")


def main() -> int:
    directory = Path(tempfile.mkdtemp(prefix="fn-two-")).resolve()
    with ExitStack() as entered:
        postgres_url = entered.enter_context(external_postgres(directory))
        redis = entered.enter_context(sentinels.running(down_ms=3000))
        store = entered.enter_context(external_store())
        pooler = pooled(entered, postgres_url)
        env = {name: value for name, value in os.environ.items() if not name.startswith(("FOOTNOTE_", "PG"))}
        env |= PROFILE | store | {"REDIS_URL": redis.url, "DATABASE_DIRECT_URL": postgres_url, "WEB_CONCURRENCY": "1"}
        env |= {"DATABASE_URL": pooler.url if pooler else postgres_url, "FOOTNOTE_DATA_DIR": str(directory)}
        site = Site(directory, env, sentinels.free_ports(2))
        report = asyncio.run(scenario(site, redis, pooler))
        print(report)
    if report.met:
        shutil.rmtree(directory)
    else:
        print(f"The logs are in {directory}.")
    return 0 if report.met else 1


if __name__ == "__main__":
    sys.exit(main())
