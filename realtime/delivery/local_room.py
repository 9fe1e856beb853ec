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
from .subscriber import Frame, Listener, text_event

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
        "access",
        "crowd",
        "early",
        "id",
        "live",
        "names",
        "settling",
        "throttled",
        "unwritten",
        "unwritten_characters",
        "users",
        "version",
        "ways",
    )

    def __init__(self, room_id: int, version: int, access: int) -> None:
        self.id = room_id
        self.version = version
        self.access = access
        self.ways: dict[Listener, Write] = {}
        """Those who have exactly what the room has, each with the way past their outbox. The loop
        over the ways is the hot path, and touches nothing else of anybody: in a large room whatever
        is looked at for each recipient is in no cache.
        """
        self.live: set[Listener] = set()
        """Those who have exactly what the room has and are written to by their outbox."""
        self.settling: set[Listener] = set()
        """Those who replay, or who read a version from the database that has not come here yet."""
        self.early: dict[int, Frame] = {}
        self.unwritten: list[Event] = []
        """What `ways` and `live` have yet to be written while a bundle is open."""
        self.unwritten_characters = 0
        self.users: dict[int, int] = {}
        self.names: dict[int, str] = {}
        self.crowd = 0
        """Users in the room over all processes, as of the last that came or went here."""
        self.throttled: dict[tuple[str, int], float] = {}

    # Who is here

    @property
    def announces(self) -> bool:
        """In a crowd join, exit, typing and read concern nobody, and each would cost a frame for
        all (decision 11).
        """
        most: int | None = settings.CHAT_PRESENCE_MAX_USERS
        return most is None or max(len(self.users), self.crowd) <= most

    def add(self, listener: Listener) -> None:
        self.settling.add(listener)
        user_id = listener.caller.user_id
        self.users[user_id] = self.users.get(user_id, 0) + 1
        self.names[user_id] = listener.caller.username

    def discard(self, listener: Listener) -> bool:
        """True when it was the user's last socket here."""
        self._take_from_live(listener)
        self.settling.discard(listener)
        listener.forget_held()
        user_id = listener.caller.user_id
        self.users[user_id] -= 1
        if self.users[user_id]:
            return False
        del self.users[user_id], self.names[user_id]
        for what in ("typing", "join"):
            self.allow_again(what, user_id)
        return True

    def holds(self, listener: Listener) -> bool:
        return listener in self.ways or listener in self.live or listener in self.settling

    def listeners(self) -> list[Listener]:
        return [*self.ways, *self.live, *self.settling]

    def listeners_of(self, user_id: int) -> list[Listener]:
        return [one for one in self.listeners() if one.caller.user_id == user_id]

    def has_unjudged(self, asked: Collection[int], access: int) -> bool:
        """Whether somebody came in meanwhile who was let in before the counter rose so far."""
        return any(
            one.access < access and one.caller.user_id not in asked for one in self.listeners()
        )

    def settle(self, listener: Listener, version: int) -> None:
        """Everything up to `version` was replayed to it; from here on it hears what comes."""
        listener.release(version)
        self._promote(listener)

    def _promote(self, listener: Listener) -> None:
        if listener in self.settling and listener.held is None and listener.version <= self.version:
            # It has heard by itself what the others have yet to be written.
            self.write_out()
            self.settling.discard(listener)
            listener.outbox.on_way_change = partial(self._route, listener)
            self._route(listener)

    def _route(self, listener: Listener) -> None:
        """How a live one is written to; called again when its outbox says that it has changed."""
        way = listener.outbox.way
        if way is not None:
            self.live.discard(listener)
            self.ways[listener] = way
        else:
            self.ways.pop(listener, None)
            self.live.add(listener)

    def _take_from_live(self, listener: Listener) -> None:
        self.write_out()
        listener.outbox.on_way_change = ignore_change
        self.ways.pop(listener, None)
        self.live.discard(listener)

    def _promote_all(self) -> None:
        for listener in list(self.settling):
            self._promote(listener)

    def unsettle(self, listener: Listener) -> None:
        """Holds back what comes while it replays; nothing for one that was sent away meanwhile."""
        if not self.holds(listener):
            return
        if listener.held is None:
            listener.held = []
        self._take_from_live(listener)
        self.settling.add(listener)

    # Versions in order

    def deliver(self, frame: Frame) -> bool:
        """Hands on a versioned frame. False when it has to wait for what is missing before it."""
        if frame.version <= self.version:
            return True
        if frame.version > self.version + 1 or frame.access > self.access:
            if len(self.early) < MAX_OUT_OF_ORDER:
                self.early[frame.version] = frame
            return False
        self._emit(frame)
        self._emit_early()
        self._promote_all()
        return not self.early

    def fill(self, frames: Iterable[Frame]) -> None:
        """Hands on what the database had, in order; versions that were replaced are missing.

        Each frame is as it is for those who had what the room had when it began. Who had more is
        settling, and stays so until the end: `Listener.hear` knows what was told to it.
        """
        told = self.version
        for frame in frames:
            if frame.version > self.version:
                self._emit(frame.after(told))
        self.early = {version: one for version, one in self.early.items() if version > self.version}
        self._emit_early()
        self._promote_all()

    def _emit_early(self) -> None:
        while (frame := self.early.get(self.version + 1)) and frame.access <= self.access:
            del self.early[frame.version]
            self._emit(frame)

    def _emit(self, frame: Frame) -> None:
        self.version = frame.version
        door.note_message()
        counts.deliveries += len(self.settling)
        for listener in list(self.settling):
            listener.hear(frame)
        self._tell_settled(frame.event)

    def _tell_settled(self, event: Event) -> None:
        """To those who have exactly what the room has; once the bundle closes, if one is open."""
        counts.deliveries += len(self.ways) + len(self.live)
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
        live = list(self.live)
        if self.ways:
            self._write_past(b"".join([frame_cache.of(event["text"]) for event in events]))
        for listener in live:
            for event in events:
                listener.write(event)

    def _write_past(self, data: bytes) -> None:
        for way in list(self.ways.values()):
            try:
                way(data)
            except Exception as error:  # noqa: BLE001 - whatever it raises, half a frame may be out
                log.debug("A socket takes no more: %s", type(error).__name__)
                for listener in [one for one, its in self.ways.items() if its is way]:
                    listener.outbox.cut()

    # Frames outside the order: typing, join, exit, read

    def say(self, text: str, *, but: int | None = None, droppable: bool = False) -> None:
        """To every socket that has heard `ready`, except those of the user `but`."""
        event = text_event(text)
        if but is None and not droppable:
            self._tell_settled(event)
            others: Collection[Listener] = self.settling
        else:
            self.write_out()
            others = self.listeners()
        told = [one for one in others if one.ready and one.caller.user_id != but]
        counts.deliveries += len(told)
        for listener in told:
            # One that was cut meanwhile takes nothing more.
            listener.write(event, droppable=droppable)

    def may_say(self, what: str, user_id: int, every: float) -> bool:
        """At most once in `every` seconds for one user."""
        if time.monotonic() - self.throttled.get((what, user_id), -every) < every:
            return False
        self.note_said(what, user_id)
        return True

    def note_said(self, what: str, user_id: int) -> None:
        """From now on it counts as said by them."""
        self.throttled[what, user_id] = time.monotonic()

    def allow_again(self, what: str, user_id: int) -> bool:
        """Lets a user say it at once. False when they did not say it before."""
        return self.throttled.pop((what, user_id), None) is not None
