"""The playground in use: accessible, by keyboard alone, on a phone of 320 px."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.servers import Server

from .accessibility import check_accessibility, check_keyboard, check_width
from .two_users import Playground
from .watched_page import watched

SCREENSHOTS = Path(__file__).resolve().parent / "screenshots"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 320])
def test_playground_in_use_is_accessible_and_fits(
    browser: Browser, site: Server, axe: str, scheme: str, width: int
) -> None:
    with watched(browser, site.http, scheme=scheme, width=width) as seen:
        playground = Playground(seen.page)
        playground.by_own_button()
        playground.say("left", "Hello from the left")
        playground.say("right", "A long word: " + "x" * 200)
        for name in ("disconnect", "meanwhile", "reconnect", "disconnect", "meanwhile"):
            playground.experiment(name)
        playground.write_frame("right", '{"type":"message","mesage":"x","client_id":""}')
        playground.panel("right").locator(".log-entry summary").first.click()
        SCREENSHOTS.mkdir(exist_ok=True)
        file = SCREENSHOTS / f"playground-in-use-{scheme}-{width}.png"
        seen.page.screenshot(path=file, full_page=True)
        check_width(seen.page)
        check_accessibility(seen.page, axe)
        seen.check()


def tab_to(page: Page, selector: str) -> None:
    """Presses Tab until the focus is on a control."""
    for _ in range(100):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab does not lead to {selector}")


def test_everything_works_by_keyboard_alone(browser: Browser, site: Server) -> None:
    with watched(browser, site.http) as seen:
        page = seen.page
        page.goto("/api/sockets")
        page.get_by_role("button", name="Create two users").wait_for()
        tab_to(page, "#playground .button-primary")
        page.keyboard.press("Enter")
        playground = Playground(page)
        playground.both_connected()
        tab_to(page, "#left-line")
        page.keyboard.type("By keyboard")
        page.keyboard.press("Enter")
        playground.expect_in_log("right", "“By keyboard”")
        for name in ("disconnect", "meanwhile", "reconnect"):
            tab_to(page, f"[data-experiment={name}]")
            page.keyboard.press("Space")
            expect(page.locator(f"[data-result={name}] .notice-ok")).to_be_visible()
        playground.expect_ladder("ok", "No gap up to version 2")
        tab_to(page, ".panel-left .raw > summary")
        page.keyboard.press("Enter")
        tab_to(page, ".panel-left textarea")
        page.keyboard.type('{"type":"ping","ref":"keys"}')
        page.keyboard.press("Control+Enter")
        expect(playground.panel("left").locator(".log-sent").first).to_contain_text("pong in")
        page.reload()  # the focus is at the top again
        playground.both_connected()
        check_keyboard(page)
        seen.check()
