"""The playground: two users talk, and each way to break it is explained."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.servers import Server, serving

from .two_users import Playground
from .watched_page import WatchedPage, watched


@pytest.fixture
def seen(browser: Browser, site: Server) -> Iterator[WatchedPage]:
    with watched(browser, site.http, width=1440) as page:
        yield page
        page.check()


def test_two_users_talk_and_a_resume_leaves_no_gap(seen: WatchedPage) -> None:
    playground = Playground(seen.page)
    playground.from_start_page()
    left, right = playground.name("left"), playground.name("right")
    playground.say("left", "Hello from the left")
    playground.expect_in_log("right", f"{left}: “Hello from the left”")
    playground.say("right", "Hello from the right")
    playground.expect_in_log("left", f"{right}: “Hello from the right”")
    playground.expect_ladder("ok", "No gap up to version 2")
    assert "receives nothing now" in playground.experiment("disconnect")
    playground.expect_state("left", "closed")
    assert "Stored as version 3" in playground.experiment("meanwhile")
    playground.say("right", "And one more")
    playground.expect_ladder("warn", f"{left} is missing 2 of these versions")
    assert playground.marks(4) == ["missing", "live"]
    assert "Changes replayed: 2" in playground.experiment("reconnect")
    playground.expect_ladder("ok", "No gap up to version 4")
    assert [playground.marks(version) for version in (1, 2, 3, 4)] == [
        ["live", "live"],
        ["live", "live"],
        ["replayed", "live"],
        ["replayed", "live"],
    ]


def test_time_to_each_ack_is_shown(seen: WatchedPage) -> None:
    playground = Playground(seen.page)
    playground.by_own_button()
    playground.say("left", "How long?")
    sent = playground.panel("left").locator(".log-sent")
    expect(sent).to_contain_text(re.compile(r"ack in [\d.]+ ms"))


def test_client_id_used_twice_makes_one_message(seen: WatchedPage) -> None:
    playground = Playground(seen.page)
    playground.by_own_button()
    assert "Message 1, then a duplicate of 1, then client_id_reused." in playground.experiment(
        "twice"
    )


def test_logout_elsewhere_ends_the_socket_until_the_user_signs_in_again(seen: WatchedPage) -> None:
    playground = Playground(seen.page)
    playground.by_own_button()
    assert "Closed with 4401 session_ended." in playground.experiment("logout")
    playground.expect_state("left", "session ended")
    seen.page.get_by_role("button", name=re.compile("Sign ila-.* in again")).click()
    playground.both_connected()


def test_removed_member_receives_nothing_until_added_again(seen: WatchedPage) -> None:
    playground = Playground(seen.page)
    playground.by_own_button()
    playground.say("left", "Before")
    assert "Closed with 4403 removed." in playground.experiment("remove")
    playground.expect_state("right", "closed")
    playground.say("left", "Behind your back")
    playground.expect_ladder("warn", "is missing 1 of these versions")
    seen.page.get_by_role("button", name=re.compile("Add kaushal-.* again")).click()
    playground.both_connected()
    playground.expect_ladder("ok", "No gap")
    assert playground.marks(2) == ["live", "replayed"]


def test_invalid_token_closes_and_the_page_comes_back(seen: WatchedPage) -> None:
    playground = Playground(seen.page)
    playground.by_own_button()
    assert "Closed with 4401 token_invalid." in playground.experiment("token")
    playground.both_connected()
    playground.say("right", "Are you there?")
    playground.expect_in_log("left", "“Are you there?”")


def test_flood_loses_nothing(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("limited")
    with (
        serving("daphne", folder, CHAT_MESSAGE_RATE="10/s") as limited,
        watched(browser, limited.http) as seen,
    ):
        playground = Playground(seen.page)
        playground.by_own_button()
        text = playground.experiment("flood")
        assert "The limit is 10/s" in text
        assert "60 of 60 are stored" in text
        assert "\n0 were refused" not in text
        playground.expect_ladder("ok", "No gap up to version 60")
        seen.check()


def test_experiment_without_users_says_what_to_do_first(seen: WatchedPage) -> None:
    seen.page.goto("/api/sockets")
    seen.page.locator("[data-experiment=flood]").click()
    result = seen.page.locator("[data-result=flood]")
    expect(result).to_contain_text("Connect First user first: sign in and enter a room.")


def test_users_register_by_hand_and_meet_in_a_public_room(seen: WatchedPage) -> None:
    playground = Playground(seen.page)
    seen.page.goto("/api/sockets")
    for side, name in (("left", "maya"), ("right", "noor")):
        panel = playground.panel(side)
        panel.get_by_label("Name").fill(name)
        panel.get_by_label("Password").fill("a password of mine")
        panel.get_by_role("button", name="Register").click()
        panel.get_by_role("combobox", name="Room", exact=True).select_option(label="Public room")
        panel.get_by_label("Room name").fill("harbour")
        panel.get_by_role("button", name="Enter").click()
        playground.expect_state(side, "open")
    playground.say("left", "Ahoy")
    playground.expect_in_log("right", "maya: “Ahoy”")


def test_private_room_and_socket_of_all_rooms_share_a_ladder(seen: WatchedPage) -> None:
    playground = Playground(seen.page)
    playground.by_own_button()
    left, right = playground.panel("left"), playground.panel("right")
    left.get_by_role("combobox", name="Room", exact=True).select_option(label="Private room")
    left.get_by_role("button", name="Enter").click()
    playground.expect_in_log("left", f"/ws/private/{playground.name('right')}/")
    playground.expect_state("left", "open")
    playground.say("left", "Between us")
    right.get_by_role("combobox", name="Room", exact=True).select_option(label="All my rooms")
    right.get_by_role("button", name="Enter").click()
    playground.expect_state("right", "open")
    playground.say("left", "And this")
    playground.expect_in_log("right", "“And this”")
    playground.expect_ladder("ok", "No gap up to version 2")
    assert playground.marks(2) == ["live", "live"]
    playground.say("right", "The answer")
    playground.expect_in_log("left", "“The answer”")
    seen.page.reload()
    playground.both_connected()
    playground.expect_in_log("left", f"/ws/private/{playground.name('right')}/")
    playground.expect_in_log("right", "/ws/events/")


def test_reload_keeps_both_users_in_their_room(seen: WatchedPage) -> None:
    playground = Playground(seen.page)
    playground.from_start_page()
    names = playground.name("left"), playground.name("right")
    seen.page.reload()
    playground.both_connected()
    assert (playground.name("left"), playground.name("right")) == names
