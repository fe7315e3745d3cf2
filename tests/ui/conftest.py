"""The product as `footnote up` starts it, a scripted model, and a browser that notices what a page must not do."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import axe_playwright_python
import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    expect,
    sync_playwright,
)
from typer.testing import CliRunner

from footnote.cli import app as cli
from footnote.local_stack.lock import holder
from tests import ROOT
from tests.conftest import place_of_databases
from tests.ui.model import Model, answering

NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "msedge",
)
# Without them a browser looks for its maker's servers at every start; root has no sandbox.
QUIET = [
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"),
    *("--no-first-run", "--disable-gpu", "--no-sandbox", "--force-color-profile=srgb"),
]
# The list under an address bar that is not seen costs a process for each context, and a spare one each navigation:
# half of the processor time. This replaces Playwright's own list, so what of that counts here stands behind them.
UNUSED = [
    *("WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup", "SpareRendererForSitePerProcess"),
    *("AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "PaintHolding", "MediaRouter"),
    *("HttpsUpgrades", "HttpsFirstBalancedModeAutoEnable", "OptimizationHints", "PreconnectToSearch", "AimEnabled"),
    *("NetworkTimeServiceQuerying", "ThirdPartyStoragePartitioning", "AvoidCorsURLLoaderRestartOnRedirect"),
]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOKS = [(width, height, scheme) for width, height in ((1440, 900), (360, 740)) for scheme in ("light", "dark")]
PICTURES = os.environ.get("FOOTNOTE_SCREENSHOTS")
START_SECONDS = 180
PATIENCE_MS = 90_000  # on a busy machine; nothing waits longer than it must
expect.set_options(timeout=PATIENCE_MS)
REPORT = Path(__file__).parent / "annual-report-2025.pdf"


def installed_browser() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


# Of this package, not of the session: while Playwright runs, its event loop does, and no other can in this thread.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = installed_browser()
    if path is None:
        reason = "no browser: `apt install chromium`"
        (pytest.fail if os.environ.get("FOOTNOTE_BROWSER") == "required" else pytest.skip)(reason)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=path, args=[*QUIET, f"--disable-features={','.join(UNUSED)}"]
        )
        yield opened
        opened.close()


T = TypeVar("T")


def aside(work: Callable[[], T]) -> T:
    """What it returns, from another thread: in this one runs Playwright's event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


def until(page: Page, what: Callable[[], bool], seconds: float = 120) -> None:
    """The browser's requests are only looked at while it is waited for."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        page.wait_for_timeout(200)


@dataclass
class Product:
    """A running installation, driven by its command line and by its API."""

    url: str
    environment: dict[str, str]
    pid: int = 0

    def run(self, *arguments: str, **variables: str) -> str:
        """What the command line says; in this process, for a new one imports for a second."""
        done = aside(lambda: CliRunner().invoke(cli, arguments, env=self.environment | variables))
        assert done.exit_code == 0, done.output
        return done.stdout

    def new_tenant(self, name: str) -> str:
        """Its first key."""
        return next(word for word in self.run("tenants", "create", name).split() if word.startswith("fn_"))

    @property
    def database_url(self) -> str:
        return str(holder(Path(self.environment["FOOTNOTE_DATA_DIR"]))["database_url"])

    def call(self, key: str, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        sent = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, sent, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def send(self, key: str, name: str, content: bytes, **query: str) -> str:
        """The id of the document, which is queued."""
        place = f"{self.url}/v1/uploads/{quote(name)}"
        given = "&".join(f"{each}={quote(value)}" for each, value in query.items())
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/octet-stream"}
        request = urllib.request.Request(f"{place}?{given}", content, headers, method="PUT")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(json.load(answer)["document"]["id"])

    def add(self, key: str, name: str, content: bytes, **query: str) -> str:
        """The id of the document, when it is ready."""
        document_id = self.send(key, name, content, **query)
        deadline = time.monotonic() + START_SECONDS
        while (status := self.call(key, "GET", f"/v1/documents/{document_id}")["status"]) != "ready":
            assert status != "failed"
            assert time.monotonic() < deadline, status
            time.sleep(0.2)
        return document_id


@pytest.fixture(scope="package")
def scribe() -> Iterator[Model]:
    with answering() as scribe:
        yield scribe


@pytest.fixture
def model(scribe: Model) -> Iterator[Model]:
    """What the product's model says is of one test alone."""
    yield scribe
    scribe.reset()


@pytest.fixture(scope="package")
def product(browser: Browser, scribe: Model) -> Iterator[Product]:
    """Asked for a browser first, so that nothing is started without one."""
    directory = Path(tempfile.mkdtemp(prefix="fn-", dir=place_of_databases()))
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    chosen = {"PORT": str(ports[0]), "FLOWER_PORT": str(ports[1]), "FOOTNOTE_DATA_DIR": str(directory / "data")}
    chosen |= {"OPENAI_BASE_URL": f"http://127.0.0.1:{scribe.port}/v1", "OPENAI_API_KEY": "sk-scribe"}
    chosen |= {"FOOTNOTE_GENERATOR": "openai:scribe", "FOOTNOTE_ANSWER_CACHE_SECONDS": "0", "WEB_CONCURRENCY": "1"}
    environment = os.environ | chosen | {"XDG_CONFIG_HOME": str(directory / "config"), "FOOTNOTE_OCR": "off"}
    with (directory / "up.txt").open("wb") as out:
        up = subprocess.Popen(
            [sys.executable, "-m", "footnote", "up"], env=environment, cwd=ROOT, stdout=out, stderr=out
        )
    found = Product(f"http://127.0.0.1:{ports[0]}", environment, up.pid)
    try:
        _wait_until_ready(found.url, up, directory / "up.txt")
        yield found
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(60)
        shutil.rmtree(directory, ignore_errors=True)


def _wait_until_ready(url: str, up: "subprocess.Popen[bytes]", said: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and up.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/readyz?strict=true", timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(said.read_text())


@dataclass
class Visit:
    """A person's browser on the product: what it did that no page of ours may do is in `faults`."""

    product: Product
    context: BrowserContext
    page: Page
    faults: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        self.page.goto(self.product.url + path)

    def follow(self, path: str) -> None:
        """As a link of the page, which is not loaded again."""
        self.page.evaluate(
            """path => {
                const link = Object.assign(document.createElement("a"), {href: path});
                document.body.append(link);
                link.click();
                link.remove();
            }""",
            path,
        )

    def log_in(self, key: str) -> None:
        code = self.product.call(key, "POST", "/v1/session/codes")["code"]
        self.open(f"/enter#{code}")
        self.page.get_by_role("banner").wait_for()
        self.page.get_by_role("heading", level=1).wait_for()

    def ask(self, question: str) -> None:
        """Asks and waits for the answer."""
        count = self.page.locator("article").count()
        self.page.get_by_role("textbox", name="Question").fill(question)
        self.page.keyboard.press("Enter")
        self.page.locator("article").nth(count).wait_for()
        self.page.locator("article[data-phase=done]").nth(count).wait_for()

    def listen(self) -> None:
        self.page.on("request", self._see)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("dialog", self._refuse)

    def _see(self, request: Request) -> None:
        if not request.url.startswith((self.product.url, "blob:")):
            self.faults.append(f"asks elsewhere: {request.url}")

    def _hear(self, message: ConsoleMessage) -> None:
        # The browser reports every answer of 400 and above; tests that provoke one look at the page instead.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(f"console: {message.text}")

    def _refuse(self, dialog: Dialog) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()


Arrive = Callable[..., Visit]


@pytest.fixture
def arrive(browser: Browser, product: Product) -> Iterator[Arrive]:
    """Opens browsers; at the end none of them may have done what no page of ours may do."""
    visits: list[Visit] = []

    def arriving(key: str | None = None, *, width: int = 1440, height: int = 900, touch: bool = False) -> Visit:
        context = browser.new_context(viewport={"width": width, "height": height}, has_touch=touch, locale="en-GB")
        context.set_default_timeout(PATIENCE_MS)
        visit = Visit(product, context, context.new_page())
        visit.listen()
        visits.append(visit)
        if key:
            visit.log_in(key)
        return visit

    yield arriving
    for each in visits:
        each.context.close()
    assert [fault for each in visits for fault in each.faults] == []


See = Callable[[Visit, str], None]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For what a person should look at: FOOTNOTE_SCREENSHOTS, or a temporary one."""
    chosen = Path(PICTURES) if PICTURES else tmp_path_factory.mktemp("screens")
    chosen.mkdir(parents=True, exist_ok=True)
    return chosen


@pytest.fixture(scope="session")
def see(folder: Path) -> See:
    """Has axe check a screen in two of the four looks; where pictures are asked for, in each, and takes them."""
    looks = LOOKS if PICTURES else LOOKS[::3]  # each width and each scheme once

    def seeing(visit: Visit, name: str) -> None:
        page, before = visit.page, visit.page.viewport_size
        assert before is not None
        found = []
        for width, height, scheme in looks:
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
            page.evaluate("() => document.fonts.ready.then(() => new Promise(requestAnimationFrame))")
            if PICTURES:
                page.screenshot(path=folder / f"{name}-{width}-{scheme}.png")
            found += [f"{width} {scheme} {each}" for each in violations(page)]
            assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing is cut off at the side"
        page.set_viewport_size(before)
        page.emulate_media(color_scheme="light", reduced_motion="no-preference")
        assert found == [], name

    return seeing


def violations(page: Page) -> list[str]:
    """What axe finds, by rule, with the places."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE)
    options = {"runOnly": RULES, "resultTypes": ["violations"]}
    result = page.evaluate("options => axe.run(document, options)", options)
    return [f"{each['id']}: {[node['html'][:120] for node in each['nodes']]}" for each in result["violations"]]
