"""When somebody was last seen: stored once in a while, for all who came and went meanwhile."""

import asyncio
import logging
import time

from django.utils import timezone

from accounts.auth import SignIn
from accounts.kernel.db import writing
from accounts.kernel.errors import Busy
from accounts.models import Session, User
from realtime.db_threads import on_database

log = logging.getLogger(__name__)

MOST_AT_ONCE = 5000
SEEN_EVERY = 60.0
WRITE_EVERY = 2.0
LARGEST_TABLE = 100_000


class LastSeen:
    def __init__(self) -> None:
        self._seen: dict[int, float] = {}
        self._unwritten: dict[int, int] = {}
        self._writing: asyncio.Task[None] | None = None

    def note(self, caller: SignIn) -> None:
        """A user came or went; written at most once a minute."""
        user_id, now = caller.user_id, time.monotonic()
        if now - self._seen.get(user_id, -SEEN_EVERY) < SEEN_EVERY:
            return
        if len(self._seen) >= LARGEST_TABLE:
            self._seen.clear()
        self._seen[user_id] = now
        self._unwritten[user_id] = caller.session_id
        if self._writing is None:
            self._writing = asyncio.ensure_future(self._write_together())

    async def _write_together(self) -> None:
        """One commit for all who came and went in a while: a thousand would cost a thousand."""
        await asyncio.sleep(WRITE_EVERY)
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
    for first in range(0, len(people), MOST_AT_ONCE):
        some = dict(people[first : first + MOST_AT_ONCE])
        with writing():
            User.objects.filter(pk__in=some.keys()).update(last_seen=now)
            Session.objects.filter(pk__in=some.values()).update(last_used_at=now)
