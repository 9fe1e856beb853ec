"""What the clients of a drill wrote down: all that the checker has to go by besides the history."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Frame = dict[str, Any]
CHANGES = frozenset({"message", "edit", "delete", "reaction"})
"""The frames that carry a version."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a token stands for, and the token."""

    id: int
    username: str
    access: str


@dataclass(frozen=True, slots=True)
class RoomRef:
    id: int
    name: str
    kind: Literal["public", "group"]

    @property
    def path(self) -> str:
        return f"/ws/chat/{'group/' if self.kind == 'group' else ''}{self.name}/"


@dataclass(frozen=True, slots=True)
class Answer:
    """An `ack` frame, or the answer to a POST."""

    id: int
    seq: int
    version: int
    duplicate: bool


@dataclass(slots=True)
class Sent:
    """A message that somebody set out to send, with every answer to it."""

    client_id: str
    user_id: int
    room_id: int
    text: str
    answers: list[Answer] = field(default_factory=list)
    begun: float = 0.0
    answered: float | None = None
    via: str = ""
    """Where the try went that was answered: host and port, as in Session.address."""


@dataclass(slots=True)
class Change:
    """An edit, deletion or reaction; `version` is what the answer said, None when it said none."""

    room_id: int
    message_id: int
    kind: str
    outcome: Literal["done", "refused", "lost"]
    version: int | None = None


class ReceivedFrame(NamedTuple):
    """A frame with a version, as it came."""

    at: float
    type: str
    id: int
    seq: int
    version: int
    sender: int
    client_id: str | None
    content: str


@dataclass(slots=True)
class Session:
    """One socket from `ready` to its end, whatever ended it."""

    user_id: int
    room_id: int
    since: int | None
    opened: float
    ready: int
    received: list[ReceivedFrame] = field(default_factory=list)
    resumes: list[int] = field(default_factory=list)
    """How many frames had come when a `resume` was sent: versions may go back once after it."""
    resumed: int = 0
    """How many had come when the last `resumed` came."""
    complete_from: int | None = None
    """The version after which it must have heard everything, None while that is not known."""
    address: str = ""
    caught_up: float | None = None
    """When it knew all that had happened before it came."""
    closed: float | None = None
    code: int | None = None


@dataclass(slots=True)
class Removal:
    """From the request that removed somebody to the one that added them again."""

    user_id: int
    room_id: int
    begun: float
    version: int
    added: float = float("inf")


@dataclass(slots=True)
class Records:
    sent: dict[str, Sent] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    removals: list[Removal] = field(default_factory=list)
    read: set[tuple[int, int]] = field(default_factory=set)
    """Room and version of what was read by REST."""
    exits: Counter[str] = field(default_factory=Counter)
    """How often the sockets were told that somebody went."""
    errors: list[str] = field(default_factory=list)
    """Answers that no fault excuses: 500, `internal`."""

    @property
    def acknowledged(self) -> int:
        return sum(bool(sent.answers) for sent in self.sent.values())

    def tally(self) -> str:
        """What was counted, for the line that a drill prints."""
        resent = sum(one.duplicate for sent in self.sent.values() for one in sent.answers)
        done = sum(change.outcome == "done" for change in self.changes)
        lost = sum(change.outcome == "lost" for change in self.changes)
        frames = sum(len(session.received) for session in self.sessions)
        return (
            f"{self.acknowledged} acknowledged ({resent} as duplicates of a lost answer),"
            f" {done} changes ({lost} answers lost), {len(self.sessions)} sockets, {frames} frames"
        )


def received_frame(frame: Frame) -> ReceivedFrame:
    return ReceivedFrame(
        time.monotonic(),
        frame["type"],
        frame["id"],
        frame["seq"],
        frame["version"],
        frame["sender"],
        frame["client_id"],
        frame["message"],
    )
