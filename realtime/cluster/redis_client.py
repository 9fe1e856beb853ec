"""Runs scripts on Redis in batches, and never waits for a Redis that is down.

State that processes share outside the database (who is online, rate limits) lives here, spread over
the hosts of REDIS_URL by key. Delivery needs none of it. A host that does not reply in time is
skipped until it replies again: calls return None meanwhile. Calls to one host run in the order in
which they were made.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from realtime.metrics import redis_failures

from .broker import shard_of

log = logging.getLogger(__name__)

REPLY_TIMEOUT = 0.5
"""Seconds for one batch: a new socket waits for Redis that long once, then no more."""
MAX_QUEUED = 100_000
"""Enough to restore in one go all that this process holds, on a Redis that lost everything."""
MAX_BATCH_SIZE = 100
LOG_INTERVAL = 10.0

Reply = asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class ScriptCall:
    script: str
    keys: Sequence[str]
    arguments: Sequence[str | int]
    reply: Reply


class RedisClient:
    """Connects to one Redis host.

    `leases` sets `up` after a heartbeat, and the first failure clears it. While the host is not up,
    only calls with `even_if_down` are sent.
    """

    def __init__(self, url: str) -> None:
        self._down = asyncio.Event()
        self._down.set()
        self._client: Any = Redis.from_url(
            url,
            socket_timeout=REPLY_TIMEOUT,
            socket_connect_timeout=REPLY_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        self._queue: deque[ScriptCall] = deque()
        self._call_added = asyncio.Event()
        self._logged_at = -LOG_INTERVAL
        self._task = asyncio.ensure_future(self._run_all())

    @property
    def up(self) -> bool:
        return not self._down.is_set()

    @up.setter
    def up(self, is_up: bool) -> None:
        if is_up:
            self._down.clear()
        else:
            self._down.set()

    async def wait_until_down(self, timeout: float) -> None:  # noqa: ASYNC109 - not an error
        """Returns when the host fails, or after `timeout` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._down.wait()

    def run(
        self, script: str, keys: Sequence[str], *arguments: str | int, even_if_down: bool = False
    ) -> Reply:
        """Returns a future of the script's result, or of None while Redis is down."""
        reply: Reply = asyncio.get_running_loop().create_future()
        if len(self._queue) >= MAX_QUEUED:
            # Redis misses the calls that are dropped: going down makes `leases` restore them.
            self._fail("too many calls wait")
        if self.up or even_if_down:
            self._queue.append(ScriptCall(script, keys, arguments, reply))
            self._call_added.set()
        else:
            reply.set_result(None)
        return reply

    async def _run_all(self) -> None:
        while True:
            await self._call_added.wait()
            self._call_added.clear()
            while self._queue:
                count = min(len(self._queue), MAX_BATCH_SIZE)
                await self._run_batch([self._queue.popleft() for _ in range(count)])

    async def _run_batch(self, batch: Sequence[ScriptCall]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for call in batch:
            # The whole script each time: Redis caches it by hash, and a restarted Redis has none.
            pipeline.eval(call.script, len(call.keys), *call.keys, *call.arguments)
        try:
            async with asyncio.timeout(REPLY_TIMEOUT):
                results = await pipeline.execute(raise_on_error=False)
        except Exception as error:  # noqa: BLE001 - Redis may fail in any way and come back
            results = [None] * len(batch)
            self._fail(type(error).__name__)
            # A late reply must not be taken for that of a later call. An error of the dead
            # connection must not end this task: no call would run any more.
            with suppress(Exception):
                await self._client.connection_pool.disconnect()
        for call, result in zip(batch, results, strict=True):
            failed = isinstance(result, Exception)
            if failed:
                self._fail(str(result)[:200])
            _resolve(call, None if failed else result)

    def _fail(self, reason: str) -> None:
        self.up = False
        redis_failures.inc()
        dropped, self._queue = self._queue, deque()
        for call in dropped:
            _resolve(call, None)
        now = time.monotonic()
        if now - self._logged_at >= LOG_INTERVAL:
            self._logged_at = now
            log.warning("Redis is down; limits and presence are per process: %s", reason)

    async def close(self) -> None:
        self._task.cancel()
        await self._client.aclose()


def _resolve(call: ScriptCall, result: Any) -> None:
    if not call.reply.done():
        call.reply.set_result(result)


async def reply_in_time(reply: Reply) -> Any:
    """Waits REPLY_TIMEOUT at most, even behind a long queue. Returns None after that."""
    await asyncio.wait([reply], timeout=REPLY_TIMEOUT)
    return reply.result() if reply.done() else None


class RedisClients:
    """One client for each host of REDIS_URL; none without REDIS_URL."""

    def __init__(self) -> None:
        self.all: list[RedisClient] = []

    def start(self) -> None:
        """Connects. Call on the loop of the sockets."""
        self.all = [RedisClient(url) for url in settings.REDIS_URLS]

    def for_key(self, key: str) -> RedisClient:
        """Returns the host of a key, the same in all processes with this REDIS_URL."""
        return self.all[shard_of(key, len(self.all))]
