"""Who is here now, and when somebody was last seen. Of this process; see docs for several."""

import asyncio
import logging
import time
from collections.abc import Collection

from django.utils import timezone

from accounts.auth import SignIn
from accounts.errors import Busy
from accounts.models import Session, User
from accounts.transactions import writing

from .database import on_database
from .hub import Hub
from .open_room import OpenRoom

log = logging.getLogger(__name__)

MOST_NAMED = 100
MOST_AT_ONCE = 5000
SEEN_EVERY = 60.0
WRITE_EVERY = 2.0
LARGEST_TABLE = 100_000


class Presence:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._seen: dict[int, float] = {}
        self._unwritten: dict[int, int] = {}
        self._writing: asyncio.Task[None] | None = None

    def online(self, room_id: int) -> Collection[int]:
        """Ids of the users with a socket in the room. Safe to ask from any thread."""
        here = self._hub.rooms.get(room_id)
        return frozenset(here.users.copy()) if here else ()

    def names(self, here: OpenRoom) -> list[str]:
        """At most a hundred of them (contract §3, `ready`)."""
        names = iter(here.names.values())
        return [name for _, name in zip(range(MOST_NAMED), names, strict=False)]

    def saw(self, caller: SignIn) -> None:
        """Notes that a user came or went; written at most once a minute."""
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
            await on_database(_write_last_seen, seen)
        except Busy:
            # The next time will do.
            log.info("last_seen of %d users was not written: the database is busy", len(seen))


def _write_last_seen(seen: dict[int, int]) -> None:
    """`seen` maps users to the sessions that they used."""
    now, people = timezone.now(), sorted(seen.items())
    for first in range(0, len(people), MOST_AT_ONCE):
        some = dict(people[first : first + MOST_AT_ONCE])
        with writing():
            User.objects.filter(pk__in=some.keys()).update(last_seen=now)
            Session.objects.filter(pk__in=some.values()).update(last_used_at=now)
