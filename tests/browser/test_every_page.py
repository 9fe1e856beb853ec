"""Every page, light and dark, wide and on a phone of 320 px."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.servers import Server

from .accessibility import check_accessibility, check_keyboard, check_width
from .watched_page import WatchedPage, watched

SCREENSHOTS = Path(__file__).resolve().parent / "screenshots"

PAGES = {
    "start": ("site", "/", "#state.state-ok"),
    "start-in-production": ("production", "/", "#state.state-ok"),
    "playground": ("site", "/api/sockets", "#playground button"),
    "playground-with-two-users": ("site", "/", ".panel-right[data-state='open']"),
    "not-found": ("site", "/nothing", "h1"),
    "not-found-in-production": ("production", "/nothing", "h1"),
    "server-error": ("production", "/broken", "h1"),
    "method-not-allowed": ("site", "/demo", "h1"),
}
OTHERS = {
    "swagger": ("site", "/api/docs", ".opblock"),
    "admin": ("production", "/admin/login/", "#login-form"),
}
LOOKS = [("light", 1280), ("dark", 1280), ("light", 320), ("dark", 320)]


def show(seen: WatchedPage, name: str, path: str, shows: str) -> None:
    """Opens a page and waits until it shows what it is for."""
    seen.page.goto(path)
    if name == "playground-with-two-users":
        seen.page.get_by_role("button", name="Open a chat with two users").click()
        seen.page.wait_for_url("**/api/sockets")
    seen.page.locator(shows).first.wait_for()
    seen.page.wait_for_load_state("networkidle")


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_page_is_clean_accessible_and_fits(
    request: pytest.FixtureRequest, browser: Browser, axe: str, name: str, scheme: str, width: int
) -> None:
    kind, path, shows = PAGES[name]
    server: Server = request.getfixturevalue(kind)
    with watched(browser, server.http, scheme=scheme, width=width) as seen:
        show(seen, name, path, shows)
        SCREENSHOTS.mkdir(exist_ok=True)
        seen.page.screenshot(path=SCREENSHOTS / f"{name}-{scheme}-{width}.png", full_page=True)
        seen.check()
        check_width(seen.page)
        check_accessibility(seen.page, axe)


@pytest.mark.parametrize("name", PAGES)
def test_keyboard_reaches_every_control(
    request: pytest.FixtureRequest, browser: Browser, name: str
) -> None:
    kind, path, shows = PAGES[name]
    server: Server = request.getfixturevalue(kind)
    with watched(browser, server.http) as seen:
        show(seen, name, path, shows)
        check_keyboard(seen.page)


@pytest.mark.parametrize("name", OTHERS)
def test_swagger_ui_and_admin_are_clean(
    request: pytest.FixtureRequest, browser: Browser, name: str
) -> None:
    kind, path, shows = OTHERS[name]
    server: Server = request.getfixturevalue(kind)
    with watched(browser, server.http) as seen:
        show(seen, name, path, shows)
        seen.check()
