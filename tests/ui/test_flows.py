"""What people do on the web page, in a real browser against the running product. Any request to another host fails."""

import base64
import re
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from playwright.sync_api import Page, expect

from tests.ui.conftest import REPORT, Arrive, Product, See, Visit, until, violations
from tests.ui.model import Model

pytestmark = pytest.mark.stack

ASKED = "When was the northern channel open again, and what did the work cost?"
OPENED = "It was opened again on 2 June"
COST = "The work cost 6.3 million crowns"
ANSWER = f"The channel was opened again on 2 June {{{OPENED}}}. The work cost 6.3 million crowns {{{COST}}}."
NEAR = 0.008  # of the page's width or height: half the height of an x


@pytest.fixture(scope="module")
def harbour(product: Product) -> str:
    """The key of a tenant that has the report."""
    key = product.new_tenant("harbour")
    product.add(key, REPORT.name, REPORT.read_bytes())
    return key


@pytest.fixture
def asking(arrive: Arrive, harbour: str, model: Model) -> Visit:
    """A person who got an answer with two footnotes."""
    model.says["northern channel"] = ANSWER
    visit = arrive(harbour)
    visit.ask(ASKED)
    return visit


def lines_of(quote: str, page: int) -> list[list[float]]:
    """Where PDFium has the words on the page of the report: a box for each line, as shares of the page."""
    document = pypdfium2.PdfDocument(REPORT)
    shown = document[page - 1]
    width, height = shown.get_size()
    text = shown.get_textpage()
    letters = [(index, each) for index, each in enumerate(text.get_text_range()) if not each.isspace()]
    wanted = "".join(quote.split())
    start = "".join(each for _, each in letters).index(wanted)
    lines: list[list[float]] = []
    for index, _ in letters[start : start + len(wanted)]:
        left, bottom, right, top = text.get_charbox(index)
        box = [left / width, 1 - top / height, right / width, 1 - bottom / height]
        if lines and abs(box[3] - lines[-1][3]) < 0.015:
            pairs = zip(lines[-1], box, strict=True)
            lines[-1] = [(min, min, max, max)[place](*pair) for place, pair in enumerate(pairs)]
        else:
            lines.append(box)
    document.close()
    return lines


def lit(page: Page) -> list[list[float]]:
    """The boxes of the chosen footnote as they are seen, as shares of the picture."""
    page.locator(".hl.on i").first.wait_for()
    page.locator(".leaf img").evaluate("each => each.decode()")
    found: list[list[float]] = page.evaluate(
        """() => {
            const leaf = document.querySelector(".leaf img").getBoundingClientRect();
            const share = (r) => [(r.left - leaf.left) / leaf.width, (r.top - leaf.top) / leaf.height,
                (r.right - leaf.left) / leaf.width, (r.bottom - leaf.top) / leaf.height];
            return [...document.querySelectorAll(".hl.on i")].map((each) => share(each.getBoundingClientRect()));
        }"""
    )
    return found


def assert_over(seen: list[list[float]], words: list[list[float]]) -> None:
    assert len(seen) == len(words), "one box for each line"
    for box, line in zip(seen, words, strict=True):
        assert all(abs(one - other) < NEAR for one, other in zip(box, line, strict=True)), (box, line)


def test_first_run_from_a_dropped_file_to_the_lit_sentence(
    product: Product, arrive: Arrive, see: See, model: Model
) -> None:
    model.says["northern channel"] = ANSWER
    key = product.new_tenant("first")
    visit = arrive()
    page = visit.page
    address = product.run("open", "--print", FOOTNOTE_API_KEY=key).strip()
    page.goto(address)
    expect(page.get_by_role("heading", level=1)).to_have_text("Drop a file. Then ask.")
    assert page.url == f"{product.url}/", "the code has left the address"
    see(visit, "first-run")
    drop(page, REPORT)
    expect(page.locator(".queue")).to_contain_text(REPORT.name)
    expect(page.locator(".queue")).to_contain_text("ready, three pages")
    expect(page.get_by_role("heading", level=1)).to_have_text("What do you want to know?")
    see(visit, "first-ready")
    visit.ask(ASKED)
    see(visit, "answer")
    page.get_by_role("link", name="Footnote 1", exact=True).click()
    assert_over(lit(page), lines_of(OPENED, 2))
    expect(page.locator(".slip")).to_contain_text("compared with the stored page and found to the letter")
    see(visit, "lit")
    page.goto(address)
    expect(page.get_by_role("heading", level=1)).to_have_text("What do you want to know?")


def drop(page: Page, path: Path) -> None:
    """As the desktop drops a file on the window."""
    content = base64.b64encode(path.read_bytes()).decode()
    page.evaluate(
        """([content, name]) => {
            const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], name));
            const how = { dataTransfer: data, bubbles: true, cancelable: true };
            for (const kind of ["dragenter", "dragover", "drop"]) document.body.dispatchEvent(new DragEvent(kind, how));
        }""",
        [content, path.name],
    )


# From a key to a picture that is decoded, with the lines of the quote over it; milliseconds.
LIT = """async n => {
    const began = performance.now();
    dispatchEvent(new KeyboardEvent("keydown", {key: n}));
    const isLit = () => document.querySelector(`.hl.on[data-n="${n}"] i`) && document.querySelector(".leaf img");
    while (!isLit()) await new Promise(requestAnimationFrame);
    await isLit().decode();
    return performance.now() - began;
}"""


def test_a_footnote_is_one_key_away_and_quick(asking: Visit, folder: Path) -> None:
    page = asking.page
    first = page.evaluate(LIT, "1")
    again = min(page.evaluate(LIT, n) for n in ("2", "1", "2", "1", "2"))
    (folder / "lit.txt").write_text(f"footnote to lit page: {first:.0f} ms, again {again:.0f} ms at best of five")
    assert_over(lit(page), lines_of(COST, 2))
    assert again < 1000, "100 ms on a quiet machine"


def test_three_places_light_together(asking: Visit) -> None:
    page = asking.page
    page.locator(".ref").nth(0).click()
    for place in (".ref.on", ".foot li.on", ".hl.on", ".num.on"):
        expect(page.locator(place)).to_have_count(1)
    page.locator(".foot li").nth(1).hover()
    expect(page.locator(".hl.on")).to_have_attribute("data-n", "2")
    page.get_by_role("button", name="Footnote 2 stands here").dispatch_event("click")
    expect(page).to_have_url(re.compile("#fn2$"))


def test_every_thing_has_an_address(asking: Visit) -> None:
    page = asking.page
    page.locator(".ref").nth(1).click()
    lit(page)
    page.reload()
    assert_over(lit(page), lines_of(COST, 2))
    expect(page.locator("article footer.meta")).to_contain_text("Both footnotes stand on their pages to the letter.")
    quoted = page.evaluate("document.querySelector('.reader h2 a').getAttribute('href')")
    page.get_by_role("link", name="New question").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What do you want to know?")
    page.go_back()
    expect(page.locator(".q")).to_have_text(ASKED)
    asking.open(quoted)
    expect(page.locator(".leaf img")).to_be_visible()


def test_a_quotes_own_address_opens_its_page_alone(asking: Visit, harbour: str, see: See) -> None:
    [citation, *_] = asking.product.call(harbour, "POST", "/v1/query", {"question": ASKED})["citations"]
    asking.open(citation["reader_path"])
    assert_over(lit(asking.page), lines_of(OPENED, 2))
    see(asking, "page")
    asking.page.keyboard.press("t")
    expect(asking.page.locator("mark.on")).to_have_text(citation["quote"])
    see(asking, "page-text")
    asking.page.keyboard.press("]")
    expect(asking.page.locator(".where")).to_have_text("page 3 of 3")
    asking.open("/d/doc_unknown/p/1")
    expect(asking.page.locator(".refused")).to_have_text("This document has been deleted.")


def test_what_is_not_in_the_documents_is_said_with_what_was_searched(arrive: Arrive, harbour: str, see: See) -> None:
    visit = arrive(harbour)
    visit.ask("Who won the chess championship in Reykjavik?")
    said = visit.page.locator("article")
    expect(said).to_contain_text("Not in these documents.")
    expect(said).to_contain_text("One document was searched")
    expect(said).to_contain_text("These passages come closest:")
    expect(said.locator(".foot li")).not_to_have_count(0)
    see(visit, "not-found")
    said.locator(".foot .open").first.click()
    lit(visit.page)


def test_a_quote_that_is_not_on_the_page_is_doubted(arrive: Arrive, harbour: str, model: Model, see: See) -> None:
    model.says["callers"] = (
        "## Callers\n\n"
        "Nineteen of the regular callers did not come back {nineteen of the regular callers did not come back}. "
        "Most of them have since gone to Karlsvik {callers moved to Karlsvik}."
    )
    visit = arrive(harbour)
    visit.ask("How many regular callers did not come back after the channel was free?")
    page = visit.page
    expect(page.locator(".bare")).to_contain_text("Most of them have since gone to Karlsvik")
    assert "dotted" in page.locator(".bare").evaluate("each => getComputedStyle(each).textDecorationStyle")
    expect(page.locator(".foot li.doubt")).to_contain_text("These words are not on the page: callers moved to Karlsvik")
    expect(page.locator("article footer.meta")).to_contain_text("One of two footnotes stands")
    expect(page.locator("article footer.meta")).to_contain_text("One sentence has none.")
    tree = page.locator("article").aria_snapshot()
    assert 'link "Footnote 2, doubtful"' in tree
    assert "no verified footnote" in tree
    page.get_by_role("link", name="Footnote 2, doubtful").click()
    expect(page.locator(".slip")).to_contain_text("These words are not on page")
    page.get_by_role("button", name=re.compile("passages? of")).click()
    see(visit, "doubtful")


BIDI = "\u202egnp.exe\u202c"
HOSTILE = f"<img src=x onerror=alert(1)> {BIDI} notes.md"
TEXT = (
    "# The lamp <script>alert(2)</script>\n\n"
    "🪔🪔🪔 The zircon lamp burns whale oil <b onclick=alert(3)>every night</b>. "
    "\u202eIts keeper is Agnes Tolmie\u202c, who rows out at dusk."
)


def test_text_of_documents_is_only_ever_text(product: Product, arrive: Arrive, model: Model, see: See) -> None:
    key = product.new_tenant("hostile")
    document_id = product.add(key, HOSTILE, TEXT.encode())
    quote = "The zircon lamp burns whale oil <b onclick=alert(3)>every night</b>"
    model.says["lamp"] = f"<img src=x onerror=alert(4)> It burns **whale oil** {{{quote}}}. [x](javascript:alert(5))"
    visit = arrive(key)
    visit.ask("What does the zircon lamp burn? <img src=x onerror=alert(6)>")
    page = visit.page
    expect(page.locator(".q")).to_have_text("What does the zircon lamp burn? <img src=x onerror=alert(6)>")
    page.locator(".ref").first.click()
    expect(page.locator("mark.on")).to_have_text(quote)
    expect(page.locator(".reader h2")).to_have_text(
        product.call(key, "GET", f"/v1/documents/{document_id}")["filename"]
    )
    assert page.locator("#root img, #root script, #root b[onclick]").count() == 0
    see(visit, "hostile")


def press_until(page: Page, key: str, there: str) -> None:
    for _ in range(100):
        if page.evaluate(there):
            return
        page.keyboard.press(key)
    raise AssertionError(there)


def test_by_keyboard_alone_from_the_entrance_to_the_lit_page(arrive: Arrive, harbour: str, model: Model) -> None:
    model.says["northern channel"] = ANSWER
    visit = arrive()
    page, press = visit.page, visit.page.keyboard.press
    visit.open("/")
    page.get_by_label("API key").wait_for()
    press_until(page, "Tab", "document.activeElement.name === 'key'")
    page.keyboard.type(harbour)
    press("Enter")
    page.get_by_role("textbox", name="Question").wait_for()
    press("Tab")
    expect(page.get_by_role("link", name="Skip to the question")).to_be_focused()
    press("Enter")
    page.keyboard.type(ASKED)
    press("Enter")
    page.locator("article[data-phase=done]").wait_for()
    expect(page.get_by_role("textbox", name="Question")).to_be_focused()
    press_until(page, "Shift+Tab", "document.activeElement.classList.contains('ref')")
    press("Enter")
    assert lit(page)
    key, other = ("n", "#fn2") if page.url.endswith("#fn1") else ("p", "#fn1")
    press(key)
    page.wait_for_function(f"location.hash === '{other}'")  # the first is lit until then
    assert lit(page)
    press("]")
    expect(page.locator(".where")).to_have_text("page 3 of 3")
    press("t")
    page.locator(".pagetext").wait_for()
    press("t")
    press("Escape")
    expect(page.locator(".reader")).to_have_count(0)
    page.wait_for_function("document.activeElement.className.split(' ')[0] === 'ref'")  # back where one came from
    press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_label("Single letters act").uncheck()
    press("Escape")
    press("1")
    expect(page.locator(".reader")).to_have_count(0)


def test_with_a_thumb_at_360_pixels(arrive: Arrive, harbour: str, model: Model) -> None:
    model.says["northern channel"] = ANSWER
    visit = arrive(harbour, width=360, height=740, touch=True)
    page = visit.page
    visit.ask(ASKED)
    page.locator(".ref").first.tap()
    assert_over(lit(page), lines_of(OPENED, 2))
    sheet = page.locator(".reader").bounding_box()
    assert sheet is not None
    assert sheet["width"] == 360
    mark = page.locator(".hl.on i").first.bounding_box()
    assert mark is not None
    assert sheet["y"] < mark["y"] < 740 - 60, "the lines are in sight"
    page.get_by_role("button", name="Close").tap()
    page.get_by_role("button", name="Questions").tap()
    expect(page.get_by_role("link", name=re.compile("When was the northern"))).not_to_have_count(0)


def test_stop_keeps_what_came_and_stops_the_model(
    product: Product, arrive: Arrive, harbour: str, model: Model, see: See
) -> None:
    # Until a process knows that a model gives sources, it shows nothing of its answers before they are whole.
    model.says["northern channel"] = ANSWER
    product.call(harbour, "POST", "/v1/query", {"question": ASKED})
    model.says["slowly"] = "word " * 400
    model.pause = 0.1
    model.left.clear()
    visit = arrive(harbour)
    page = visit.page
    page.get_by_role("textbox", name="Question").fill("How much sand did two dredgers take out, slowly?")
    page.keyboard.press("Enter")
    expect(page.locator("article[data-phase=writing] .a")).to_contain_text("word")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("article")).to_contain_text("Stopped here.")
    expect(page.locator("article .a")).to_contain_text("word")
    assert model.left.wait(30), "the model's connection closes"
    expect(page).to_have_url(re.compile("/c/cnv_[^/]+/msg_"))
    stored = f"/v1/conversations/{product.call(harbour, 'GET', '/v1/conversations?limit=1')['data'][0]['id']}"
    until(page, lambda: "word" in str(product.call(harbour, "GET", stored)))
    page.reload()
    expect(page.locator("article[data-phase=stopped]")).to_contain_text("Stopped here.")
    expect(page.locator("article .a")).to_contain_text("word")
    see(visit, "stopped")


def test_a_revoked_key_ends_the_session_and_what_was_typed_stays(
    product: Product, arrive: Arrive, harbour: str
) -> None:
    made = product.call(harbour, "POST", "/v1/keys", {"name": "short", "scopes": ["read"]})
    visit = arrive(made["secret"])
    page = visit.page
    page.get_by_role("textbox", name="Question").fill("What was I about to ask?")
    assert page.get_by_text("Add files").count() == 0, "a key that may not write sees no way to"
    product.call(harbour, "DELETE", f"/v1/keys/{made['id']}")
    page.keyboard.press("Enter")
    expect(page.locator(".entrance")).to_contain_text("Your session is over")
    assert violations(page) == [], "what lies below is inert"
    page.get_by_label("API key").fill(harbour)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".entrance")).to_have_count(0)
    expect(page.locator(".q")).to_have_text("What was I about to ask?")


def test_a_footnote_of_a_replaced_version_says_so(product: Product, arrive: Arrive, model: Model, see: See) -> None:
    key = product.new_tenant("replaced")
    product.add(key, "lamp.md", b"The zircon lamp burns whale oil.", external_id="lamp")
    model.says["lamp"] = "It burns whale oil {The zircon lamp burns whale oil}."
    visit = arrive(key)
    visit.ask("What does the zircon lamp burn?")
    product.add(key, "lamp.md", b"The zircon lamp burns gas now.", external_id="lamp")
    visit.page.reload()
    visit.page.locator(".ref").click()
    expect(visit.page.locator(".refused")).to_contain_text("This footnote stands in version 1, which was replaced.")
    see(visit, "replaced")
    visit.page.get_by_role("link", name="Open version 2").click()
    expect(visit.page.locator(".pagetext")).to_contain_text("burns gas now")


def test_files_that_cannot_be_read_say_why(product: Product, arrive: Arrive, see: See, tmp_path: Path) -> None:
    key = product.new_tenant("refused")
    visit = arrive(key)
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7 and then nothing that is a PDF")
    unknown = tmp_path / "empty.txt"
    unknown.write_bytes(b"")
    chooser: Any = visit.page.locator("input[type=file]").first
    chooser.set_input_files([broken, unknown])
    sheet = visit.page.get_by_role("dialog")
    expect(sheet).to_contain_text("is empty")
    sheet.get_by_role("button", name="Add 1").click()
    queue = visit.page.locator(".queue")
    expect(queue).to_contain_text("The file is damaged and could not be read.")
    expect(visit.page.locator(".state")).to_contain_text("one needs a look")
    see(visit, "refused-files")


def test_the_same_bytes_under_two_names_are_one_document_and_both_rows_say_so(
    product: Product, arrive: Arrive, see: See, tmp_path: Path
) -> None:
    visit = arrive(product.new_tenant("twice"))
    names = ("harbour.txt", "harbour copy.txt")
    for name in names:
        (tmp_path / name).write_text(
            "The harbour was dredged in the spring, and the quay was built in the autumn.\n" * 40
        )
    visit.page.locator("input[type=file]").first.set_input_files([tmp_path / name for name in names])
    rows = visit.page.locator(".queue li")
    expect(rows.filter(has_text="ready, one page")).to_have_count(1)
    expect(rows.filter(has_text="was here already as harbour")).to_have_count(1)
    for name in names:
        expect(rows.filter(has_text=re.compile(rf"^{re.escape(name)}×"))).to_have_count(1)
    see(visit, "same-twice")


def test_the_entrance(product: Product, arrive: Arrive, see: See) -> None:
    visit = arrive()
    visit.open("/c/cnv_unknown")
    visit.page.get_by_label("API key").wait_for()
    see(visit, "entrance")
    visit.page.get_by_label("API key").fill("fn_wrong_key")
    visit.page.keyboard.press("Enter")
    expect(visit.page.get_by_role("alert")).to_contain_text("This key is unknown, expired or revoked.")
    visit.open("/enter#a-code-that-was-used")
    expect(visit.page.get_by_role("alert")).to_contain_text("This address was used already")


def test_two_installations_on_one_host_do_not_log_each_other_out(arrive: Arrive, harbour: str, model: Model) -> None:
    visit = arrive(harbour)
    [cookie] = visit.context.cookies()
    assert cookie["name"].startswith("__Host-footnote-")
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Strict")
    elsewhere = visit.context.new_page()
    elsewhere.goto(f"http://127.0.0.1:{model.port}/")  # which gives a cookie of another installation
    assert len({each["name"] for each in visit.context.cookies()}) == 2
    visit.page.reload()
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("What do you want to know?")


def test_another_origin_can_neither_read_nor_write_with_the_cookie(arrive: Arrive, harbour: str, model: Model) -> None:
    visit = arrive(harbour)
    elsewhere = visit.context.new_page()
    elsewhere.goto(f"http://localhost:{model.port}/")
    asked = """async url => {
        const how = [{}, {credentials: "include"}, {credentials: "include", mode: "no-cors"},
            {credentials: "include", method: "POST", body: "{}", mode: "no-cors"}];
        const told = how.map((each) => fetch(url, each).then((answer) => answer.type, () => "refused"));
        return Promise.all(told);
    }"""
    answers = elsewhere.evaluate(asked, f"{visit.product.url}/v1/documents")
    assert set(answers) <= {"refused", "opaque"}
    assert visit.product.call(harbour, "GET", "/v1/documents")["data"], "and nothing was deleted"
