"""Swagger UI: a login, then a call with its token, by "Try it out" and "Execute"."""

import json

import httpx
from playwright.sync_api import Browser, Locator, Page, expect

from tests.servers import Server

from .watched_page import watched

ACCOUNT = {"username": "swagger", "password": "password123"}


def operation(page: Page, operation_id: str) -> Locator:
    """Opens an operation for editing."""
    block = page.locator(f"[id$='-{operation_id}']").first
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    return block


def executed(block: Locator) -> tuple[str, str]:
    """Sends the request; returns status and body of the answer."""
    block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table .response").first
    expect(answer).to_be_visible()
    status = answer.locator(".response-col_status").inner_text()
    return status.strip(), answer.locator("pre").first.inner_text()


def authorize(page: Page, token: str) -> None:
    page.get_by_role("button", name="Authorize").first.click()
    dialog = page.locator(".dialog-ux")
    dialog.get_by_role("textbox").first.fill(token)
    dialog.get_by_role("button", name="Apply credentials").first.click()
    dialog.get_by_role("button", name="Close").first.click()


def test_login_and_an_authorised_call_are_executed(browser: Browser, site: Server) -> None:
    httpx.post(f"{site.http}/api/register", json=ACCOUNT).raise_for_status()
    with watched(browser, site.http) as seen:
        page = seen.page
        page.goto("/api/docs")
        login = operation(page, "login")
        login.locator("textarea").fill(json.dumps(ACCOUNT))
        status, body = executed(login)
        assert status == "200"
        authorize(page, json.loads(body)["access"])
        status, body = executed(operation(page, "readProfile"))
        assert (status, json.loads(body)["username"]) == ("200", ACCOUNT["username"])
        seen.check()
