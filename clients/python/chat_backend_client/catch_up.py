"""Keeps a timeline complete: resumes, verifies jumps, fills holes, reloads."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Protocol

from .errors import ChatError, Refused, Unreachable
from .events import Change, ChangeKind, Position, Reset
from .models import Message
from .reconnect import Backoff
from .timeline import Timeline

logger = logging.getLogger("chat_backend_client")

PAGE = 200
MAX_HELD = 5000
"""Messages that wait for their predecessors; more are asked for again."""


class History(Protocol):
    """Reads messages of the room by REST, oldest first."""

    async def __call__(
        self, *, after: int | None = None, before: int | None = None, limit: int = PAGE
    ) -> list[Message]: ...


class CatchUp:
    """Decides from each frame whether something is missing, and gets it.

    `replaying`: the socket brings what was missed in the order of versions. `resuming`: it brings
    it between live frames, so `version` waits for `resumed`. `reloading`: the server replays
    nothing, and REST brings it.
    """

    def __init__(
        self,
        timeline: Timeline,
        history: History,
        ask_resume: Callable[[int], Awaitable[None]],
        emit: Callable[[list[Change | Reset]], None],
    ) -> None:
        self.timeline = timeline
        self._history = history
        self._ask_resume = ask_resume
        self._emit = emit
        self._replaying = self._resuming = self._reloading = False
        self._loading: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._older = asyncio.Lock()

    @property
    def complete(self) -> bool:
        """Whether nothing is known to be missing."""
        waits = self._replaying or self._resuming or self._reloading
        return not waits and not self.timeline.has_hole

    @property
    def resuming(self) -> bool:
        return self._resuming

    # Frames

    def replay_begins(self) -> None:
        """A socket was opened with `?since=`: it replays in order, then goes on live."""
        self._replaying, self._resuming = True, False
        # What the last socket brought beyond `version` is replayed: to move on to it now would
        # skip the changes before it.
        self.timeline.seen = self.timeline.version
        self._update()

    def resume_begins(self) -> None:
        """A `resume` is under way on a socket that also brings live frames."""
        self._resuming = True
        self._update()

    def read_on(self) -> None:
        """Reads what came after the position at which the timeline begins."""
        self._read(self._read_again())

    def lost(self) -> None:
        """The connection ended: the next one replays from `timeline.version`."""
        self._cancel(self._asking)
        if self._resuming:
            self.timeline.frozen = True

    def change(self, kind: ChangeKind, message: Message) -> None:
        before = self.timeline.seen
        jumps = message.version > before + 1
        if jumps and self.complete:
            # Perhaps superseded by a change to come, perhaps lost: the server is asked.
            self.resume()
        self._publish(self.timeline.apply(kind, message))
        if self.timeline.held > MAX_HELD:
            self.timeline.drop_held()
            self.resume()
        self._look_for_hole()

    def resumed(self, to: int, *, complete: bool) -> None:
        self._replaying = self._resuming = False
        if complete:
            self.timeline.seen = max(self.timeline.seen, to)
        else:
            self._reload(to)
        self._update()
        self._look_for_hole()

    def resume_refused(self, retry_after: float) -> None:
        """The server is too busy to replay: it is asked again later."""
        if self._resuming:
            self.resume(after=retry_after)

    async def close(self) -> None:
        tasks = [one for one in (self._loading, self._asking) if one is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # What is missing

    def resume(self, after: float = 0.0) -> None:
        """Asks the socket for everything after `timeline.version`."""
        self.resume_begins()
        self._cancel(self._asking)
        self._asking = asyncio.create_task(self._ask(after))

    async def _ask(self, after: float) -> None:
        await asyncio.sleep(after)
        await self._ask_resume(self.timeline.version)

    def _reload(self, to: int) -> None:
        if to < self.timeline.version:
            self._read(self._begin_anew(to))
        else:
            self.timeline.seen = max(self.timeline.seen, to)
            self._read(self._read_again())

    def _read(self, reading: Coroutine[None, None, None]) -> None:
        self._reloading = True
        self._update()
        self._cancel(self._loading)
        self._loading = asyncio.create_task(self._guard(reading))

    async def _read_again(self) -> None:
        """Reads the window and all after it."""
        await self._read_on(self.timeline.first_seq - 1)
        self._reloading = False
        self._update()
        await self._fill()

    async def _begin_anew(self, version: int) -> None:
        """Shows what the restored database has, then asks for what came meanwhile."""
        newest = await self._insist()
        last = newest[-1].seq if newest else 0
        self.timeline.restart(Position(version, last))
        self.timeline.prepend(newest)
        self._emit([Reset(self.timeline.room_id)])
        self._reloading = False
        self.resume()

    def _look_for_hole(self) -> None:
        waits = self._replaying or self._resuming or self._reloading
        idle = self._loading is None or self._loading.done()
        if self.timeline.has_hole and not waits and idle:
            self._loading = asyncio.create_task(self._guard(self._fill()))

    async def _fill(self) -> None:
        backoff = Backoff()
        while self.timeline.has_hole:
            before = self.timeline.last_seq
            await self._read_on(before)
            if self.timeline.last_seq == before:
                await asyncio.sleep(backoff.next_delay())
        self._update()

    async def _guard(self, reading: Coroutine[None, None, None]) -> None:
        """Logs what ends the reading: a room that the user may no longer read."""
        try:
            await reading
        except ChatError as error:
            logger.info("room %s: history ended: %s", self.timeline.room_id, error)
            self._reading_failed()
        except Exception as error:  # noqa: BLE001
            logger.warning("room %s: history: %s", self.timeline.room_id, type(error).__name__)
            self._reading_failed()

    def _reading_failed(self) -> None:
        """Stops waiting for the page; the next frame requests what it left out."""
        if self._reloading:
            self._reloading = False
            self.timeline.seen = self.timeline.version
            self._update()

    async def _read_on(self, after: int) -> None:
        """Reads pages until the newest message."""
        while page := await self._insist(after=after):
            self._publish(self.timeline.apply_history(page))
            after = page[-1].seq

    async def _insist(
        self, *, after: int | None = None, before: int | None = None, limit: int = PAGE
    ) -> list[Message]:
        """Reads a page, again and again while the server is away. Raises Refused."""
        backoff = Backoff()
        while True:
            try:
                return await self._history(after=after, before=before, limit=limit)
            except Unreachable:
                await asyncio.sleep(backoff.next_delay())
            except Refused as refusal:
                if not refusal.temporary:
                    raise
                await asyncio.sleep(backoff.next_delay(refusal.retry_after))

    # Older messages

    async def load_older(self, count: int) -> list[Message]:
        """Puts up to `count` older messages before the window. Raises Refused, SignedOut."""
        async with self._older:
            while True:
                self.timeline.begin_loading()
                before = self.timeline.first_seq
                page = await self._insist(before=before, limit=count) if before > 1 else []
                if not self.timeline.too_many_beyond:
                    return self.timeline.prepend(page)

    def _update(self) -> None:
        self.timeline.frozen = self._resuming or self._reloading
        self.timeline.settle()

    def _publish(self, changes: list[Change]) -> None:
        if changes:
            self._emit(list(changes))

    def _cancel(self, task: asyncio.Task[None] | None) -> None:
        if task is not None and task is not asyncio.current_task():
            task.cancel()
