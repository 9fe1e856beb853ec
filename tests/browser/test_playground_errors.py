"""What goes wrong outside of the page is visible, and the page recovers when it can."""

import json
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Route, WebSocketRoute, expect

from tests.servers import Server, serving

from .two_users import Playground
from .watched_page import WatchedPage, watched


@pytest.fixture
def seen(browser: Browser, site: Server) -> Iterator[WatchedPage]:
    with watched(browser, site.http) as page:
        yield page


def test_server_that_restarts_is_waited_for(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (
        serving("daphne", tmp_path_factory.mktemp("restarts")) as server,
        watched(browser, server.http) as seen,
    ):
        playground = Playground(seen.page)
        playground.by_own_button()
        playground.say("left", "Before")
        playground.expect_ladder("ok", "No gap up to version 1")
        server.kill()
        expect(playground.panel("left").locator(".notice")).to_contain_text("Trying again in")
        server.start()
        expect(playground.page.locator(".panel-left[data-state=open]")).to_be_visible(
            timeout=60_000
        )
        expect(playground.page.locator(".panel-right[data-state=open]")).to_be_visible(
            timeout=60_000
        )
        playground.say("right", "After")
        playground.expect_ladder("ok", "No gap up to version 2")


def test_expiring_token_is_renewed_on_the_open_socket(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("expires")
    with (
        serving("daphne", folder, CHAT_ACCESS_TOKEN_MINUTES="1") as server,
        watched(browser, server.http) as seen,
    ):
        playground = Playground(seen.page)
        playground.by_own_button()
        note = playground.log("left").filter(has_text="a new one goes into a ping")
        expect(note.first).to_be_visible(timeout=40_000)
        expect(playground.log("left").filter(has_text="pong in").first).to_be_visible()
        playground.both_connected()
        seen.check()


def test_session_that_ended_meanwhile_asks_to_sign_in(seen: WatchedPage, site: Server) -> None:
    playground = Playground(seen.page)
    playground.by_own_button()
    playground.panel("left").get_by_role("button", name="Disconnect").click()
    users = json.loads(seen.page.evaluate("sessionStorage.getItem('chat-playground')"))["users"]
    httpx.post(f"{site.http}/api/logout", json={"refresh": users[0]["refresh"]}).raise_for_status()
    playground.panel("left").get_by_role("button", name="Reconnect").click()
    playground.expect_state("left", "session ended")
    playground.panel("left").get_by_role("button", name="Sign in again").click()
    playground.both_connected()


def test_missing_network_is_reported(seen: WatchedPage) -> None:
    playground = Playground(seen.page)
    playground.by_own_button()
    seen.page.context.set_offline(True)
    alert = seen.page.get_by_role("alert")
    expect(alert).to_contain_text("This machine is offline.")
    seen.page.context.set_offline(False)
    expect(alert).to_have_count(0)


def test_document_that_does_not_load_is_named(seen: WatchedPage) -> None:
    seen.page.route("**/api/asyncapi.json", lambda route: route.fulfill(status=503, body="{}"))
    seen.page.goto("/api/sockets")
    expect(seen.page.get_by_role("alert")).to_contain_text(
        "/api/asyncapi.json did not load: HTTP 503"
    )


def test_frame_that_is_not_json_or_not_known_is_marked(seen: WatchedPage) -> None:
    def garble(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def pass_on(text: str | bytes) -> None:
            socket.send(text)
            if '"type":"ready"' in str(text):
                socket.send("<html>A proxy</html>")
                socket.send('{"type":"from_the_future"}')

        server.on_message(pass_on)

    seen.page.route_web_socket("**/ws/**", garble)
    playground = Playground(seen.page)
    playground.by_own_button()
    playground.expect_in_log("left", "This is not JSON.")
    playground.expect_in_log("left", "unknown type.")
    playground.say("left", "Still talking")
    playground.expect_in_log("right", "“Still talking”")


def test_lost_version_is_shown_as_a_gap(seen: WatchedPage) -> None:
    def lose(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda text: None if '"version":2' in str(text) else socket.send(text))

    playground = Playground(seen.page)
    seen.page.route_web_socket("**/ws/**", lose)
    playground.by_own_button()
    for number in range(3):
        playground.say("left", f"number {number}")
        playground.expect_in_log("left", "“number 0”" if number < 2 else "“number 2”")
    playground.expect_in_log("right", "“number 2”")
    playground.expect_ladder("bad", "A gap.")
    assert playground.marks(2) == ["hole", "hole"]


def test_server_of_another_version_asks_for_a_reload(seen: WatchedPage) -> None:
    def newer(route: Route) -> None:
        response = route.fetch()
        document = response.json()
        document["info"]["version"] = "99.0"
        route.fulfill(response=response, json=document)

    # The page looks again ten seconds after its start at the earliest.
    seen.page.clock.install()
    playground = Playground(seen.page)
    playground.by_own_button()
    seen.page.route("**/api/asyncapi.json", newer)
    seen.page.clock.fast_forward(11_000)
    playground.panel("left").get_by_role("button", name="Disconnect").click()
    playground.panel("left").get_by_role("button", name="Reconnect").click()
    expect(seen.page.get_by_role("alert")).to_contain_text("The server is version 99.0 now")
