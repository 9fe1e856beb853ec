"""Delivers the frames of one room to its sockets, in strictly rising version.

Frames come from the writer of this process, from another process, or from the repair. The next
version is delivered at once, an older one is dropped, and a later one waits until the missing
versions arrive or are read from the database.
"""

import logging
import time
from collections.abc import Collection, Iterable, Mapping
from functools import partial

from django.conf import settings

from realtime.protocol.encoding import with_room_id
from realtime.servers.interface import Event, WriteFunction, ignore_change

from .local_state import LocalState
from .out_of_order_frames import OutOfOrderFrames
from .small_mappings import NO_ENTRIES, with_entry, without_entry
from .subscriber import Subscriber, VersionedFrame, text_event

log = logging.getLogger(__name__)

MAX_WRITE_LENGTH = 16_000
"""Characters that a room joins for one write, in UTF-8 less than 64 KiB. Servers detect a slow
reader by that amount: a larger write would make every reader look slow.
"""
NO_USERS: frozenset[int] = frozenset()
"""Shared: an empty set of its own would take 216 bytes in each room."""


def may_announce(*counts: int) -> bool:
    """Whether a room of this size gets join, exit, typing and receipts.

    Above CHAT_PRESENCE_MAX_USERS each would cost a frame for every member (decision 11).
    """
    most: int | None = settings.CHAT_PRESENCE_MAX_USERS
    return most is None or max(counts) <= most


class LocalRoom:
    """Holds a room's version, subscribers and users in this process."""

    __slots__ = (
        "access_epoch",
        "catching_up",
        "direct_writers",
        "events_subscribers",
        "events_writers",
        "id",
        "names",
        "online_total",
        "out_of_order",
        "queued_subscribers",
        "state",
        "throttled",
        "unsharing",
        "unwritten",
        "unwritten_characters",
        "users",
        "version",
    )

    def __init__(self, room_id: int, version: int, access_epoch: int, state: LocalState) -> None:
        self.id = room_id
        self.state = state
        self.version = version
        self.access_epoch = access_epoch
        # Up-to-date subscribers, mapped to their transport's write function. Fan-out loops over
        # these functions only: touching any other per-socket object costs a cache miss per
        # recipient.
        self.direct_writers: Mapping[Subscriber, WriteFunction] = NO_ENTRIES
        # The same for events sockets, whose frames need a `room_id` (`protocol.with_room_id`).
        self.events_writers: Mapping[Subscriber, WriteFunction] = NO_ENTRIES
        # Subscribers on events sockets, up to date or not.
        self.events_subscribers = 0
        # Up-to-date subscribers that receive frames through their send queue.
        self.queued_subscribers: Mapping[Subscriber, None] = NO_ENTRIES
        # Subscribers that replay, or that read a version which has not arrived here.
        self.catching_up: Mapping[Subscriber, None] = NO_ENTRIES
        self.out_of_order: OutOfOrderFrames | None = None
        self.unwritten: list[tuple[Event, Event]] | None = None
        """Frames for up-to-date subscribers, written when the write batch closes.

        Two events for each frame, nearly always the same: for room sockets, and for events sockets.
        """
        self.unwritten_characters = 0
        self.users: Mapping[int, int] = NO_ENTRIES
        self.names: Mapping[int, str] = NO_ENTRIES
        # Users here who do not share receipts, and so receive none.
        self.unsharing = NO_USERS
        self.online_total = 0
        """Users in the room over all processes, as of the last arrival or departure here."""
        self.throttled: Mapping[tuple[str, int], float] = NO_ENTRIES

    # Subscribers

    @property
    def announces(self) -> bool:
        """Whether join, exit, typing and read go to the room.

        Sockets of all rooms that follow it count, too, because they receive these frames.
        """
        return may_announce(len(self.users), self.online_total, self.events_subscribers)

    @property
    def is_empty(self) -> bool:
        return not (
            self.direct_writers
            or self.events_writers
            or self.queued_subscribers
            or self.catching_up
        )

    def add(self, subscriber: Subscriber) -> None:
        self.catching_up = with_entry(self.catching_up, subscriber, None)
        self.events_subscribers += subscriber.on_events_socket
        if not subscriber.caller.shares_receipts:
            self.set_sharing(subscriber.caller.user_id, shares=False)
        if subscriber.is_present:
            self.enter(subscriber)

    def enter(self, subscriber: Subscriber) -> None:
        """Counts the subscriber's user as online in the room."""
        subscriber.is_present = True
        user_id = subscriber.caller.user_id
        self.users = with_entry(self.users, user_id, self.users.get(user_id, 0) + 1)
        self.names = with_entry(self.names, user_id, subscriber.caller.username)

    def discard(self, subscriber: Subscriber) -> bool:
        """Removes a subscriber. True when its user is not online here any more."""
        self._remove_from_receivers(subscriber)
        self.catching_up = without_entry(self.catching_up, subscriber)
        subscriber.forget_buffered()
        self.events_subscribers -= subscriber.on_events_socket
        was_last = subscriber.is_present and self._leave(subscriber.caller.user_id)
        user_id = subscriber.caller.user_id
        if user_id not in self.users:
            for what in ("typing", "join"):
                self.reset_throttle(what, user_id)
        if user_id in self.unsharing and not self.subscribers_of(user_id):
            self.set_sharing(user_id, shares=True)
        return was_last

    def set_sharing(self, user_id: int, *, shares: bool) -> None:
        """Remembers whether a user here shares receipts, and so receives them."""
        others = self.unsharing - {user_id}
        self.unsharing = (others or NO_USERS) if shares else others | {user_id}

    def _leave(self, user_id: int) -> bool:
        left = self.users[user_id] - 1
        if left:
            self.users = with_entry(self.users, user_id, left)
            return False
        self.users = without_entry(self.users, user_id)
        self.names = without_entry(self.names, user_id)
        return True

    def holds(self, subscriber: Subscriber) -> bool:
        return (
            subscriber in self.direct_writers
            or subscriber in self.events_writers
            or subscriber in self.queued_subscribers
            or subscriber in self.catching_up
        )

    def subscribers(self) -> list[Subscriber]:
        return [
            *self.direct_writers,
            *self.events_writers,
            *self.queued_subscribers,
            *self.catching_up,
        ]

    def user_ids(self) -> frozenset[int]:
        """Returns the users with a subscriber here, online in the room or not."""
        return frozenset([one.caller.user_id for one in self.subscribers()])

    def subscribers_of(self, user_id: int) -> list[Subscriber]:
        return [one for one in self.subscribers() if one.caller.user_id == user_id]

    def has_unchecked(self, checked: Collection[int], access_epoch: int) -> bool:
        """Whether a socket of an older access epoch subscribed since its users were read."""
        return any(
            one.access_epoch < access_epoch and one.caller.user_id not in checked
            for one in self.subscribers()
        )

    def finish_catch_up(self, subscriber: Subscriber, version: int) -> None:
        """Ends a replay that reached `version`.

        From now on the subscriber receives live frames.
        """
        subscriber.release(version)
        self._promote(subscriber)

    def _promote(self, subscriber: Subscriber) -> None:
        if (
            subscriber in self.catching_up
            and subscriber.buffer is None
            and subscriber.version <= self.version
        ):
            # It already has the frames that the write batch holds for the others.
            self.write_out()
            self.catching_up = without_entry(self.catching_up, subscriber)
            subscriber.watch_writer(partial(self._route, subscriber))
            self._route(subscriber)

    def _route(self, subscriber: Subscriber) -> None:
        """Selects direct writer or send queue for a subscriber, also after each change."""
        direct_writer = subscriber.queue.direct_writer
        if direct_writer is None:
            self._remove_writer(subscriber)
            self.queued_subscribers = with_entry(self.queued_subscribers, subscriber, None)
            return
        self.queued_subscribers = without_entry(self.queued_subscribers, subscriber)
        if subscriber.on_events_socket:
            self.events_writers = with_entry(self.events_writers, subscriber, direct_writer)
        else:
            self.direct_writers = with_entry(self.direct_writers, subscriber, direct_writer)

    def reroute(self, subscriber: Subscriber) -> None:
        """Routes a subscriber again, after the writer of its events socket changed."""
        if subscriber in self.events_writers or subscriber in self.queued_subscribers:
            self._route(subscriber)

    def _remove_writer(self, subscriber: Subscriber) -> None:
        if subscriber.on_events_socket:
            self.events_writers = without_entry(self.events_writers, subscriber)
        else:
            self.direct_writers = without_entry(self.direct_writers, subscriber)

    def _remove_from_receivers(self, subscriber: Subscriber) -> None:
        self.write_out()
        subscriber.watch_writer(ignore_change)
        self._remove_writer(subscriber)
        self.queued_subscribers = without_entry(self.queued_subscribers, subscriber)

    def _promote_all(self) -> None:
        for subscriber in list(self.catching_up):
            self._promote(subscriber)

    def begin_catch_up(self, subscriber: Subscriber) -> None:
        """Buffers live frames during a replay.

        Does nothing for a disconnected subscriber.
        """
        if not self.holds(subscriber):
            return
        if subscriber.buffer is None:
            subscriber.buffer = []
        self._remove_from_receivers(subscriber)
        self.catching_up = with_entry(self.catching_up, subscriber, None)

    # Versions in order

    def deliver(self, frame: VersionedFrame) -> bool:
        """Delivers a versioned frame.

        False when it waits for a missing version before it.
        """
        if frame.version <= self.version:
            return True
        if frame.version > self.version + 1 or frame.access_epoch > self.access_epoch:
            self.out_of_order = self.out_of_order or OutOfOrderFrames()
            self.out_of_order.add(frame)
            return False
        self._emit(frame)
        self._emit_out_of_order()
        self._promote_all()
        return not self.out_of_order

    def fill(self, frames: Iterable[VersionedFrame]) -> None:
        """Delivers what the database had, in order. Superseded versions are missing.

        Each frame is right for subscribers at the version that the room had before. Subscribers at
        a later one stay in `catching_up` until the repair ends; `Subscriber.receive` compares each
        frame with their version.
        """
        before = self.version
        for frame in frames:
            if frame.version > self.version:
                self._emit(frame.after(before))
        if self.out_of_order:
            self.out_of_order.forget_up_to(self.version)
        self._emit_out_of_order()
        self._promote_all()

    def _emit_out_of_order(self) -> None:
        while self.out_of_order and (
            frame := self.out_of_order.take(self.version + 1, self.access_epoch)
        ):
            self._emit(frame)
        if not self.out_of_order:
            self.out_of_order = None

    def _emit(self, frame: VersionedFrame) -> None:
        self.version = frame.version
        self.state.message_flow.record()
        self.state.counts.deliveries += len(self.catching_up)
        for subscriber in list(self.catching_up):
            subscriber.receive(frame)
        self._send_to_up_to_date(frame.event)

    def _send_to_up_to_date(self, event: Event, for_events_sockets: Event | None = None) -> None:
        """Sends to up-to-date subscribers, when the write batch closes if one is open."""
        self.state.counts.deliveries += (
            len(self.direct_writers) + len(self.events_writers) + len(self.queued_subscribers)
        )
        characters = len(event["text"])
        if self.unwritten_characters + characters > MAX_WRITE_LENGTH:
            self.write_out()
        if self.unwritten is None:
            self.unwritten = []
            if self.state.write_batch.is_open:
                self.state.write_batch.add(self)
        self.unwritten.append((event, for_events_sockets or event))
        self.unwritten_characters += characters
        if not self.state.write_batch.is_open:
            self.write_out()

    def write_out(self) -> None:
        """Writes the batched frames to up-to-date subscribers."""
        if self.unwritten is None:
            return
        begun_at = time.monotonic()
        frames, self.unwritten, self.unwritten_characters = self.unwritten, None, 0
        # Copied before anything is written: a subscriber found not to read moves to this set, and
        # has received the frames already.
        queued = list(self.queued_subscribers)
        if self.direct_writers or self.events_writers:
            self._write_frames(frames)
        for subscriber in queued:
            for event, for_events_sockets in frames:
                subscriber.write(for_events_sockets if subscriber.on_events_socket else event)
        self.state.message_flow.record_fan_out(begun_at)

    def _write_frames(self, frames: list[tuple[Event, Event]]) -> None:
        frame_of = self.state.frame_cache.of
        encoded = [frame_of(event["text"]) for event, _ in frames]
        if self.direct_writers:
            _write_directly(self.direct_writers, b"".join(encoded))
        if self.events_writers:
            for number, (event, for_events_sockets) in enumerate(frames):
                if for_events_sockets is not event:
                    encoded[number] = frame_of(for_events_sockets["text"])
            _write_directly(self.events_writers, b"".join(encoded))

    # Frames outside the order of versions: typing, join, exit, read

    def send(
        self, text: str, *, except_user_id: int | None = None, droppable: bool = False
    ) -> None:
        """Sends to every socket that has received `ready`, except those of one user."""
        event = text_event(text)
        for_events_sockets = self._with_room_id(event, text)
        if except_user_id is None and not droppable:
            self._send_to_up_to_date(event, for_events_sockets)
            others: Collection[Subscriber] = self.catching_up
        else:
            self.write_out()
            others = self.subscribers()
        receivers = [one for one in others if one.ready and one.caller.user_id != except_user_id]
        self.state.counts.deliveries += len(receivers)
        for subscriber in receivers:
            # A socket that was disconnected meanwhile drops the frame.
            subscriber.write(
                for_events_sockets if subscriber.on_events_socket else event, droppable=droppable
            )

    def send_to(self, subscribers: Collection[Subscriber], text: str) -> None:
        """Sends to those of some subscribers that have received `ready`."""
        # Not before the message that the frame may be about.
        self.write_out()
        event = text_event(text)
        for_events_sockets = self._with_room_id(event, text)
        receivers = [one for one in subscribers if one.ready]
        self.state.counts.deliveries += len(receivers)
        for subscriber in receivers:
            subscriber.write(for_events_sockets if subscriber.on_events_socket else event)

    def _with_room_id(self, event: Event, text: str) -> Event:
        return text_event(with_room_id(text, self.id)) if self.events_subscribers else event

    def may_send(self, what: str, user_id: int, interval: float) -> bool:
        """Whether a user may send this again: at most once in `interval` seconds."""
        if time.monotonic() - self.throttled.get((what, user_id), -interval) < interval:
            return False
        self.note_sent(what, user_id)
        return True

    def note_sent(self, what: str, user_id: int) -> None:
        """Starts the interval of `may_send`."""
        self.throttled = with_entry(self.throttled, (what, user_id), time.monotonic())

    def reset_throttle(self, what: str, user_id: int) -> bool:
        """Ends the interval. False when the user sent nothing in it."""
        was_throttled = (what, user_id) in self.throttled
        self.throttled = without_entry(self.throttled, (what, user_id))
        return was_throttled


def _write_directly(writers: Mapping[Subscriber, WriteFunction], data: bytes) -> None:
    for write in list(writers.values()):
        try:
            write(data)
        except Exception as error:  # noqa: BLE001 - half a frame may be out
            log.debug("A socket cannot be written to: %s", type(error).__name__)
            for subscriber in [one for one, its in writers.items() if its is write]:
                subscriber.queue.cut()
