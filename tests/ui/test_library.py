"""The library, files that are added, one stream for all tabs, and every state, in a real browser."""

import asyncio
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Dialog, FilePayload, Page, Request, expect

from tests.ui.conftest import REPORT, Arrive, Product, See, aside, until
from tests.ui.many import fill
from tests.ui.model import Model

pytestmark = pytest.mark.stack

FILES = 30  # of the folder; two of them are broken
BEFORE = 10  # are sent before the reload
ARRIVED = re.compile(r"/v1/documents$")


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """A folder with another in it, with two broken files, one of no type that is read, and one that is hidden."""
    folder = tmp_path / "reports"
    (folder / "2025").mkdir(parents=True)
    for n in range(FILES - 2):
        place = folder / "2025" if n % 2 else folder
        (place / f"note {n}.md").write_text(f"# Note {n}\n\nThe lamp number {n} burns whale oil.\n")
    for n in range(2):
        (folder / f"broken {n}.pdf").write_bytes(b"%PDF-1.4\n" + bytes(str(n), "ascii") * 40)
    (folder / "tool.exe").write_bytes(b"MZ")
    (folder / ".hidden.md").write_text("hidden")
    return folder


def listed(product: Product, key: str, **query: str) -> Any:
    given = "&".join(f"{name}={value}" for name, value in {"total": "true", **query}.items())
    return product.call(key, "GET", f"/v1/documents?limit=100&{given}")


def choose_folder(page: Page, button: str, folder: Path) -> None:
    page.locator("label", has_text=button).locator("input").set_input_files(folder)


def test_a_folder_is_sent_once_whatever_interrupts_it(
    product: Product, arrive: Arrive, reports: Path, see: See
) -> None:
    key = product.new_tenant("folder")
    visit = arrive(key)
    page = visit.page
    visit.follow("/library")
    expect(page.get_by_text("What you add is listed here")).to_be_visible()
    see(visit, "library-empty")
    sent: list[str] = []

    def hold(route: Any) -> None:
        """From some file on nothing arrives."""
        if ARRIVED.search(route.request.url) and route.request.method == "POST":
            sent.append(route.request.url)
            if len(sent) > BEFORE:
                return
        route.continue_()

    page.route("**/v1/documents", hold)
    choose_folder(page, "Add folder", reports)
    sheet = page.get_by_role("dialog")
    expect(sheet).to_contain_text(f"Add {FILES} files?")
    expect(sheet).to_contain_text("One cannot be read and stays out.")
    expect(sheet.locator("li.doubtful")).to_have_text("reports/tool.exe.exe is not read")
    expect(sheet).not_to_contain_text("hidden")
    see(visit, "sheet")
    sheet.get_by_role("button", name=f"Add {FILES}").click()
    until(page, lambda: listed(product, key)["total"] == BEFORE)
    see(visit, "library-sending")

    warned: list[str] = []
    page.remove_listener("dialog", visit._refuse)

    def leave(dialog: Dialog) -> None:
        warned.append(dialog.type)
        dialog.accept()

    page.on("dialog", leave)
    page.unroute("**/v1/documents")
    page.reload()
    assert warned == ["beforeunload"]
    left = page.get_by_role("status").filter(has_text="were not sent")
    expect(left).to_contain_text(f"of {FILES} files were not sent.")
    see(visit, "library-left")
    choose_folder(page, "Choose the folder again", reports)
    expect(left).to_have_count(0)
    until(page, lambda: listed(product, key)["total"] == FILES)
    unfinished = "status=queued&status=running&status=waiting"
    until(page, lambda: product.call(key, "GET", f"/v1/documents?limit=1&{unfinished}")["data"] == [])
    found = listed(product, key)["data"]
    assert len({each["sha256"] for each in found}) == FILES, "none is there twice"
    assert {each["external_id"] for each in found if "2025" in each["external_id"]} == {
        f"reports/2025/note {n}.md" for n in range(1, FILES - 2, 2)
    }
    page.get_by_role("main").get_by_role("link", name="two need a look").click()
    expect(page.locator(".row .doubtful")).to_have_count(2)
    expect(page.locator(".row .doubtful").first).to_contain_text("†")
    expect(page.locator(".row .doubtful").first).to_contain_text("damaged")
    see(visit, "library-failed")

    again: list[Request] = []
    page.on("request", lambda each: again.append(each))
    choose_folder(page, "Add folder", reports)
    page.get_by_role("button", name=f"Add {FILES}").click()
    until(page, lambda: len(posted(again)) >= 2)  # those that failed
    expect(page.locator(".sending")).to_have_count(0)
    assert len(posted(again)) == 2, "what is there is not sent"


def posted(requests: list[Request]) -> list[str]:
    return [each.url for each in requests if each.method == "POST" and ARRIVED.search(each.url)]


def test_one_stream_serves_all_tabs_and_another_takes_over(product: Product, arrive: Arrive) -> None:
    key = product.new_tenant("tabs")
    visit = arrive(key)
    streams: list[str] = []

    def asked(request: Request) -> None:
        if request.url.endswith("/v1/events"):
            streams.append(request.url)

    visit.context.on("request", asked)
    visit.open("/library")
    first, second = visit.page, visit.context.new_page()
    second.goto(f"{product.url}/library")
    product.add(key, "one.md", b"# One\n\nThe lamp burns.")
    for page in (first, second):
        expect(page.locator(".row").nth(1)).to_contain_text("ready")
    assert len(streams) <= 2, "the first is that of the screen after the entrance"
    first.close()
    until(second, lambda: len(streams) >= 2)
    document_id = product.add(key, "two.md", b"# Two\n\nThe lens turns.")
    expect(second.get_by_role("link", name="two.md")).to_be_visible()
    expect(second.locator(".sum")).to_contain_text("Two documents")
    product.call(key, "DELETE", f"/v1/documents/{document_id}")
    expect(second.get_by_role("link", name="two.md")).to_have_count(0)


def test_a_document_says_what_was_read_and_leaves_a_receipt(product: Product, arrive: Arrive, see: See) -> None:
    key = product.new_tenant("one")
    product.add(key, REPORT.name, REPORT.read_bytes(), external_id="report")
    visit = arrive(key)
    page = visit.page
    visit.follow("/library")
    page.get_by_role("link", name=REPORT.name).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(REPORT.name)
    expect(page.get_by_role("main")).to_contain_text("Three pages, ")
    page.get_by_role("button", name="Set metadata").click()
    page.get_by_role("textbox", name="Key").fill("year")
    page.get_by_role("textbox", name="Value").fill("2025")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.get_by_role("definition").filter(has_text="2025")).to_be_visible()
    see(visit, "document")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.path().read_bytes() == REPORT.read_bytes()
    old = "/d/{}/p/2?v=1&from=10&to=40".format(page.url.rsplit("/", 1)[1])
    product.add(key, REPORT.name, REPORT.read_bytes() + b"\n%", external_id="report")
    expect(page.get_by_role("main")).to_contain_text("version 2")
    visit.open(old)
    expect(page.locator(".refused")).to_contain_text("This footnote stands in version 1, which was replaced.")
    page.get_by_role("link", name="Open version 2").click()
    expect(page.locator(".leaf img")).to_be_visible()
    page.get_by_role("link", name="Library").click()
    page.get_by_role("link", name=REPORT.name).click()
    page.get_by_role("button", name="Delete").click()
    see(visit, "delete")
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Deleted")
    expect(page.locator(".receipt")).to_contain_text("Passages")
    see(visit, "receipt")


def test_many_are_changed_at_once_and_only_by_those_who_may(product: Product, arrive: Arrive) -> None:
    key = product.new_tenant("chosen")
    for n in range(4):
        product.add(key, f"note {n}.md", f"# Note {n}\n\nThe lamp {n} burns.".encode())
    reader = product.call(key, "POST", "/v1/keys", {"name": "reader", "scopes": ["read"]})["secret"]
    seen = arrive(reader)
    seen.follow("/library")
    expect(seen.page.locator(".row a")).to_have_count(4)
    for name in ("Add files", "Delete", "Read again"):
        expect(seen.page.get_by_text(name)).to_have_count(0)
    expect(seen.page.get_by_role("checkbox")).to_have_count(0)
    visit = arrive(key)
    page = visit.page
    visit.follow("/library?sort=name")
    page.locator(".row a").first.wait_for()
    page.keyboard.press("j")
    page.keyboard.press("Space")
    page.get_by_role("checkbox", name="Choose note 2.md").click(modifiers=["Shift"])
    expect(page.locator(".chosen")).to_contain_text("Three chosen")
    page.get_by_role("button", name="Read again").click()
    until(page, lambda: [each["version"] for each in listed(product, key, sort="name")["data"]] == [2, 2, 2, 1])
    page.get_by_role("checkbox", name="Choose all 4").click()
    page.get_by_role("checkbox", name="Choose note 3.md").click()
    expect(page.locator(".chosen")).to_contain_text("Three chosen")
    page.get_by_role("checkbox", name="Choose note 2.md").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete 2").click()
    expect(page.locator(".row a")).to_have_count(2)
    expect(seen.page.locator(".row a")).to_have_count(2)
    page.get_by_role("searchbox").fill("NOTE 2")
    expect(page.locator(".row a")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"q=NOTE\+2"))
    for each in product.call(key, "GET", "/v1/keys")["data"]:
        if each["name"] == "reader":
            product.call(key, "DELETE", f"/v1/keys/{each['id']}")
    expect(seen.page.get_by_role("heading", name="Log in")).to_be_visible()


def test_documents_are_moved_to_another_collection(product: Product, arrive: Arrive, see: See) -> None:
    key = product.new_tenant("moved")
    ids = [product.add(key, f"note {n}.md", f"# Note {n}\n\nThe lamp {n} burns.".encode()) for n in range(3)]
    visit = arrive(key)
    page = visit.page
    visit.follow("/library?sort=name&collection=default")
    page.get_by_role("checkbox", name="Choose note 0.md").click()
    page.get_by_role("checkbox", name="Choose note 1.md").click()
    page.get_by_role("button", name="Move").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text("Move two documents")
    expect(dialog.get_by_role("button", name="Move")).to_be_disabled()
    dialog.get_by_role("combobox", name="Collection").fill("archive 2019")
    see(visit, "move")
    dialog.get_by_role("button", name="Move").click()
    expect(page.get_by_role("main")).to_contain_text("letters, digits, dots, dashes and underscores")
    see(visit, "move-refused")
    page.get_by_role("button", name="Move").click()
    dialog.get_by_role("combobox", name="Collection").fill("archive")
    dialog.get_by_role("button", name="Move").click()
    expect(page.locator(".done")).to_have_text("Two documents are in archive now.")
    expect(page.get_by_role("combobox", name="Collection")).to_have_value("default")
    see(visit, "moved")
    expect(page.locator(".row a")).to_have_text(["note 2.md"])
    assert [each["filename"] for each in listed(product, key, collection="archive", sort="name")["data"]] == [
        "note 0.md",
        "note 1.md",
    ]
    product.call(key, "POST", "/v1/documents/move", {"ids": [ids[0]], "collection": "default"})
    expect(page.locator(".row a")).to_have_text(["note 0.md", "note 2.md"])
    page.get_by_role("link", name="note 2.md").click()
    page.get_by_role("button", name="Move").click()
    dialog.get_by_role("combobox", name="Collection").fill("archive")
    dialog.get_by_role("button", name="Move").click()
    expect(page.get_by_role("definition").filter(has_text="archive")).to_be_visible()
    assert listed(product, key, collection="archive")["total"] == 2


def api_processes(product: Product) -> list[int]:
    """Of the product: the parent of the API, and the processes that it forked."""
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            try:
                words = (each / "cmdline").read_bytes().split(b"\0")
                parent = int((each / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            if b"api" in words and (parent == product.pid or parent in found):
                found.append(int(each.name))
    return found


def test_the_page_goes_on_when_the_api_was_killed(product: Product, arrive: Arrive, model: Model, see: See) -> None:
    key = product.new_tenant("killed")
    visit = arrive(key)
    page = visit.page
    visit.follow("/library")
    page.get_by_text("What you add is listed here").wait_for()
    killed = api_processes(product)
    assert killed
    for pid in reversed(killed):
        os.kill(pid, signal.SIGKILL)
    expect(page.get_by_role("alert").filter(has_text="No connection since")).to_be_visible()
    see(visit, "offline")
    page.locator("label", has_text="Add files").first.locator("input").set_input_files(
        FilePayload(name="late.md", mimeType="text/markdown", buffer=b"# Late\n\nThe lamp burns.")
    )
    expect(page.get_by_role("alert").filter(has_text="No connection since")).to_have_count(0, timeout=120_000)
    expect(page.locator(".row .how").filter(has_text="ready")).to_have_count(1, timeout=120_000)
    assert listed(product, key)["total"] == 1


# Processor time of the page's thread for each of some steps of scrolling, in milliseconds.
STEP = """step => new Promise((resolve) => {
    document.querySelector(".window").scrollTop += step;
    requestAnimationFrame(() => requestAnimationFrame(resolve));
})"""


def test_ten_thousand_documents_scroll(product: Product, arrive: Arrive, see: See, folder: Path) -> None:
    key = product.new_tenant("many")
    tenant_id = product.call(key, "GET", "/v1/session")["tenant_id"]
    aside(lambda: asyncio.run(fill(product.database_url, tenant_id)))
    visit = arrive(key)
    page = visit.page
    visit.follow("/library")
    expect(page.locator(".row a").first).to_have_text("report 10000.pdf")
    expect(page.get_by_role("table")).to_have_attribute("aria-rowcount", "10001")
    assert page.locator(".row").count() < 80, "only what is seen is drawn"
    meter = visit.context.new_cdp_session(page)
    meter.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        metrics = {each["name"]: each["value"] for each in meter.send("Performance.getMetrics")["metrics"]}
        return float(metrics["TaskDuration"])

    took = []
    for step in (200,) * 12 + (1000,) * 12 + (20_000,) * 12:
        before = spent()
        page.evaluate(STEP, step)
        took.append(1000 * (spent() - before))
    took.sort()
    memory = page.evaluate("performance.memory.usedJSHeapSize / 1e6")
    (folder / "scroll.txt").write_text(
        f"processor ms a step: median {took[len(took) // 2]:.1f}, most {took[-1]:.1f}; {memory:.0f} MB of script"
    )
    assert took[len(took) * 9 // 10] < 50
    assert memory < 100
    expect(page.locator(".row a").first).to_have_text(re.compile(r"^report \d+\.pdf$"))
    see(visit, "library-many")
