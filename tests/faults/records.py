"""Records what the clients of a drill saw, as evidence for the checker."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Frame = dict[str, Any]
CHANGES = frozenset({"message", "edit", "delete", "reaction", "pin"})
"""Types of frames that carry a version."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user and an access token."""

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
    """An `ack` frame, or the response to a POST."""

    id: int
    seq: int
    version: int
    duplicate: bool


@dataclass(slots=True)
class Sent:
    """A message that a client began to send, with every answer."""

    client_id: str
    user_id: int
    room_id: int
    text: str
    answers: list[Answer] = field(default_factory=list)
    begun: float = 0.0
    answered: float | None = None
    via: str = ""
    """Address of the answered attempt, as in Session.address."""


@dataclass(slots=True)
class SentChange:
    """An edit, deletion or reaction; `version` is from the answer, None without one."""

    room_id: int
    message_id: int
    kind: str
    outcome: Literal["done", "refused", "lost"]
    version: int | None = None


class ReceivedFrame(NamedTuple):
    """A received frame with a version."""

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
    """One socket from `ready` to its end."""

    user_id: int
    room_id: int
    since: int | None
    opened: float
    ready: int
    received: list[ReceivedFrame] = field(default_factory=list)
    resumes: list[int] = field(default_factory=list)
    """Number of frames before each `resume`: versions may go back once after it."""
    resumed: int = 0
    """Number of frames before the last `resumed`."""
    complete_from: int | None = None
    """The socket must have received everything after this version; None while unknown."""
    address: str = ""
    caught_up: float | None = None
    """When it had everything that happened before it connected."""
    closed: float | None = None
    code: int | None = None


@dataclass(slots=True)
class Removal:
    """From the request that removed a member to the one that added the member again."""

    user_id: int
    room_id: int
    begun: float
    version: int
    added: float = float("inf")


@dataclass(slots=True)
class Records:
    sent: dict[str, Sent] = field(default_factory=dict)
    changes: list[SentChange] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    removals: list[Removal] = field(default_factory=list)
    read: set[tuple[int, int]] = field(default_factory=set)
    """Room and version of messages read by REST."""
    exits: Counter[str] = field(default_factory=Counter)
    """Number of `exit` frames by username."""
    errors: list[str] = field(default_factory=list)
    """Inexcusable answers: status 500, code `internal`."""

    @property
    def acknowledged(self) -> int:
        return sum(bool(sent.answers) for sent in self.sent.values())

    def summary(self) -> str:
        """Returns the counts for the line that a drill prints."""
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
