"""The queue and what is wrong in it, conversations, and documents without pictures, in a real browser."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests import SAMPLES
from tests.ui.conftest import Arrive, Product, See
from tests.ui.model import Model

pytestmark = pytest.mark.stack


def test_a_provider_that_refuses_its_key_is_named_and_mended(
    product: Product, arrive: Arrive, model: Model, see: See
) -> None:
    key = product.new_tenant("refusing")
    chosen = {"name": "away", "embedding": {"provider": "openai", "model": "vectors"}}
    product.call(key, "POST", "/v1/collections", chosen)
    model.refuses = True
    for number in range(3):
        product.send(key, f"log {number}.md", f"# Log {number}\n\nThe lamp burns.".encode(), collection="away")
    product.send(key, "broken.pdf", b"%PDF-1.7 and then nothing that is a PDF")
    visit = arrive(key)
    page = visit.page
    page.get_by_role("link", name="Queue").click()
    failures = page.get_by_role("region", name="Why things failed")
    expect(failures.get_by_role("listitem")).to_have_count(2)
    expect(failures).to_contain_text("provider_rejected, at indexing")
    see(visit, "queue-failed")
    failures.get_by_role("link", name=re.compile("damaged")).click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"/queue\?step=chunk&error="))
    page.reload()
    expect(page.locator("tbody tr")).to_contain_text("broken.pdf")
    page.go_back()
    expect(page.locator("tbody tr")).to_have_count(4)
    model.refuses = False
    failures.get_by_role("button", name="Retry all three").click()
    expect(failures.get_by_role("listitem")).to_have_count(1)
    expect(page.get_by_role("status").filter(has_text="Three files are read again")).to_have_count(1)
    expect(page.get_by_role("main")).to_contain_text("Nothing is being read, and nothing waits.")


def test_a_pause_is_seen_on_every_screen(product: Product, arrive: Arrive, see: See) -> None:
    key = product.new_tenant("paused")
    product.run("pause")
    try:
        for number in range(2):
            product.send(key, f"log {number}.md", b"The lamp burns.")
        visit = arrive(key)
        page = visit.page
        expect(page.locator(".band")).to_contain_text("Paused since")
        page.keyboard.press("g")
        page.keyboard.press("q")
        expect(page.get_by_role("region", name="Why things wait")).to_contain_text(
            re.compile(r"2\s*the end of the pause")
        )
        expect(page.get_by_role("main")).to_contain_text("one worker, two files at once")
        see(visit, "queue-paused")
        page.get_by_role("button", name="Cancel log 1.md").click()
        expect(page.locator("tbody tr")).to_have_count(1)
    finally:
        product.run("resume")
    expect(page.get_by_text("All that was added has been read.")).to_be_visible()
    expect(page.locator(".band")).to_have_count(0)
    see(visit, "queue-quiet")


def test_conversations_are_found_renamed_and_read_from_their_end(product: Product, arrive: Arrive, see: See) -> None:
    key = product.new_tenant("talking")
    product.add(key, "lamp.md", b"The zircon lamp burns whale oil.")
    made = [product.call(key, "POST", "/v1/conversations", {})["id"] for _ in range(8)]
    for number, each in enumerate(made):
        asked = {"question": f"What burns in lamp {number}?", "mode": "keyword"}
        product.call(key, "POST", f"/v1/conversations/{each}/messages", asked)
    for number in range(22):
        asked = {"question": f"And what of wick {number}?", "mode": "keyword"}
        product.call(key, "POST", f"/v1/conversations/{made[3]}/messages", asked)
    visit = arrive(key)
    page = visit.page
    find = page.get_by_role("searchbox", name="Find a conversation")
    find.fill("lamp 3")
    expect(page.locator(".toc li")).to_have_count(1)
    page.get_by_role("link", name=re.compile("lamp 3")).click()
    expect(page.locator("article")).to_have_count(20)
    expect(page.locator("article").last).to_contain_text("And what of wick 21?")
    page.get_by_role("button", name="Earlier questions").click()
    expect(page.locator("article")).to_have_count(23)
    expect(page.get_by_role("button", name="Earlier questions")).to_have_count(0)
    page.get_by_role("button", name="Rename").click()
    page.get_by_role("textbox", name="Title of this conversation").fill("Wicks, one by one")
    page.keyboard.press("Enter")
    expect(page.get_by_text("None has these words in its title.")).to_be_visible()
    find.fill("wicks")
    expect(page.locator(".toc li")).to_contain_text("Wicks, one by one")
    see(visit, "conversations")


WORD = {"boats.docx": "Two oars and a spare", "weather.md": "Add 4.6 hectopascals to every"}


@pytest.fixture(scope="module")
def library(product: Product) -> tuple[str, dict[str, str]]:
    """A key, and the ids of documents without pictures by their names."""
    key = product.new_tenant("library")
    names = ("boats.docx", "weather.md", "visitors.html", "complaint.eml", "tides.csv", "stores.xlsx")
    return key, {name: product.add(key, name, (Path(SAMPLES) / name).read_bytes()) for name in names}


def test_formats_without_pictures_are_shown_as_they_are_built(
    arrive: Arrive, library: tuple[str, dict[str, str]], see: See
) -> None:
    key, ids = library
    visit = arrive(key)
    page = visit.page

    def show(name: str) -> None:
        visit.follow(f"/d/{ids[name]}/p/1")
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        page.locator(".pagetext").wait_for()

    for name in ids:
        show(name)
        see(visit, f"text-{Path(name).suffix[1:]}")
    show("boats.docx")
    expect(page.get_by_role("heading", level=2)).to_have_text("Boat orders")
    expect(page.get_by_role("heading", level=3)).to_have_text(["Signing out", "The boats"])
    expect(page.get_by_role("listitem")).to_have_count(3)
    expect(page.get_by_role("columnheader")).to_have_text(["boat", "length", "crew"])
    show("weather.md")
    expect(page.locator(".pagetext :is(h2, h3, h4)")).to_have_text(
        ["Weather notes", "Barometer", "Storm warning", "Wind"]
    )
    expect(page.locator(".pagetext strong")).to_have_text("three-hour intervals")
    show("stores.xlsx")
    head = page.get_by_role("columnheader", name="item")
    assert head.evaluate("each => getComputedStyle(each).position") == "sticky"
    expect(page.locator("tbody tr").first.get_by_role("cell")).to_have_text(
        ["tin", "third floor", "50.0%", "2026-01-05", "41.50 crowns"]
    )


@pytest.mark.parametrize("name", WORD)
def test_a_quote_is_marked_in_what_it_is_part_of_and_its_note_says_the_headings(
    product: Product, arrive: Arrive, library: tuple[str, dict[str, str]], model: Model, see: See, name: str
) -> None:
    key, _ = library
    quote = WORD[name]
    model.says["oars" if name == "boats.docx" else "hectopascals"] = f"It says so {{{quote}}}."
    visit = arrive(key)
    visit.ask(
        "How many oars are in a boat?"
        if name == "boats.docx"
        else "How many hectopascals are added to every reading of the Kew pattern barometer?"
    )
    page = visit.page
    heading = "Boat orders > Signing out" if name == "boats.docx" else "Weather notes > Barometer"
    expect(page.locator(".foot li")).to_contain_text(heading.replace(" > ", " › "))
    page.locator(".ref").click()
    expect(page.locator("mark.on").first).to_be_visible()
    assert " ".join(page.locator("mark.on").all_inner_texts()).split() == quote.split()
    expect(page.locator(".num.on")).to_have_text("☞1")
    see(visit, f"marked-{Path(name).suffix[1:]}")
    told = (
        product.run("ask", "How many oars?", FOOTNOTE_API_KEY=key, FOOTNOTE_URL=product.url)
        if name == "boats.docx"
        else heading
    )
    assert heading in told


def test_a_model_is_swapped_and_back(product: Product, arrive: Arrive, see: See) -> None:
    key = product.new_tenant("swapping")
    product.add(key, "log.md", b"# Log\n\nThe lamp burns.")
    visit = arrive(key)
    page = visit.page
    page.get_by_role("link", name="Queue").click()
    product.call(key, "PUT", "/v1/collections/default/model", {"provider": "openai", "model": "vectors"})
    swaps = page.get_by_role("region", name="Models being swapped")
    expect(swaps).to_contain_text("You can switch.")
    see(visit, "queue-swap")
    swaps.get_by_role("button", name="Switch the model of default").click()
    expect(swaps).to_contain_text("questions use the other model")
    swaps.get_by_role("button", name="Go back to the former model of default").click()
    expect(swaps).to_contain_text("questions use the former model again")
