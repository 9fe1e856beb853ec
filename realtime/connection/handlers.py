"""Handles each client frame (contract §3, Client frames).

Typing and `join` are published by `typing_and_joins.py`.
"""

from typing import assert_never

from accounts.auth import Caller
from messaging import services as messages
from messaging.errors import ReceiverMismatch
from messaging.writer.drafts import Sent
from realtime.close_codes import CloseCode
from realtime.delivery.local_room import LocalRoom
from realtime.delivery.recovery import loss_of_access
from realtime.delivery.replay_limits import consume_replay
from realtime.delivery.subscriber import Subscriber
from realtime.protocol.client_frames import (
    AnyClientFrame,
    Delivered,
    Exit,
    Join,
    Ping,
    Read,
    Resume,
    SendMessage,
    Typing,
)
from realtime.protocol.encoding import encode
from realtime.protocol.server_frames import Ack, DeliveredOut, Exited, Pong, ReadOut
from realtime.runtime import Runtime
from rooms import services as rooms
from rooms.errors import NoSuchRoom
from rooms.models import Room, RoomKind

from .typing_and_joins import TypingAndJoins


class FrameHandlers:
    """Handles the frames of one signed-in socket."""

    __slots__ = (
        "_kind",
        "_other_id",
        "_runtime",
        "_typing_and_joins",
        "room",
        "row",
        "subscriber",
    )

    def __init__(
        self, runtime: Runtime, subscriber: Subscriber, room: LocalRoom, row: Room
    ) -> None:
        self._runtime = runtime
        self._typing_and_joins = TypingAndJoins(runtime, subscriber, room)
        self.room = room
        self.row = row
        """The room's row at the handshake."""
        self._kind = row.kind
        self._other_id = row.other_id(subscriber.caller.user_id)
        self.subscriber = subscriber

    @property
    def socket(self) -> Subscriber:
        """What ends with the session."""
        return self.subscriber

    @property
    def caller(self) -> Caller:
        return self.subscriber.caller

    async def handle(self, frame: AnyClientFrame) -> None:
        """Handles one frame. After a DomainError the frame had no effect."""
        messages.check_sender(self.subscriber.caller, frame.username)
        try:
            await self._dispatch(frame)
        except NoSuchRoom:
            # The room existed at the handshake: it was deleted, or the user was removed.
            raise await self._runtime.database.run(loss_of_access, self.room.id) from None

    async def _dispatch(self, frame: AnyClientFrame) -> None:
        match frame:
            case SendMessage():
                await self._send(frame)
            case Typing():
                self._typing_and_joins.typing(frame)
            case Join():
                self._typing_and_joins.join(frame)
            case Exit():
                self._exit(frame)
            case Read() | Delivered():
                await self._mark(frame)
            case Resume():
                await self._resume(frame)
            case Ping():
                self.subscriber.send(encode(Pong(ref=frame.ref)))
            case _:
                assert_never(frame)

    async def _send(self, frame: SendMessage) -> None:
        caller = self.subscriber.caller
        text = messages.accept_text(
            caller=caller,
            content=frame.message,
            field="message",
            attachments=frame.attachments,
        )
        room_id, via_room_id = self.room.id, None
        if frame.receiver is not None:
            room_id, via_room_id = await self._addressed_to(frame.receiver)
        draft = messages.draft_message(
            caller=caller,
            room_id=room_id,
            text=text,
            client_id=frame.client_id,
            reply_to=frame.reply_to,
            via_room_id=via_room_id,
            attachments=frame.attachments,
        )
        sent = await messages.send_message_from_loop(draft)
        if frame.client_id is not None or frame.ref is not None:
            self.subscriber.send(ack_text(frame, sent))

    async def _addressed_to(self, receiver: int) -> tuple[int, int | None]:
        """Returns the room of a message with a `receiver`, and this one if it differs.

        On a private socket the receiver must be the other user.
        """
        if self._kind == RoomKind.PRIVATE:
            if receiver != self._other_id:
                raise ReceiverMismatch
            return self.room.id, None
        private = await self._runtime.database.run(
            rooms.open_private_room_with,
            user_id=self.subscriber.caller.user_id,
            receiver_id=receiver,
        )
        return private, self.room.id

    async def _resume(self, frame: Resume) -> None:
        consume_replay(self.subscriber.caller.user_id)
        await self._runtime.recovery.replay(self.room, self.subscriber, frame.since, frame.ref)

    def _exit(self, frame: Exit) -> None:
        self._runtime.hub.unsubscribe(self.subscriber)
        self.subscriber.send(
            encode(Exited(username=self.subscriber.caller.username, ref=frame.ref))
        )
        self.subscriber.close(CloseCode.NORMAL)

    async def _mark(self, frame: Read | Delivered) -> None:
        answer = await mark(self.subscriber.caller, self.room.id, frame)
        if frame.ref is not None:
            self.subscriber.send(encode(answer))


async def mark(caller: Caller, room_id: int, frame: Read | Delivered) -> ReadOut | DeliveredOut:
    """Moves a marker of the caller and returns the answer to the frame."""
    name, ref = caller.username, frame.ref
    if isinstance(frame, Read):
        read = await messages.mark_read_from_loop(caller=caller, room_id=room_id, seq=frame.seq)
        return ReadOut(username=name, seq=read.seq, ref=ref)
    marked = await messages.mark_delivered_from_loop(caller=caller, room_id=room_id, seq=frame.seq)
    return DeliveredOut(username=name, seq=marked.seq, ref=ref)


def ack_text(frame: SendMessage, sent: Sent) -> str:
    message = sent.message
    return encode(
        Ack(
            ref=frame.ref,
            client_id=frame.client_id,
            room_id=message.room_id,
            id=message.id,
            seq=message.seq,
            version=message.version,
            duplicate=sent.duplicate,
        )
    )
