"""A room as an app uses it: what it shows, and what the user does in it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from .catch_up import PAGE, CatchUp
from .connection import Frame
from .errors import ChatError, Closed, NotConnected, Refused
from .events import (
    CHANGE_KINDS,
    Change,
    Connected,
    Delivered,
    Position,
    Presence,
    Read,
    Reset,
    RoomChanged,
    RoomEvent,
    Typing,
)
from .models import Marker, Message, RoomInfo
from .outbox import Outbox, Outgoing
from .sender import Acknowledged, Sender
from .session import Session
from .subscription import Publisher
from .timeline import Timeline

RESUME_REF = "resume"
TYPING_TTL = 6.0
"""Seconds after which a user who does not repeat `typing` has stopped."""
RESUME_DELAY = 1.0
Transmit = Callable[[Frame], Awaitable[bool]]
NEVER_SENDABLE = frozenset({"not_a_member", "removed", "forbidden"})


def _never_sendable(code: str) -> bool:
    """Whether messages to the room are lost for good.

    After other codes the outbox keeps them.
    """
    return code in NEVER_SENDABLE or code.startswith("no_such_")


class Room:
    """Shows a room's messages complete and in order, and sends each message once.

    `transmit` sends a frame on the socket that carries the room: its own, or that of all rooms,
    which also gets all events by `forward`.
    """

    def __init__(
        self,
        session: Session,
        outbox: Outbox,
        transmit: Transmit,
        *,
        forward: Callable[[RoomEvent], None] | None = None,
    ) -> None:
        self.info: RoomInfo | None = None
        self.connected = False
        self.online: set[str] = set()
        """Users with an open socket, at most 100 after connecting."""
        self._api, self._options = session.api, session.options
        self._username = session.username
        self._transmit, self._outbox = transmit, outbox
        self._sender = Sender(outbox, transmit, self._options.ack_timeout)
        self._sending: asyncio.Task[None] | None = None
        self._timeline = Timeline(0, Position(0, 0), self._options.max_messages)
        self._catch_up = CatchUp(self._timeline, self._read_page, self._ask_resume, self._emit)
        self._events: Publisher[RoomEvent] = Publisher(
            self._options.max_pending_events, lambda: [Reset(self.id)], early=forward is None
        )
        self._typing_until: dict[str, float] = {}
        self._ended = False
        self._forward = forward

    # What it shows

    @property
    def id(self) -> int:
        return self._timeline.room_id

    @property
    def messages(self) -> list[Message]:
        """The messages in memory, oldest first, without a hole up to the newest."""
        return self._timeline.messages

    @property
    def complete(self) -> bool:
        """Whether nothing is known to be missing at this moment."""
        return self.connected and self._catch_up.complete

    @property
    def position(self) -> Position:
        """How far the room is shown."""
        return Position(self._timeline.version, self._timeline.last_seq)

    @property
    def typing(self) -> list[str]:
        """Users who type now."""
        now = time.monotonic()
        return [name for name, until in self._typing_until.items() if until > now]

    @property
    def unsent(self) -> list[Outgoing]:
        """Messages that wait for their acknowledgement, in the order of sending."""
        return self._outbox.waiting

    @property
    def failed(self) -> list[Outgoing]:
        """Messages that the server refused: `retry` or `discard` them."""
        return self._outbox.failed

    def changes(self) -> AsyncIterator[Change | Reset]:
        """Yields each new message and each change. Raises what ended the room.

        The first iterator of a room begins when the room was opened, further ones now.
        """
        return self._events.changes()

    def events(self) -> AsyncIterator[RoomEvent]:
        """Yields changes, typing, presence, receipts, and connection states."""
        return self._events.all()

    async def load_older(self, count: int = 50) -> list[Message]:
        """Puts older messages before `messages`, and returns them."""
        return await self._catch_up.load_older(min(count, PAGE))

    # What the user does

    async def send(
        self,
        text: str,
        *,
        reply_to: int | None = None,
        attachments: list[int] | None = None,
        timeout: float | None = 60.0,  # noqa: ASYNC109
    ) -> Outgoing:
        """Sends a message and waits until it is stored.

        Raises Refused, OutboxFull, TooLong; NotAcknowledged when it is not stored in time: it stays
        in the outbox and is sent again. The server stores it once.
        """
        outgoing = await self.post(text, reply_to=reply_to, attachments=attachments)
        return await outgoing.wait(timeout)

    async def post(
        self, text: str, *, reply_to: int | None = None, attachments: list[int] | None = None
    ) -> Outgoing:
        """Puts a message into the outbox and returns at once. Raises OutboxFull, TooLong."""
        outgoing = Outgoing(text, reply_to, attachments or [])
        await self._put(outgoing)
        return outgoing

    async def retry(self, outgoing: Outgoing) -> Outgoing:
        """Sends a failed message again, as a new one with its own `client_id`.

        Safe for permanent refusals, where nothing was stored. After `internal` it keeps the
        `client_id`, as the message may have been stored.
        """
        self._outbox.forget_failed(outgoing)
        again = Outgoing(outgoing.text, outgoing.reply_to, outgoing.attachments)
        if outgoing.temporary:
            again.client_id = outgoing.client_id
        await self._put(again)
        return again

    def discard(self, outgoing: Outgoing) -> None:
        """Forgets a failed message."""
        self._outbox.forget_failed(outgoing)

    async def flush(self, timeout: float = 60.0) -> bool:  # noqa: ASYNC109
        """Waits until the outbox is empty; returns False when the time is over."""
        return await self._outbox.drained(timeout)

    async def edit(self, message_id: int, text: str) -> Message:
        return await self._api.edit(self.id, message_id, text)

    async def delete(self, message_id: int) -> None:
        await self._api.delete(self.id, message_id)

    async def react(self, message_id: int, emoji: str) -> Message:
        return await self._api.react(self.id, message_id, emoji)

    async def unreact(self, message_id: int, emoji: str) -> Message:
        return await self._api.unreact(self.id, message_id, emoji)

    async def pin(self, message_id: int, *, pinned: bool = True) -> Message:
        return await self._api.pin(self.id, message_id, pinned=pinned)

    async def read(self, seq: int | None = None) -> Marker:
        """Marks everything up to `seq`, by default the newest message, as read."""
        return await self._api.read(self.id, self._timeline.last_seq if seq is None else seq)

    async def delivered(self, seq: int | None = None) -> None:
        """Tells that this device has everything up to `seq`. Raises NotConnected."""
        seq = self._timeline.last_seq if seq is None else seq
        await self._send_now({"type": "delivered", "seq": seq})

    async def type(self, *, typing: bool = True) -> None:
        """Publishes that the user types. Raises NotConnected."""
        await self._send_now({"type": "typing", "typing": typing})

    async def _send_now(self, frame: Frame) -> None:
        if not await self._transmit(frame):
            raise NotConnected("There is no connection")

    # What carries it calls these

    @property
    def begun(self) -> bool:
        return self._timeline.room_id != 0

    async def load_outbox(self) -> None:
        """Sends what an earlier process did not get acknowledged."""
        await self._outbox.load()
        self._start_sending()

    async def _put(self, outgoing: Outgoing) -> None:
        await self._outbox.put(outgoing)
        self._start_sending()

    def _start_sending(self) -> None:
        if (self._sending is None or self._sending.done()) and not self._ended:
            self._sending = asyncio.create_task(self._sender.run())

    def begin(self, room_id: int, position: Position) -> None:
        """Shows the room from a position on: nothing before it, everything after it."""
        self._timeline.room_id = room_id
        self._timeline.restart(position)

    def begin_anew(self, room_id: int, position: Position) -> None:
        """Forgets everything shown."""
        self.begin(room_id, position)
        self._publish(Reset(room_id))

    def connect(self, online: list[str] | None = None) -> None:
        """The socket is ready; missed frames may still come."""
        self.connected = True
        self.online = set(online or [])
        self._publish(Connected(self.id, connected=True))
        self._sender.connected()

    @property
    def resuming(self) -> bool:
        return self._catch_up.resuming

    def ask_resume(self) -> None:
        """Asks for everything after what is shown."""
        self._catch_up.resume()

    def read_on(self) -> None:
        """Shows what came after the position at which the room begins."""
        self._catch_up.read_on()

    def replay_begins(self) -> None:
        self._catch_up.replay_begins()

    def resume_begins(self) -> None:
        self._catch_up.resume_begins()

    def disconnect(self) -> None:
        if self.connected:
            self.connected = False
            self._publish(Connected(self.id, connected=False))
        self._catch_up.lost()
        self._sender.lost()

    def receive(self, frame: Frame) -> None:
        kind = frame["type"]
        if kind in CHANGE_KINDS:
            self._change(frame)
        elif kind == "ack":
            answer = Acknowledged(frame["id"], frame["seq"], frame["version"])
            self._sender.acknowledged(frame.get("client_id"), answer)
        elif kind == "resumed":
            self._catch_up.resumed(frame["to"], complete=frame["complete"])
        elif kind == "error":
            self._refuse(frame)
        elif (event := self._event(kind, frame)) is not None:
            self._publish(event)

    async def end(self, error: ChatError | None = None) -> None:
        """Ends the room, for good where the server says so."""
        if self._ended:
            return
        self._ended = True
        self.disconnect()
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        await self._catch_up.close()
        if isinstance(error, Closed) and _never_sendable(error.code):
            await self._outbox.fail_all(Refused(error.code, error.detail))
        self._events.end(error)

    # Frames

    def _change(self, frame: Frame) -> None:
        if frame["room_id"] != self.id:
            return  # the copy of a private message: it belongs to the private room
        message = Message.of(frame)
        if message.username == self._username:
            # As good as an acknowledgement, which may be lost.
            answer = Acknowledged(message.id, message.seq, message.version)
            self._sender.acknowledged(message.client_id, answer)
        self._typing_until.pop(message.username, None)
        self._catch_up.change(frame["type"], message)

    def _refuse(self, frame: Frame) -> None:
        refusal = Refused(
            frame["code"],
            frame["message"],
            retry_after=frame.get("retry_after"),
            errors=frame.get("errors"),
        )
        ref = frame.get("ref")
        if ref == RESUME_REF:
            self._catch_up.resume_refused(refusal.retry_after or RESUME_DELAY)
        elif ref is not None or refusal.temporary:
            self._sender.refused(ref, refusal)

    def _event(self, kind: str, frame: Frame) -> RoomEvent | None:
        match kind:
            case "typing":
                return self._typed(frame["username"], typing=frame["typing"])
            case "join" | "exit":
                return self._came(frame["username"], online=kind == "join")
            case "read":
                return Read(self.id, frame["username"], frame["seq"])
            case "delivered":
                return Delivered(self.id, frame["username"], frame["seq"])
            case "room":
                self.info = RoomInfo.of(frame["room"])
                return RoomChanged(self.id, self.info)
            case _:
                return None  # a frame of a newer server

    def _typed(self, username: str, *, typing: bool) -> Typing:
        if typing:
            self._typing_until[username] = time.monotonic() + TYPING_TTL
        else:
            self._typing_until.pop(username, None)
        return Typing(self.id, username, typing)

    def _came(self, username: str, *, online: bool) -> Presence:
        (self.online.add if online else self.online.discard)(username)
        return Presence(self.id, username, online)

    def _emit(self, changes: list[Change | Reset]) -> None:
        for change in changes:
            self._publish(change)

    def _publish(self, event: RoomEvent) -> None:
        self._events.publish(event)
        if self._forward is not None:
            self._forward(event)

    async def _read_page(
        self, *, after: int | None = None, before: int | None = None, limit: int = PAGE
    ) -> list[Message]:
        return await self._api.messages(self.id, after=after, before=before, limit=limit)

    async def _ask_resume(self, version: int) -> None:
        await self._transmit({"type": "resume", "since": version, "ref": RESUME_REF})
