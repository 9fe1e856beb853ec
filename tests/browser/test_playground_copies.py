"""Frames and logs are copied as programs that run, and no token is ever in them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.servers import Server

from .two_users import Playground
from .watched_page import watched

TEXT = "It's “quoted”, $HOME `x` \\ and 100 %"
FORMATS = ("curl", "Python", "TypeScript", ".http")


@pytest.fixture
def playground(browser: Browser, site: Server) -> Iterator[Playground]:
    permissions = ["clipboard-read", "clipboard-write"]
    with watched(browser, site.http, permissions=permissions) as seen:
        opened = Playground(seen.page)
        opened.from_start_page()
        opened.say("left", TEXT)
        opened.expect_ladder("ok", "No gap up to version 1")
        yield opened
        seen.check()


def copied(playground: Playground, menu: Locator, form: str) -> str:
    """Copies in a format; returns what is in the clipboard."""
    playground.page.evaluate("navigator.clipboard.writeText('')")
    menu.locator("select").select_option(label=form)
    menu.locator("button").click()
    expect(menu.get_by_role("status")).to_have_text("Copied")
    text: str = playground.page.evaluate("navigator.clipboard.readText()")
    return text


def sent_frame(playground: Playground) -> Locator:
    """Opens the sent message in the log; returns its copy menu."""
    entry = playground.panel("left").locator(".log-sent").last
    entry.locator("summary").click()
    return entry.locator(".copy")


def token(playground: Playground, index: int = 0) -> str:
    stored = playground.page.evaluate("sessionStorage.getItem('chat-playground')")
    access: str = json.loads(stored)["users"][index]["access"]
    return access


def run(program: list[str], playground: Playground) -> str:
    environment = os.environ | {"TOKEN": token(playground)}
    done = subprocess.run(
        program, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_frame_as_curl_is_the_same_message_by_rest(playground: Playground) -> None:
    if not shutil.which("curl"):
        pytest.skip("curl is not on PATH")
    script = copied(playground, sent_frame(playground), "curl")
    answer = json.loads(run(["sh", "-c", script], playground))
    # The same client_id: the message that the socket stored, not a second one.
    assert (answer["content"], answer["seq"]) == (TEXT, 1)


def test_frame_as_python_is_acknowledged_as_the_same_message(playground: Playground) -> None:
    script = copied(playground, sent_frame(playground), "Python")
    frames = [
        json.loads(line)
        for line in run([sys.executable, "-c", script], playground).split("\n")
        if line
    ]
    assert frames[0]["type"] == "ready"
    (ack,) = (frame for frame in frames if frame["type"] == "ack")
    assert (ack["seq"], ack["duplicate"]) == (1, True)


def test_received_frame_as_python_is_received_again(playground: Playground) -> None:
    entry = playground.panel("right").locator(".log-received").filter(has_text="“It's")
    entry.locator("summary").click()
    script = copied(playground, entry.locator(".copy"), "Python")
    assert "?since=0" in script
    assert TEXT in [
        json.loads(line).get("message")
        for line in run([sys.executable, "-c", script], playground).split("\n")
        if line
    ]


@pytest.mark.parametrize("form", FORMATS)
def test_log_is_copied_without_tokens(playground: Playground, form: str) -> None:
    playground.send_frame("left", '{"type":"ping","token":"<token>","ref":"renewed"}')
    playground.expect_in_log("left", "pong")
    text = copied(playground, playground.panel("left").locator(".log-head .copy"), form)
    assert "eyJ" not in text
    assert "TOKEN" in text
    assert "renewed" in text
    assert "eyJ" not in playground.page.locator("body").inner_text()


def test_log_is_saved_as_json_lines(playground: Playground) -> None:
    menu = playground.panel("left").locator(".log-head .copy")
    menu.locator("select").select_option(label="JSONL")
    with playground.page.expect_download() as download:
        menu.get_by_role("button", name="Save log").click()
    assert download.value.suggested_filename == f"frames-{playground.name('left')}.jsonl"
    lines = [json.loads(line) for line in download.value.path().read_text().splitlines()]
    assert {"opened", "received", "sent"} == {line["direction"] for line in lines}
    (sent,) = (line for line in lines if line["direction"] == "sent")
    assert sent["frame"]["message"] == TEXT
    assert sent["answered_ms"] > 0


def test_log_is_bounded_and_says_so(playground: Playground, site: Server) -> None:
    headers = {"Authorization": f"Bearer {token(playground, 1)}"}
    stored = json.loads(playground.page.evaluate("sessionStorage.getItem('chat-playground')"))
    path = f"/api/rooms/{stored['users'][0]['room']['id']}/messages"
    with httpx.Client(base_url=site.http, headers=headers) as http:
        for number in range(520):
            http.post(path, json={"content": f"number {number}"}).raise_for_status()
    playground.expect_in_log("left", "“number 519”")
    panel = playground.panel("left")
    expect(panel).to_contain_text("older entries were dropped. The log keeps 500 entries.")
    assert panel.locator(".log-entry").count() == 500
