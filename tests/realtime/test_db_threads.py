"""Database threads of sockets: bounded, and a blocked call delays no other."""

import asyncio
import threading
import time

import pytest
from pytest_django import Settings

from accounts.kernel.errors import Busy
from realtime.db_threads import DatabaseThreads


def thread_id() -> int:
    return threading.get_ident()


async def test_short_calls_share_one_thread() -> None:
    threads = DatabaseThreads("test", threads=4, max_queued=1000)
    used = await asyncio.gather(*(threads.run(thread_id) for _ in range(200)))
    assert len(set(used)) == 1
    assert len(threads) == 0


async def test_blocked_call_delays_no_other() -> None:
    threads = DatabaseThreads("test", threads=2, max_queued=1000)
    release = threading.Event()
    blocked = asyncio.create_task(threads.run(release.wait, 20))
    await asyncio.sleep(0)
    begun = time.monotonic()
    for _ in range(20):
        await threads.run(thread_id)
    assert time.monotonic() - begun < 10
    assert not blocked.done()
    release.set()
    assert await blocked


async def test_calls_beyond_the_limit_are_busy_until_others_end() -> None:
    threads = DatabaseThreads("test", threads=1, max_queued=2)
    release = threading.Event()
    waiting = [asyncio.create_task(threads.run(release.wait, 20)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await threads.run(thread_id)
    release.set()
    await asyncio.gather(*waiting)
    await threads.run(thread_id)


async def test_call_that_waits_too_long_is_busy_and_never_runs(settings: Settings) -> None:
    settings.CHAT_DATABASE_TIMEOUT = 0.05
    threads = DatabaseThreads("test", threads=1, max_queued=10)
    release = threading.Event()
    ran: list[int] = []
    # Both are waited for: released after the first Busy, the thread could still run the second.
    answers = await asyncio.gather(
        threads.run(release.wait, 20), threads.run(ran.append, 1), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [Busy, Busy]
    assert len(threads) == 2
    release.set()
    settings.CHAT_DATABASE_TIMEOUT = 20
    await threads.run(thread_id)
    assert not ran


async def test_error_of_a_call_reaches_its_caller() -> None:
    threads = DatabaseThreads("test", threads=1, max_queued=10)
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 / 0)
    assert await threads.run(lambda: 1) == 1
