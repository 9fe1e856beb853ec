"""Creates rows for unit tests in the database, without limits and hashing."""

import asyncio
import itertools
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from django.db import connections

from accounts.auth import Caller
from accounts.kernel.events import Event, committed
from accounts.models import Session, User
from messaging.events import MessageState
from messaging.writer.client_ids import digest_of
from messaging.writer.drafts import Draft, Sent
from messaging.writer.queue import Outcome, QueuedWrite, store
from messaging.writer.read_markers import MarkCommand
from realtime.delivery.send_queue import SendQueue
from realtime.servers.interface import Event as AsgiEvent
from realtime.servers.interface import WriteFunction
from rooms.models import Member, Role, Room, RoomKind
from rooms.services import open_private_room

commits = pytest.mark.django_db(transaction=True)
"""For tests with threads, or with events: these are published after the commit."""

_numbers = itertools.count(1)
T = TypeVar("T")


def make_user(username: str | None = None, **fields: Any) -> User:
    """Creates a user without a password, which would cost a hash."""
    return User.objects.create_user(username or f"person{next(_numbers)}", **fields)


def make_session(user: User | None = None, **fields: Any) -> Session:
    return Session.objects.create(
        user=user or make_user(), refresh_jti=secrets.token_hex(16), **fields
    )


def make_caller(user: User | None = None) -> Caller:
    """Returns a caller with a valid session."""
    session = make_session(user)
    return Caller(session.user_id, session.user.username, session.pk, int(time.time()) + 3600)


def make_room(
    kind: RoomKind = RoomKind.PUBLIC, *, name: str | None = None, **roles: Sequence[int]
) -> Room:
    """Creates a room with members by user id: `make_room(RoomKind.GROUP, owner=[1])`."""
    name = name or f"room{next(_numbers)}"
    count = sum(map(len, roles.values()))
    room = Room.objects.create(kind=kind, name=name, name_key=name.casefold(), member_count=count)
    for role, user_ids in roles.items():
        for user_id in user_ids:
            make_member(room, user_id, Role(role))
    return room


def make_member(room: Room, user_id: int, role: Role = Role.MEMBER) -> Member:
    return Member.objects.create(room=room, user_id=user_id, role=role)


def make_private_room(user_id: int, other: User) -> Room:
    return open_private_room(user_id=user_id, other=other)


def draft(caller: Caller, room: Room, content: str = "hello", **fields: Any) -> Draft:
    return Draft(
        user_id=caller.user_id,
        session_id=caller.session_id,
        room_id=room.pk,
        content=content,
        digest=digest_of(content, fields.get("reply_to")),
        **fields,
    )


def store_now(*commands: Draft | MarkCommand) -> list[Outcome | None]:
    """Stores a batch in this thread and returns the writer's outcomes."""
    batch = [QueuedWrite(one, Future()) for one in commands]
    store(batch)
    return [write.outcome for write in batch]


def store_message(
    caller: Caller, room: Room, content: str = "hello", **fields: Any
) -> MessageState:
    """Stores a message and returns its state."""
    (outcome,) = store_now(draft(caller, room, content, **fields))
    assert isinstance(outcome, Sent), outcome
    return outcome.message


@contextmanager
def collect_events() -> Iterator[list[Event]]:
    """Collects the events that any thread publishes meanwhile."""
    events_seen: list[Event] = []

    def receive(sender: object, events: Sequence[Event], **kwargs: object) -> None:
        events_seen.extend(events)

    committed.connect(receive)
    try:
        yield events_seen
    finally:
        committed.disconnect(receive)


class WeakReferableSendQueue(SendQueue):
    """A send queue to which tests can make a weak reference."""

    __slots__ = ("__weakref__",)


def texts_in(frames: bytes) -> Iterator[str]:
    """Yields the texts of whole frames, as a server writes them (RFC 6455 §5.2)."""
    while frames:
        assert frames[0] == 0x81, frames
        head, size = 2, frames[1]
        if size == 126:
            head, size = 4, int.from_bytes(frames[2:4], "big")
        elif size == 127:
            head, size = 10, int.from_bytes(frames[2:10], "big")
        yield frames[head : head + size].decode()
        frames = frames[head + size :]


class Wire:
    """A connection whose peer does not read between `block` and `unblock`.

    With `direct` it has a direct writer; `writes` counts the direct writes.
    """

    def __init__(self, *, direct: bool = False) -> None:
        self._direct = direct
        self.writes = 0
        self.sent: list[AsgiEvent] = []
        self.aborted = False
        self._reads: asyncio.Event | None = None
        self._on_writer_change: Callable[[], None] = lambda: None

    def direct_writer(self) -> WriteFunction | None:
        return self._write if self._direct and self._reads is None else None

    def _write(self, data: bytes) -> None:
        self.writes += 1
        self.sent += [{"type": "websocket.send", "text": text} for text in texts_in(data)]

    def watch(self, on_writer_change: Callable[[], None]) -> None:
        self._on_writer_change = on_writer_change

    async def send(self, event: AsgiEvent) -> None:
        if self._reads is not None:
            await self._reads.wait()
        self.sent.append(event)

    async def receive(self) -> AsgiEvent:
        raise NotImplementedError

    def abort(self) -> bool:
        self.aborted = True
        return True

    def block(self) -> None:
        self._reads = asyncio.Event()
        self._on_writer_change()

    def unblock(self) -> None:
        assert self._reads is not None
        self._reads.set()
        self._reads = None
        self._on_writer_change()

    @property
    def texts(self) -> list[str]:
        return [event["text"] for event in self.sent if "text" in event]


def run_concurrently(*calls: Callable[[], T]) -> list[T | Exception]:
    """Runs calls in threads that start together.

    Returns results or exceptions.
    """
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], T]) -> T | Exception:
        start.wait(10)
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - the test checks it
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))
