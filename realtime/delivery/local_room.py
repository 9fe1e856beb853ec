"""A room with sockets in this process: who listens, and the order in which they hear.

Whatever brings the frames (the writer of this process, another process, a repair from the database)
each socket hears strictly rising versions. The next version goes out at once, an older one is
dropped, and one that jumps ahead waits here until what is missing has come or was fetched.
"""

import logging
import time
from collections.abc import Collection, Iterable
from functools import partial

from django.conf import settings

from realtime.connection.admission import door
from realtime.metrics import counts
from realtime.servers.framing import frame_cache
from realtime.servers.interface import Event, Write, ignore_change

from .batching import write_batch
from .subscriber import Subscriber, VersionedFrame, text_event

log = logging.getLogger(__name__)

MAX_OUT_OF_ORDER = 2000
"""Frames that wait for one before them; the repair reads from the database what is not kept."""
MAX_WRITE_LENGTH = 16_000
"""Characters that a room joins for one write, in UTF-8 less than 64 KiB. Servers feel by such
amounts who does not read: after more at a time everybody would wait as if they did not.
"""
TYPING_INTERVAL = 1.0
JOIN_INTERVAL = 10.0


class LocalRoom:
    __slots__ = (
        "access_epoch",
        "catching_up",
        "direct_writers",
        "id",
        "names",
        "online_total",
        "out_of_order",
        "queued_subscribers",
        "throttled",
        "unwritten",
        "unwritten_characters",
        "users",
        "version",
    )

    def __init__(self, room_id: int, version: int, access_epoch: int) -> None:
        self.id = room_id
        self.version = version
        self.access_epoch = access_epoch
        self.direct_writers: dict[Subscriber, Write] = {}
        """Those who have exactly what the room has, each with the way past their outbox. The loop
        over the ways is the hot path, and touches nothing else of anybody: in a large room whatever
        is looked at for each recipient is in no cache.
        """
        self.queued_subscribers: set[Subscriber] = set()
        """Those who have exactly what the room has and are written to by their outbox."""
        self.catching_up: set[Subscriber] = set()
        """Those who replay, or who read a version from the database that has not come here yet."""
        self.out_of_order: dict[int, VersionedFrame] = {}
        self.unwritten: list[Event] = []
        """What `ways` and `live` have yet to be written while a bundle is open."""
        self.unwritten_characters = 0
        self.users: dict[int, int] = {}
        self.names: dict[int, str] = {}
        self.online_total = 0
        """Users in the room over all processes, as of the last that came or went here."""
        self.throttled: dict[tuple[str, int], float] = {}

    # Who is here

    @property
    def announces(self) -> bool:
        """In a crowd join, exit, typing and read concern nobody, and each would cost a frame for
        all (decision 11).
        """
        most: int | None = settings.CHAT_PRESENCE_MAX_USERS
        return most is None or max(len(self.users), self.online_total) <= most

    def add(self, subscriber: Subscriber) -> None:
        self.catching_up.add(subscriber)
        user_id = subscriber.caller.user_id
        self.users[user_id] = self.users.get(user_id, 0) + 1
        self.names[user_id] = subscriber.caller.username

    def discard(self, subscriber: Subscriber) -> bool:
        """True when it was the user's last socket here."""
        self._remove_from_receivers(subscriber)
        self.catching_up.discard(subscriber)
        subscriber.forget_held()
        user_id = subscriber.caller.user_id
        self.users[user_id] -= 1
        if self.users[user_id]:
            return False
        del self.users[user_id], self.names[user_id]
        for what in ("typing", "join"):
            self.reset_throttle(what, user_id)
        return True

    def holds(self, subscriber: Subscriber) -> bool:
        return (
            subscriber in self.direct_writers
            or subscriber in self.queued_subscribers
            or subscriber in self.catching_up
        )

    def subscribers(self) -> list[Subscriber]:
        return [*self.direct_writers, *self.queued_subscribers, *self.catching_up]

    def subscribers_of(self, user_id: int) -> list[Subscriber]:
        return [one for one in self.subscribers() if one.caller.user_id == user_id]

    def has_unchecked(self, asked: Collection[int], access_epoch: int) -> bool:
        """Whether somebody came in meanwhile who was let in before the counter rose so far."""
        return any(
            one.access_epoch < access_epoch and one.caller.user_id not in asked
            for one in self.subscribers()
        )

    def finish_catch_up(self, subscriber: Subscriber, version: int) -> None:
        """Everything up to `version` was replayed to it; from here on it hears what comes."""
        subscriber.release(version)
        self._promote(subscriber)

    def _promote(self, subscriber: Subscriber) -> None:
        if (
            subscriber in self.catching_up
            and subscriber.buffer is None
            and subscriber.version <= self.version
        ):
            # It has heard by itself what the others have yet to be written.
            self.write_out()
            self.catching_up.discard(subscriber)
            subscriber.outbox.on_way_change = partial(self._route, subscriber)
            self._route(subscriber)

    def _route(self, subscriber: Subscriber) -> None:
        """How a live one is written to; called again when its outbox says that it has changed."""
        way = subscriber.outbox.way
        if way is not None:
            self.queued_subscribers.discard(subscriber)
            self.direct_writers[subscriber] = way
        else:
            self.direct_writers.pop(subscriber, None)
            self.queued_subscribers.add(subscriber)

    def _remove_from_receivers(self, subscriber: Subscriber) -> None:
        self.write_out()
        subscriber.outbox.on_way_change = ignore_change
        self.direct_writers.pop(subscriber, None)
        self.queued_subscribers.discard(subscriber)

    def _promote_all(self) -> None:
        for subscriber in list(self.catching_up):
            self._promote(subscriber)

    def begin_catch_up(self, subscriber: Subscriber) -> None:
        """Holds back what comes while it replays; nothing for one that was sent away meanwhile."""
        if not self.holds(subscriber):
            return
        if subscriber.buffer is None:
            subscriber.buffer = []
        self._remove_from_receivers(subscriber)
        self.catching_up.add(subscriber)

    # Versions in order

    def deliver(self, frame: VersionedFrame) -> bool:
        """Hands on a versioned frame. False when it has to wait for what is missing before it."""
        if frame.version <= self.version:
            return True
        if frame.version > self.version + 1 or frame.access_epoch > self.access_epoch:
            if len(self.out_of_order) < MAX_OUT_OF_ORDER:
                self.out_of_order[frame.version] = frame
            return False
        self._emit(frame)
        self._emit_out_of_order()
        self._promote_all()
        return not self.out_of_order

    def fill(self, frames: Iterable[VersionedFrame]) -> None:
        """Hands on what the database had, in order; versions that were replaced are missing.

        Each frame is as it is for those who had what the room had when it began. Who had more is
        settling, and stays so until the end: `Listener.hear` knows what was told to it.
        """
        told = self.version
        for frame in frames:
            if frame.version > self.version:
                self._emit(frame.after(told))
        self.out_of_order = {
            version: one for version, one in self.out_of_order.items() if version > self.version
        }
        self._emit_out_of_order()
        self._promote_all()

    def _emit_out_of_order(self) -> None:
        while (
            frame := self.out_of_order.get(self.version + 1)
        ) and frame.access_epoch <= self.access_epoch:
            del self.out_of_order[frame.version]
            self._emit(frame)

    def _emit(self, frame: VersionedFrame) -> None:
        self.version = frame.version
        door.note_message()
        counts.deliveries += len(self.catching_up)
        for subscriber in list(self.catching_up):
            subscriber.hear(frame)
        self._tell_settled(frame.event)

    def _tell_settled(self, event: Event) -> None:
        """To those who have exactly what the room has; once the bundle closes, if one is open."""
        counts.deliveries += len(self.direct_writers) + len(self.queued_subscribers)
        characters = len(event["text"])
        if self.unwritten_characters + characters > MAX_WRITE_LENGTH:
            self.write_out()
        if write_batch.is_open and not self.unwritten:
            write_batch.add(self)
        self.unwritten.append(event)
        self.unwritten_characters += characters
        if not write_batch.is_open:
            self.write_out()

    def write_out(self) -> None:
        """Writes what was told to those who have exactly what the room has."""
        if not self.unwritten:
            return
        events, self.unwritten, self.unwritten_characters = self.unwritten, [], 0
        # Before anything is written: one that is found not to read moves to `live`, and has it all.
        queued_subscribers = list(self.queued_subscribers)
        if self.direct_writers:
            self._write_past(b"".join([frame_cache.of(event["text"]) for event in events]))
        for subscriber in queued_subscribers:
            for event in events:
                subscriber.write(event)

    def _write_past(self, data: bytes) -> None:
        for way in list(self.direct_writers.values()):
            try:
                way(data)
            except Exception as error:  # noqa: BLE001 - whatever it raises, half a frame may be out
                log.debug("A socket takes no more: %s", type(error).__name__)
                for subscriber in [one for one, its in self.direct_writers.items() if its is way]:
                    subscriber.outbox.cut()

    # Frames outside the order: typing, join, exit, read

    def say(self, text: str, *, but: int | None = None, droppable: bool = False) -> None:
        """To every socket that has heard `ready`, except those of the user `but`."""
        event = text_event(text)
        if but is None and not droppable:
            self._tell_settled(event)
            others: Collection[Subscriber] = self.catching_up
        else:
            self.write_out()
            others = self.subscribers()
        told = [one for one in others if one.ready and one.caller.user_id != but]
        counts.deliveries += len(told)
        for subscriber in told:
            # One that was cut meanwhile takes nothing more.
            subscriber.write(event, droppable=droppable)

    def may_send(self, what: str, user_id: int, every: float) -> bool:
        """At most once in `every` seconds for one user."""
        if time.monotonic() - self.throttled.get((what, user_id), -every) < every:
            return False
        self.note_sent(what, user_id)
        return True

    def note_sent(self, what: str, user_id: int) -> None:
        """From now on it counts as said by them."""
        self.throttled[what, user_id] = time.monotonic()

    def reset_throttle(self, what: str, user_id: int) -> bool:
        """Lets a user say it at once. False when they did not say it before."""
        return self.throttled.pop((what, user_id), None) is not None
