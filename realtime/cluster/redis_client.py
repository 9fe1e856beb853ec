"""Questions to Redis: small scripts, sent in batches, and never waited for while a host is away.

What is shared by processes beyond the database (who is online, how much somebody has asked of us)
lives here, spread over the hosts of REDIS_URL by key. None of it is needed to deliver a message, so
a host that fails to answer in time is left alone until it does again, and whoever asks meanwhile is
told None: nobody knows. Questions to one host are answered in the order in which they were asked.
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

ANSWER_TIMEOUT = 0.5
"""Seconds that one batch may take: a socket that signs in waits for it once, then no more."""
MAX_WAITING = 100_000
"""Enough to tell a host that lost everything what this process holds, in one go."""
MAX_BATCH_SIZE = 100
LOG_INTERVAL = 10.0

Answer = asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class Question:
    script: str
    keys: Sequence[str]
    arguments: Sequence[str | int]
    answer: Answer


class Host:
    """One Redis host. `up` is set by whoever keeps it (`leases`), and lost with the first failure.

    While it is not up only questions marked `anyway` are sent.
    """

    def __init__(self, url: str) -> None:
        self._down = asyncio.Event()
        self._down.set()
        self._client: Any = Redis.from_url(
            url,
            socket_timeout=ANSWER_TIMEOUT,
            socket_connect_timeout=ANSWER_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        self._waiting: deque[Question] = deque()
        self._wake = asyncio.Event()
        self._logged_at = -LOG_INTERVAL
        self._task = asyncio.ensure_future(self._ask_all())

    @property
    def up(self) -> bool:
        return not self._down.is_set()

    @up.setter
    def up(self, is_up: bool) -> None:
        if is_up:
            self._down.clear()
        else:
            self._down.set()

    async def until_down(self, within: float) -> None:
        """Returns when the host fails, or after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._down.wait()

    def ask(
        self, script: str, keys: Sequence[str], *arguments: str | int, anyway: bool = False
    ) -> Answer:
        """A future of what the script returns; None when Redis is away, never an exception."""
        answer: Answer = asyncio.get_running_loop().create_future()
        if len(self._waiting) >= MAX_WAITING:
            # What was not sent would be missing there: the host is brought up to date anew.
            self._fail("too many questions wait")
        if self.up or anyway:
            self._waiting.append(Question(script, keys, arguments, answer))
            self._wake.set()
        else:
            answer.set_result(None)
        return answer

    async def _ask_all(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                count = min(len(self._waiting), MAX_BATCH_SIZE)
                await self._ask([self._waiting.popleft() for _ in range(count)])

    async def _ask(self, batch: Sequence[Question]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for one in batch:
            # The whole script each time: Redis knows it by its hash, and a restarted one learns it.
            pipeline.eval(one.script, len(one.keys), *one.keys, *one.arguments)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                answers = await pipeline.execute(raise_on_error=False)
        except Exception as error:  # noqa: BLE001 - Redis may fail in any way and come back
            answers = [None] * len(batch)
            self._fail(type(error).__name__)
            # An answer that comes after all must not be taken for that of a later question. And
            # whatever a dead connection does, the task goes on: or nothing is asked ever again.
            with suppress(Exception):
                await self._client.connection_pool.disconnect()
        for one, answer in zip(batch, answers, strict=True):
            failed = isinstance(answer, Exception)
            if failed:
                self._fail(str(answer)[:200])
            _tell(one, None if failed else answer)

    def _fail(self, what: str) -> None:
        self.up = False
        redis_failures.inc()
        waiting, self._waiting = self._waiting, deque()
        for one in waiting:
            _tell(one, None)
        now = time.monotonic()
        if now - self._logged_at >= LOG_INTERVAL:
            self._logged_at = now
            log.warning("Redis does not answer; each process counts by itself: %s", what)

    async def close(self) -> None:
        self._task.cancel()
        await self._client.aclose()


def _tell(question: Question, answer: Any) -> None:
    if not question.answer.done():
        question.answer.set_result(answer)


class RedisClients:
    """All hosts; none without REDIS_URL."""

    def __init__(self) -> None:
        self.all: list[Host] = []

    def start(self) -> None:
        """On the loop of the sockets."""
        self.all = [Host(url) for url in settings.REDIS_URLS]

    def of(self, key: str) -> Host:
        """The host that a key lives on: the same one for every process with the same REDIS_URL."""
        return self.all[shard_of(key, len(self.all))]
