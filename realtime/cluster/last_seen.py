"""Stores when users were last seen, in one commit every two seconds."""

import asyncio
import logging
import time

from accounts.auth import Caller
from accounts.kernel.errors import Busy
from accounts.sessions import record_last_seen
from realtime.db_threads import DatabaseThreads

log = logging.getLogger(__name__)

LAST_SEEN_INTERVAL = 60.0
WRITE_INTERVAL = 2.0
MAX_TABLE_SIZE = 100_000


class LastSeen:
    """Collects users who connected or left. Used on the loop of the sockets only."""

    def __init__(self, database: DatabaseThreads) -> None:
        self._database = database
        self._seen: dict[int, float] = {}
        self._unwritten: dict[int, int] = {}
        self._writing: asyncio.Task[None] | None = None

    def record(self, caller: Caller) -> None:
        """Records that a user connected or left, at most once a minute."""
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
        """Writes all in one commit: reconnecting clients come by the thousand."""
        await asyncio.sleep(WRITE_INTERVAL)
        self._writing = None
        seen, self._unwritten = self._unwritten, {}
        try:
            await self._database.run(record_last_seen, seen)
        except Busy:
            log.info("last_seen of %d users was not stored: the database is busy", len(seen))
