"""Clients that reconnect together share the pages that they replay."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from accounts.kernel.errors import Busy
from realtime.delivery import replay_cache as module
from realtime.delivery.replay_cache import CACHE_TTL, ReplayCache
from realtime.delivery.replay_pages import ENVELOPE, MAX_PAGE_BYTES, Page, Place
from tests.realtime.wiring import database

TIMEOUT = 5.0
PLACE = Place(1, 4, 4)


class Reads:
    """Replaces the database: each read waits for `may_end`, then returns `version`."""

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
        assert self.may_end.wait(TIMEOUT)
        if self.error is not None:
            raise self.error
        return Page(version, [], self.is_last, begun_at, time.monotonic(), self.size)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reads]:
    reads = Reads()
    monkeypatch.setattr(module, "read_page", reads)
    yield reads
    reads.may_end.set()


async def wait_for_reads(reads: Reads, count: int) -> None:
    async with asyncio.timeout(TIMEOUT):
        while len(reads.made) < count:
            await asyncio.sleep(0.01)


async def get(replays: ReplayCache, place: Place = PLACE, needed: int = 10) -> Page:
    """Holds a page for a moment."""
    async with replays.page(place, needed) as page:
        return page


async def test_concurrent_requests_share_one_read(reads: Reads) -> None:
    replays = ReplayCache(database)
    reads.may_end.clear()
    asking = [asyncio.ensure_future(get(replays)) for _ in range(20)]
    await wait_for_reads(reads, 1)
    reads.may_end.set()
    assert len({id(one) for one in await asyncio.gather(*asking)}) == 1
    assert reads.made == [PLACE]


async def test_later_request_shares_the_page_while_the_room_is_unchanged(reads: Reads) -> None:
    replays = ReplayCache(database)
    first = await get(replays, needed=9)
    assert await get(replays) is first
    assert reads.made == [PLACE]


async def test_page_below_the_needed_version_is_read_again(reads: Reads) -> None:
    replays = ReplayCache(database)
    await get(replays)
    reads.version = 11
    assert (await get(replays, needed=11)).version == 11
    assert (await get(replays)).version == 11
    assert reads.made == [PLACE] * 2


async def test_read_in_progress_that_began_too_early_is_repeated(reads: Reads) -> None:
    replays = ReplayCache(database)
    reads.may_end.clear()
    first_page = asyncio.ensure_future(get(replays))
    await wait_for_reads(reads, 1)
    reads.version = 11
    late = asyncio.ensure_future(get(replays, needed=11))
    await asyncio.sleep(0)
    reads.may_end.set()
    assert ((await first_page).version, (await late).version) == (10, 11)


async def test_pages_are_separate_for_each_room_and_version(reads: Reads) -> None:
    replays = ReplayCache(database)
    places = [Place(1, 4, 4), Place(1, 5, 5), Place(2, 4, 4), Place(1, 4, 5)]
    for place in places:
        await get(replays, place)
    assert reads.made == places


async def test_up_to_date_client_causes_no_read(reads: Reads) -> None:
    page = await get(ReplayCache(database), Place(1, 10, 10))
    assert (page.entries, page.is_last) == ([], True)
    assert reads.made == []


async def test_cancelled_request_does_not_cancel_the_shared_read(reads: Reads) -> None:
    replays = ReplayCache(database)
    reads.may_end.clear()
    leaving = asyncio.ensure_future(get(replays))
    await wait_for_reads(reads, 1)
    staying = asyncio.ensure_future(get(replays))
    await asyncio.sleep(0)
    leaving.cancel()
    reads.may_end.set()
    assert (await staying).version == 10
    assert len(reads.made) == 1


async def test_failed_read_is_not_cached(reads: Reads) -> None:
    replays = ReplayCache(database)
    reads.error = Busy(retry_after=1)
    with pytest.raises(Busy):
        await get(replays)
    reads.error = None
    assert (await get(replays)).version == 10


async def test_expired_page_is_read_again(reads: Reads) -> None:
    replays = ReplayCache(database)
    (await get(replays)).read_at -= CACHE_TTL
    await get(replays)
    assert len(reads.made) == 2


async def test_idle_pages_are_bounded(reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_IDLE_BYTES", 5 * ENVELOPE)
    replays = ReplayCache(database)
    for since in (1, 2, 3, 4, 5, 1, 6):
        await get(replays, Place(1, since, since))
    assert replays.held_bytes == 5 * ENVELOPE
    reads.made.clear()
    for since in (1, 3, 4, 5, 6):
        await get(replays, Place(1, since, since))
    assert reads.made == []
    await get(replays, Place(1, 2, 2))
    assert reads.made == [Place(1, 2, 2)]


async def test_page_before_the_last_serves_any_needed_version(reads: Reads) -> None:
    replays = ReplayCache(database)
    reads.is_last = False
    first = await get(replays)
    assert await get(replays, needed=99) is first


async def test_next_page_is_read_after_the_previous_page(reads: Reads) -> None:
    replays = ReplayCache(database)
    first_page = await get(replays, Place(1, 4, 7))
    first = await get(replays)
    async with replays.page(Place(1, 4, 7), 10, first.read_at) as later:
        assert later is not first_page
    async with replays.page(Place(1, 4, 7), 10, first.read_at) as shared:
        assert shared is later


# The limit on all pages


@pytest.fixture
def two_pages(reads: Reads, settings: Settings) -> None:
    """Limits the cache to two pages."""
    settings.CHAT_REPLAY_BYTES = 2 * MAX_PAGE_BYTES
    reads.size = MAX_PAGE_BYTES


async def test_page_above_the_limit_waits_until_another_is_released(
    reads: Reads, two_pages: None
) -> None:
    replays = ReplayCache(database)
    async with replays.page(Place(1, 1, 1), 10):
        async with replays.page(Place(1, 2, 2), 10):
            third = asyncio.ensure_future(get(replays, Place(1, 3, 3)))
            await asyncio.sleep(0.05)
            assert (len(reads.made), third.done()) == (2, False)
            async with replays.page(Place(1, 1, 1), 10):
                pass  # a page that is held already is shared
            assert replays.held_bytes == 2 * MAX_PAGE_BYTES
        await asyncio.wait_for(third, TIMEOUT)
    assert replays.held_bytes <= 2 * MAX_PAGE_BYTES


async def test_page_that_waits_too_long_raises_busy(
    reads: Reads, two_pages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE_TIMEOUT", 0.05)
    replays = ReplayCache(database)
    async with replays.page(Place(1, 1, 1), 10), replays.page(Place(1, 2, 2), 10):
        with pytest.raises(Busy):
            await get(replays, Place(1, 3, 3))
    await get(replays, Place(1, 3, 3))
    assert replays.held_bytes <= 2 * MAX_PAGE_BYTES


async def test_failed_read_releases_its_reserved_bytes(reads: Reads, two_pages: None) -> None:
    replays = ReplayCache(database)
    reads.error = Busy()
    for since in range(5):
        with pytest.raises(Busy):
            await get(replays, Place(1, since, since))
    assert replays.held_bytes == 0
