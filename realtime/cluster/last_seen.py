"""When somebody was last seen: stored once in a while, for all who came and went meanwhile."""

import asyncio
import logging
import time

from django.utils import timezone

from accounts.auth import Caller
from accounts.kernel.db import writing
from accounts.kernel.errors import Busy
from accounts.models import Session, User
from realtime.db_threads import on_database

log = logging.getLogger(__name__)

MAX_CONCURRENT = 5000
LAST_SEEN_INTERVAL = 60.0
WRITE_INTERVAL = 2.0
MAX_TABLE_SIZE = 100_000


class LastSeen:
    def __init__(self) -> None:
        self._seen: dict[int, float] = {}
        self._unwritten: dict[int, int] = {}
        self._writing: asyncio.Task[None] | None = None

    def note(self, caller: Caller) -> None:
        """A user came or went; written at most once a minute."""
        user_id, now = caller.user_id, time.monotonic()
        if now - self._seen.get(user_id, -LAST_SEEN_INTERVAL) < LAST_SEEN_INTERVAL:
            return
        if len(self._seen) >= MAX_TABLE_SIZE:
            self._seen.clear()
        self._seen[user_id] = now
        self._unwritten[user_id] = caller.session_id
        if self._writing is None:
            self._writing = asyncio.ensure_future(self._write_together())

    async def _write_together(self) -> None:
        """One commit for all who came and went in a while: a thousand would cost a thousand."""
        await asyncio.sleep(WRITE_INTERVAL)
        self._writing = None
        seen, self._unwritten = self._unwritten, {}
        try:
            await on_database(_write, seen)
        except Busy:
            # The next time will do.
            log.info("last_seen of %d users was not written: the database is busy", len(seen))


def _write(seen: dict[int, int]) -> None:
    """`seen` maps users to the sessions that they used."""
    now, people = timezone.now(), sorted(seen.items())
    for first in range(0, len(people), MAX_CONCURRENT):
        some = dict(people[first : first + MAX_CONCURRENT])
        with writing():
            User.objects.filter(pk__in=some.keys()).update(last_seen=now)
            Session.objects.filter(pk__in=some.values()).update(last_used_at=now)
