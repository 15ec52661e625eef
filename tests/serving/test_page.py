"""The page in a headless Chromium: ask, edit, erase; and what a page must not let facts do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from served import Served, serving

CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
HOSTILE = "<img src=x onerror=\"document.title='broken'\">"
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty tab whose errors fail the test."""
    context = browser.new_context()
    tab = context.new_page()
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    yield tab
    context.close()
    assert not errors


def ask(page: Page, question: str) -> None:
    """Ask, and wait for the answer."""
    page.get_by_label("Question").fill(question)
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#note")).to_have_text("", timeout=30_000)


def shown(page: Page, value: str) -> Locator:
    """The fact with this value among those that are shown."""
    return page.locator("#facts li").filter(has=page.get_by_text(value, exact=True))


def objects(page: Page) -> list[str]:
    """Values of the facts that are shown."""
    return page.locator("#facts .object").all_inner_texts()


def test_ask_edit_and_erase(page: Page, served: Served) -> None:
    page.goto(served.url)
    expect(page.locator("#state")).to_have_text("3 facts")
    ask(page, "What is the port of Aurora?")
    memory, question = served.memory, "What is the port of Aurora?"
    expect(page.locator("#answer")).to_have_text(memory.ask(question).text or "(nothing)")
    expect(page.locator("#bare-answer")).to_have_text(memory.ask(question, use_memory=False).text or "(nothing)")
    assert set(objects(page)) == {"8443", "Ada Lovelace"}
    shown(page, "8443").get_by_role("button", name="Edit").click()
    page.get_by_label("New value").fill("9000")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#note")).to_have_text("saved", timeout=30_000)
    assert set(objects(page)) >= {"9000"} and "8443" not in objects(page)
    expect(page.locator("#answer")).to_have_text(memory.ask(question).text or "(nothing)")
    assert memory.store.catalogue.find(subject="Aurora gateway").absent == []  # what else was known of it stays
    shown(page, "9000").get_by_role("button", name="Erase").click()
    expect(page.locator("#note")).to_have_text("erased", timeout=30_000)
    assert "9000" not in objects(page)
    expect(page.locator("#state")).to_have_text("2 facts")
    expect(page.locator("#answer")).to_have_text(memory.ask(question).text or "(nothing)")
    page.get_by_text("Asked in this visit").click()
    expect(page.locator("#history li")).to_have_count(1)


def test_facts_stay_text(page: Page, served: Served) -> None:
    page.goto(served.url)
    page.get_by_text("Add a fact").click()
    for label, text in (("Subject", "Vega"), ("Relation", HOSTILE), ("Value", HOSTILE)):
        page.get_by_label(label, exact=True).fill(text)
    page.get_by_role("button", name="Write").click()
    expect(page.locator("#note")).to_have_text("written", timeout=30_000)
    ask(page, "Tell me of Vega.")
    assert objects(page) == [HOSTILE]
    assert page.locator("img").count() == 0
    assert page.title() == "widedeep_kb"
    inline = "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))"
    page.evaluate(inline)
    assert page.evaluate("window.ran") is None


def test_a_token_is_asked_for(page: Page, folder: Path) -> None:
    with serving({"one": folder}, tokens={"secret-reader": "read"}) as served:
        page.goto(served.url)
        expect(page.get_by_label("Bearer token")).to_be_visible()
        page.get_by_label("Bearer token").fill("secret-reader")
        page.get_by_label("Bearer token").press("Tab")
        expect(page.locator("#state")).to_have_text("3 facts")
        ask(page, "What is the port of Aurora?")
        shown(page, "8443").get_by_role("button", name="Erase").click()
        expect(page.locator("#note")).to_have_text("this token may read, not write", timeout=30_000)
        assert "8443" in objects(page)


def test_the_page_works_at_phone_width_and_by_keyboard(browser: Browser, shared: Served) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 700})
    page = context.new_page()
    page.goto(shared.url)
    page.keyboard.type("What is the port of Aurora?")  # the question has the focus
    page.keyboard.press("Enter")
    expect(shown(page, "8443")).to_be_visible(timeout=30_000)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 360
    context.close()
