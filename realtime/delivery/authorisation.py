"""Authorises new sockets, those that wait at the same time together.

One thread hop and two queries for all of them: for each alone they were a third of the CPU time of
a sign-in, most of it to wake a thread and to wait for the interpreter's lock.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextvars import Context
from dataclasses import dataclass

from accounts.auth import Caller, authenticate_together
from accounts.kernel.database_wait import wait_for_database
from accounts.kernel.errors import Busy, DomainError
from accounts.kernel.log_context import note_user
from accounts.tokens import Claims
from realtime.db_threads import DatabaseThreads
from rooms.models import Room
from rooms.selectors import Entry

MAX_BATCH_SIZE = 64
MAX_WAITING = 2000


@dataclass(frozen=True, slots=True)
class RoomSearch:
    """How a socket finds its room.

    `known` finds the rooms that users may enter without a write, for many sockets with one query.
    `accepts` checks such a room. `enter` does everything for one socket, on a database thread.
    """

    name: str
    known: Callable[[Collection[Entry]], dict[Entry, Room]]
    accepts: Callable[[Room], bool]
    enter: Callable[[Caller, str], Room]


@dataclass(slots=True, eq=False)
class QueuedAuthorisation:
    """A socket that waits. `answer` is its caller, with the room if it is known."""

    claims: Claims
    search: RoomSearch
    answer: asyncio.Future[tuple[Caller, Room | None]]


class Authorisation:
    """Runs one batch at a time. Runs on the loop of the sockets."""

    def __init__(self, database: DatabaseThreads) -> None:
        self._database = database
        self._waiting: deque[QueuedAuthorisation] = deque()
        self._task: asyncio.Task[None] | None = None

    async def authorise(self, claims: Claims, search: RoomSearch) -> tuple[Caller, Room]:
        """Checks session, account and membership. Raises a refusal's DomainError, Busy."""
        if len(self._waiting) >= MAX_WAITING:
            raise Busy
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[Caller, Room | None]] = loop.create_future()
        self._waiting.append(QueuedAuthorisation(claims, search, answer))
        if self._task is None:
            # In an empty context: its log lines must not carry that of the first socket.
            self._task = loop.create_task(self._run(), context=Context())
        caller, room = await wait_for_database(answer)
        note_user(caller.user_id)
        if room is None:
            room = await self._database.run(search.enter, caller, search.name)
        return caller, room

    async def _run(self) -> None:
        try:
            while batch := self._next_batch():
                await self._answer(batch)
        finally:
            self._task = None

    def _next_batch(self) -> list[QueuedAuthorisation]:
        batch: list[QueuedAuthorisation] = []
        while self._waiting and len(batch) < MAX_BATCH_SIZE:
            one = self._waiting.popleft()
            if not one.answer.done():  # closed, or it waited too long
                batch.append(one)
        return batch

    async def _answer(self, batch: Sequence[QueuedAuthorisation]) -> None:
        try:
            outcomes = await self._database.run(authorise_together, batch)
        except Exception as error:  # noqa: BLE001 - each socket raises it again
            outcomes = [error] * len(batch)
        for one, outcome in zip(batch, outcomes, strict=True):
            if one.answer.done():
                continue
            if isinstance(outcome, Exception):
                one.answer.set_exception(outcome)
            else:
                one.answer.set_result(outcome)


Outcome = tuple[Caller, Room | None] | Exception


def authorise_together(batch: Sequence[QueuedAuthorisation]) -> list[Outcome]:
    """Returns the outcome of each; memberships are read after sessions."""
    callers = authenticate_together([one.claims for one in batch])
    rooms = {
        known: known(
            {(one.claims.user_id, one.search.name) for one in batch if one.search.known is known}
        )
        for known in {one.search.known for one in batch}
    }
    return [_outcome(one, callers[one.claims], rooms[one.search.known]) for one in batch]


def _outcome(
    one: QueuedAuthorisation, caller: Caller | DomainError, rooms: dict[Entry, Room]
) -> Outcome:
    if isinstance(caller, DomainError):
        return caller
    room = rooms.get((caller.user_id, one.search.name))
    return caller, room if room is not None and one.search.accepts(room) else None
