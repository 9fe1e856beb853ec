"""The messages of a room as an app shows them: in order, no gap, each once.

No network here: `catch_up.py` asks the server for what this file finds missing.
"""

from collections import OrderedDict
from typing import NamedTuple

from .events import Change, ChangeKind, Position
from .models import Message

MAX_BEYOND = 2000
"""Changes of messages before the window that are kept while older messages load."""


class _Applied(NamedTuple):
    kind: ChangeKind
    message: Message


class Timeline:
    """A window of messages without a hole, from some `seq` to the newest.

    `version`: every change up to it is in the window, or before it. A message that comes before
    its predecessors is held until they are there, and `version` stays meanwhile.
    """

    def __init__(self, room_id: int, position: Position, most: int) -> None:
        self.room_id = room_id
        self.version = position.version
        self.last_seq = position.seq
        self.frozen = False
        """Keeps `version`, while changes before those that arrive may be missing."""
        self.seen = position.version
        """The highest version that the socket brought."""
        self._most = most
        self._window: OrderedDict[int, Message] = OrderedDict()
        self._held: dict[int, Message] = {}
        self._beyond: dict[int, Message] | None = None

    @property
    def messages(self) -> list[Message]:
        return list(self._window.values())

    @property
    def first_seq(self) -> int:
        """The `seq` at which the window begins, also while it is empty."""
        return self.last_seq - len(self._window) + 1

    @property
    def has_hole(self) -> bool:
        return bool(self._held)

    @property
    def held(self) -> int:
        return len(self._held)

    def find(self, message_id: int) -> Message | None:
        return next((one for one in reversed(self._window.values()) if one.id == message_id), None)

    # Changes

    def apply(self, kind: ChangeKind, message: Message) -> list[Change]:
        """Applies a frame of the socket, and returns what is new to the app."""
        repeated = message.version <= self.version
        self.seen = max(self.seen, message.version)
        if repeated and message.seq < self.first_seq:
            return []
        return self._changes(self._take(kind, message))

    def apply_history(self, messages: list[Message]) -> list[Change]:
        """Applies an answer of REST, whose versions may be ahead of the socket's."""
        applied: list[_Applied] = []
        for message in messages:
            if message.seq >= self.first_seq:
                applied += self._take("message", message)
        return self._changes(applied)

    def settle(self) -> None:
        """Moves `version` on, unless something before it may be missing."""
        if not self.frozen and not self._held:
            self.version = max(self.version, self.seen)

    def drop_held(self) -> None:
        """Forgets what waits for its predecessors: it is asked for again."""
        self._held.clear()

    def restart(self, position: Position) -> None:
        """Begins anew, after the server lost changes that it had sent."""
        self._window.clear()
        self._held.clear()
        self.version = self.seen = position.version
        self.last_seq = position.seq

    def _take(self, kind: ChangeKind, message: Message) -> list[_Applied]:
        if message.seq > self.last_seq + 1:
            held = self._held.get(message.seq)
            if held is None or held.version < message.version:
                self._held[message.seq] = message
            return []
        if message.seq == self.last_seq + 1:
            return self._append(message)
        return self._replace(kind, message)

    def _append(self, message: Message) -> list[_Applied]:
        applied: list[_Applied] = []
        following: Message | None = message
        while following is not None:
            held = self._held.pop(following.seq, following)
            newest = held if held.version > following.version else following
            self._window[newest.seq] = newest
            self.last_seq = newest.seq
            applied.append(_Applied("message", newest))
            following = self._held.get(self.last_seq + 1)
        while len(self._window) > self._most:
            self._window.popitem(last=False)
        return applied

    def _replace(self, kind: ChangeKind, message: Message) -> list[_Applied]:
        shown = self._window.get(message.seq)
        if shown is None:
            if self._beyond is not None:
                _keep_newest(self._beyond, message)
            # As a change: the app had the message before this window.
            return [_Applied("edit" if kind == "message" else kind, message)]
        if message.version <= shown.version:
            return []
        self._window[message.seq] = message
        return [_Applied(_difference(shown, message) if kind == "message" else kind, message)]

    def _changes(self, applied: list[_Applied]) -> list[Change]:
        """Gives each change the position after it; `version` counts with the last one."""
        before = self.version
        self.settle()
        last = len(applied) - 1
        seq = self.last_seq
        changes = []
        for number, (kind, message) in enumerate(applied):
            if kind == "message":
                seq = message.seq
            version = self.version if number == last else before
            changes.append(Change(kind, self.room_id, message, Position(version, seq)))
        return changes

    # Older messages

    def begin_loading(self) -> None:
        """Keeps changes of messages before the window until `prepend`."""
        self._beyond = {}

    @property
    def too_many_beyond(self) -> bool:
        return self._beyond is not None and len(self._beyond) >= MAX_BEYOND

    def prepend(self, messages: list[Message]) -> list[Message]:
        """Puts older messages before the window, newest state of each."""
        beyond, self._beyond = self._beyond or {}, None
        added = []
        for message in reversed(messages):
            if message.seq != self.first_seq - 1:
                continue
            changed = beyond.get(message.seq, message)
            newest = changed if changed.version > message.version else message
            self._window[message.seq] = newest
            self._window.move_to_end(message.seq, last=False)
            added.append(newest)
        return added[::-1]


def _keep_newest(kept: dict[int, Message], message: Message) -> None:
    known = kept.get(message.seq)
    if len(kept) < MAX_BEYOND and (known is None or known.version < message.version):
        kept[message.seq] = message


def _difference(old: Message, new: Message) -> ChangeKind:
    """Names the change between two states, for states that come without a name."""
    if new.deleted and not old.deleted:
        return "delete"
    if new.edited_at != old.edited_at or new.content != old.content:
        return "edit"
    if new.pinned != old.pinned:
        return "pin"
    return "reaction"
