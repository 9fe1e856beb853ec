"""A crowd that comes back reads what it missed once, in pages, and each gets what it needs."""

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pytest_django import Settings

from accounts.kernel.errors import Busy
from messaging.selectors import StoredChange
from realtime.delivery import replay_cache as module
from realtime.delivery.replay_cache import (
    CACHE_TTL,
    ENVELOPE,
    MAX_PAGE_BYTES,
    Page,
    Place,
    ReplayCache,
    read_page,
)
from rooms.models import Room
from tests.factories import make_room, make_sign_in, say
from tests.realtime.wiring import database

from .test_events import state

SOON = 5.0
PLACE = Place(1, 4, 4)


class Reads:
    """Stands in for the database: each read waits until it is let go, and tells the version."""

    def __init__(self) -> None:
        self.version = 10
        self.size = ENVELOPE
        self.is_last = True
        self.made: list[Place] = []
        self.may_end = threading.Event()
        self.may_end.set()
        self.error: Exception | None = None

    def __call__(self, place: Place) -> Page:
        self.made.append(place)
        version, begun_at = self.version, time.monotonic()
        assert self.may_end.wait(SOON)
        if self.error is not None:
            raise self.error
        return Page(version, [], self.is_last, begun_at, time.monotonic(), self.size)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reads]:
    reads = Reads()
    monkeypatch.setattr(module, "read_page", reads)
    yield reads
    reads.may_end.set()


async def begun(reads: Reads, count: int) -> None:
    async with asyncio.timeout(SOON):
        while len(reads.made) < count:
            await asyncio.sleep(0.01)


async def get(replays: ReplayCache, place: Place = PLACE, needed: int = 10) -> Page:
    """A page that is used for a moment."""
    async with replays.page(place, needed) as page:
        return page


async def test_all_who_ask_at_once_share_one_read(reads: Reads) -> None:
    replays = ReplayCache(database)
    reads.may_end.clear()
    asking = [asyncio.ensure_future(get(replays)) for _ in range(20)]
    await begun(reads, 1)
    reads.may_end.set()
    assert len({id(one) for one in await asyncio.gather(*asking)}) == 1
    assert reads.made == [PLACE]


async def test_one_who_asks_later_shares_it_while_the_room_stands_still(reads: Reads) -> None:
    replays = ReplayCache(database)
    first = await get(replays, needed=9)
    assert await get(replays) is first
    assert reads.made == [PLACE]


async def test_a_read_that_reaches_less_far_than_needed_is_made_anew(reads: Reads) -> None:
    replays = ReplayCache(database)
    await get(replays)
    reads.version = 11
    assert (await get(replays, needed=11)).version == 11
    assert (await get(replays)).version == 11
    assert reads.made == [PLACE] * 2


async def test_a_read_under_way_that_began_too_early_is_made_anew(reads: Reads) -> None:
    replays = ReplayCache(database)
    reads.may_end.clear()
    out_of_order = asyncio.ensure_future(get(replays))
    await begun(reads, 1)
    reads.version = 11
    late = asyncio.ensure_future(get(replays, needed=11))
    await asyncio.sleep(0)
    reads.may_end.set()
    assert ((await out_of_order).version, (await late).version) == (10, 11)


async def test_rooms_and_versions_are_told_apart(reads: Reads) -> None:
    replays = ReplayCache(database)
    places = [Place(1, 4, 4), Place(1, 5, 5), Place(2, 4, 4), Place(1, 4, 5)]
    for place in places:
        await get(replays, place)
    assert reads.made == places


async def test_who_has_everything_reads_nothing(reads: Reads) -> None:
    page = await get(ReplayCache(database), Place(1, 10, 10))
    assert (page.entries, page.is_last) == ([], True)
    assert reads.made == []


async def test_one_who_goes_away_takes_nothing_from_the_others(reads: Reads) -> None:
    replays = ReplayCache(database)
    reads.may_end.clear()
    gone = asyncio.ensure_future(get(replays))
    await begun(reads, 1)
    stays = asyncio.ensure_future(get(replays))
    await asyncio.sleep(0)
    gone.cancel()
    reads.may_end.set()
    assert (await stays).version == 10
    assert len(reads.made) == 1


async def test_a_read_that_failed_is_not_kept(reads: Reads) -> None:
    replays = ReplayCache(database)
    reads.error = Busy(retry_after=1)
    with pytest.raises(Busy):
        await get(replays)
    reads.error = None
    assert (await get(replays)).version == 10


async def test_an_old_read_is_made_anew(reads: Reads) -> None:
    replays = ReplayCache(database)
    (await get(replays)).read_at -= CACHE_TTL
    await get(replays)
    assert len(reads.made) == 2


async def test_what_is_kept_is_bounded(reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_IDLE_BYTES", 5 * ENVELOPE)
    replays = ReplayCache(database)
    for since in (1, 2, 3, 4, 5, 1, 6):
        await get(replays, Place(1, since, since))
    assert replays.held == 5 * ENVELOPE
    reads.made.clear()
    for since in (1, 3, 4, 5, 6):
        await get(replays, Place(1, since, since))
    assert reads.made == []
    await get(replays, Place(1, 2, 2))
    assert reads.made == [Place(1, 2, 2)]


async def test_a_page_that_is_not_the_last_serves_whatever_is_needed(reads: Reads) -> None:
    replays = ReplayCache(database)
    reads.is_last = False
    first = await get(replays)
    assert await get(replays, needed=99) is first


async def test_no_page_was_read_before_the_one_before_it_ended(reads: Reads) -> None:
    replays = ReplayCache(database)
    out_of_order = await get(replays, Place(1, 4, 7))
    first = await get(replays)
    async with replays.page(Place(1, 4, 7), 10, first.read_at) as later:
        assert later is not out_of_order
    async with replays.page(Place(1, 4, 7), 10, first.read_at) as shared:
        assert shared is later


# The bound on all pages


@pytest.fixture
def two_pages(reads: Reads, settings: Settings) -> None:
    """Room for two pages."""
    settings.CHAT_REPLAY_BYTES = 2 * MAX_PAGE_BYTES
    reads.size = MAX_PAGE_BYTES


async def test_a_page_beyond_the_bound_waits_until_another_is_let_go(
    reads: Reads, two_pages: None
) -> None:
    replays = ReplayCache(database)
    async with replays.page(Place(1, 1, 1), 10):
        async with replays.page(Place(1, 2, 2), 10):
            third = asyncio.ensure_future(get(replays, Place(1, 3, 3)))
            await asyncio.sleep(0.05)
            assert (len(reads.made), third.done()) == (2, False)
            async with replays.page(Place(1, 1, 1), 10):
                pass  # one that is there already is shared
            assert replays.held == 2 * MAX_PAGE_BYTES
        await asyncio.wait_for(third, SOON)
    assert replays.held <= 2 * MAX_PAGE_BYTES


async def test_a_page_that_has_waited_too_long_is_busy(
    reads: Reads, two_pages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE_TIMEOUT", 0.05)
    replays = ReplayCache(database)
    async with replays.page(Place(1, 1, 1), 10), replays.page(Place(1, 2, 2), 10):
        with pytest.raises(Busy):
            await get(replays, Place(1, 3, 3))
    await get(replays, Place(1, 3, 3))
    assert replays.held <= 2 * MAX_PAGE_BYTES


async def test_a_failed_read_gives_its_room_back(reads: Reads, two_pages: None) -> None:
    replays = ReplayCache(database)
    reads.error = Busy()
    for since in range(5):
        with pytest.raises(Busy):
            await get(replays, Place(1, since, since))
    assert replays.held == 0


# What a page holds


def room_with(texts: list[str]) -> Room:
    caller = make_sign_in()
    room = make_room(member=[caller.user_id])
    for text in texts:
        say(caller, room, text)
    return room


def pages_of(room: Room, since: int) -> Iterator[Page]:
    place = Place(room.pk, since, since)
    while True:
        page = read_page(place)
        yield page
        if page.is_last:
            return
        place = place._replace(after=page.version)


@pytest.mark.django_db
@pytest.mark.parametrize("letter", ["x", "😀"])
def test_pages_are_bounded_in_bytes_and_hold_everything_in_order(letter: str) -> None:
    room = room_with([letter * 4000] * 150)
    pages = list(pages_of(room, 20))
    versions = [entry.version for page in pages for entry in page.entries or ()]
    assert versions == list(range(21, 151))
    for page in pages:
        held = sum(sys.getsizeof(entry.event["text"]) for entry in page.entries or ())
        assert held <= page.size <= MAX_PAGE_BYTES
    # Four bytes for each character of the one, one for each of the other.
    assert len(pages) == (3 if letter == "😀" else 1)
    assert pages[-1].version == 150


@pytest.mark.django_db
def test_a_page_holds_one_message_however_large_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAGE_BYTES", 10)
    pages = list(pages_of(room_with(["a", "b", "c"]), 0))
    assert [len(page.entries or ()) for page in pages] == [1, 1, 1]


def test_a_changed_message_is_there_as_message_and_as_change() -> None:
    message = replace(state(), content="better")
    entry = module._entry(StoredChange("edit", message, created=5, change="edit"), since=4)
    assert '"type":"message"' in entry.event["text"]
    assert '"type":"edit"' in entry.changed_event()["text"]
    old = module._entry(StoredChange("edit", message, created=4, change="edit"), since=4)
    assert '"type":"edit"' in old.event["text"]
    assert old.changed_event() is old.event
