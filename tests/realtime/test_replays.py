"""A crowd that comes back reads what it missed once, and nobody gets less than they need."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from accounts.errors import Busy
from messaging.selectors import StoredChange
from realtime import replays as module
from realtime.replays import KEPT_FOR, Replay, Replays
from tests.realtime.test_events import state

SOON = 5.0


class Reads:
    """Stands in for the database: each read waits until it is let go, and tells the version."""

    def __init__(self) -> None:
        self.version = 10
        self.made: list[tuple[int, int]] = []
        self.may_end = threading.Event()
        self.may_end.set()
        self.error: Exception | None = None

    def __call__(self, room_id: int, since: int) -> Replay:
        self.made.append((room_id, since))
        version = self.version
        assert self.may_end.wait(SOON)
        if self.error is not None:
            raise self.error
        return Replay(version, [])


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reads]:
    reads = Reads()
    monkeypatch.setattr(module, "read_replay", reads)
    yield reads
    reads.may_end.set()


async def begun(reads: Reads, count: int) -> None:
    async with asyncio.timeout(SOON):
        while len(reads.made) < count:
            await asyncio.sleep(0.01)


async def test_all_who_ask_at_once_share_one_read(reads: Reads) -> None:
    replays = Replays()
    reads.may_end.clear()
    asking = [asyncio.ensure_future(replays.get(1, 4, needed=10)) for _ in range(20)]
    await begun(reads, 1)
    reads.may_end.set()
    assert len({id(one) for one in await asyncio.gather(*asking)}) == 1
    assert reads.made == [(1, 4)]


async def test_one_who_asks_later_shares_it_while_the_room_stands_still(reads: Reads) -> None:
    replays = Replays()
    first = await replays.get(1, 4, needed=9)
    assert await replays.get(1, 4, needed=10) is first
    assert reads.made == [(1, 4)]


async def test_a_read_that_reaches_less_far_than_needed_is_made_anew(reads: Reads) -> None:
    replays = Replays()
    await replays.get(1, 4, needed=10)
    reads.version = 11
    assert (await replays.get(1, 4, needed=11)).version == 11
    assert (await replays.get(1, 4, needed=10)).version == 11
    assert reads.made == [(1, 4)] * 2


async def test_a_read_under_way_that_began_too_early_is_made_anew(reads: Reads) -> None:
    replays = Replays()
    reads.may_end.clear()
    early = asyncio.ensure_future(replays.get(1, 4, needed=10))
    await begun(reads, 1)
    reads.version = 11
    late = asyncio.ensure_future(replays.get(1, 4, needed=11))
    await asyncio.sleep(0)
    reads.may_end.set()
    assert ((await early).version, (await late).version) == (10, 11)


async def test_rooms_and_versions_are_told_apart(reads: Reads) -> None:
    replays = Replays()
    for room_id, since in ((1, 4), (1, 5), (2, 4)):
        await replays.get(room_id, since, needed=10)
    assert reads.made == [(1, 4), (1, 5), (2, 4)]


async def test_who_has_everything_reads_nothing(reads: Reads) -> None:
    replay = await Replays().get(1, 10, needed=10)
    assert (list(replay.events()), replay.changes) == ([], [])
    assert reads.made == []


async def test_one_who_goes_away_takes_nothing_from_the_others(reads: Reads) -> None:
    replays = Replays()
    reads.may_end.clear()
    gone = asyncio.ensure_future(replays.get(1, 4, needed=10))
    await begun(reads, 1)
    stays = asyncio.ensure_future(replays.get(1, 4, needed=10))
    await asyncio.sleep(0)
    gone.cancel()
    reads.may_end.set()
    assert (await stays).version == 10
    assert len(reads.made) == 1


async def test_a_read_that_failed_is_not_kept(reads: Reads) -> None:
    replays = Replays()
    reads.error = Busy(retry_after=1)
    with pytest.raises(Busy):
        await replays.get(1, 4, needed=10)
    reads.error = None
    assert (await replays.get(1, 4, needed=10)).version == 10


async def test_an_old_read_is_made_anew(reads: Reads) -> None:
    replays = Replays()
    (await replays.get(1, 4, needed=10)).read_at -= KEPT_FOR
    await replays.get(1, 4, needed=10)
    assert len(reads.made) == 2


async def test_what_is_kept_is_bounded(reads: Reads) -> None:
    replays = Replays(largest=5 * module.ENVELOPE)
    for since in (1, 2, 3, 4, 5, 1, 6):
        await replays.get(1, since, needed=10)
    reads.made.clear()
    for since in (1, 3, 4, 5, 6):
        await replays.get(1, since, needed=10)
    assert reads.made == []
    await replays.get(1, 2, needed=10)
    assert reads.made == [(1, 2)]


def test_a_text_is_made_once_however_many_hear_it() -> None:
    replay = Replay(10, [StoredChange("message", state(), 1, "message")] * 2)
    slow = replay.events()
    first = next(slow)
    assert [id(event) for _, event in replay.events()] == [id(event) for _, event in (first, *slow)]
