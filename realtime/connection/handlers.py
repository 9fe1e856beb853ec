"""What each client frame does (contract §3, Client frames)."""

from dataclasses import replace
from typing import assert_never

from accounts.kernel.errors import Forbidden, NoSuchUser, RateLimited, invalid
from accounts.kernel.rate_limits import consume_locally
from accounts.models import User
from messaging import services as messages
from messaging.errors import ReceiverMismatch
from messaging.writer.commands import Sent
from realtime.close_codes import NORMAL
from realtime.db_threads import on_database
from realtime.delivery.hub import Hub
from realtime.delivery.local_room import JOIN_INTERVAL, TYPING_INTERVAL, LocalRoom
from realtime.delivery.recovery import consume_replay, lost_room, replay
from realtime.delivery.subscriber import Subscriber
from realtime.protocol import (
    Ack,
    AnyClientFrame,
    Exit,
    Exited,
    Join,
    Joined,
    Ping,
    Pong,
    Read,
    ReadOut,
    Resume,
    SendMessage,
    Typing,
    TypingOut,
    encode,
)
from realtime.runtime import fanout
from rooms import services as rooms
from rooms.errors import NoSuchRoom
from rooms.models import Room, RoomKind


class FrameHandlers:
    """One socket that was let in, talking."""

    __slots__ = ("_here", "_hub", "_kind", "_other_id", "subscriber")

    def __init__(self, hub: Hub, subscriber: Subscriber, here: LocalRoom, room: Room) -> None:
        self._hub = hub
        self._here = here
        self._kind = room.kind
        self._other_id = room.other_id(subscriber.caller.user_id)
        self.subscriber = subscriber

    async def take(self, frame: AnyClientFrame) -> None:
        """Does what a frame asks. Raises DomainError, and then the frame had no effect."""
        messages.check_sender(self.subscriber.caller, frame.username)
        try:
            await self._do(frame)
        except NoSuchRoom:
            # It was there when the socket was let in: gone for all, or for this user.
            raise await on_database(lost_room, self._here.id) from None

    async def _do(self, frame: AnyClientFrame) -> None:
        match frame:
            case SendMessage():
                await self._send(frame)
            case Typing():
                self._typing(frame)
            case Join():
                self._join(frame)
            case Exit():
                self._exit(frame)
            case Read():
                await self._read(frame)
            case Resume():
                await self._resume(frame)
            case Ping():
                self.subscriber.say(encode(Pong(ref=frame.ref)))
            case _:
                assert_never(frame)

    async def _send(self, frame: SendMessage) -> None:
        draft = messages.draft_message(
            caller=self.subscriber.caller,
            room=self._here.id,
            content=frame.message,
            field="message",
            client_id=frame.client_id,
            reply_to=frame.reply_to,
        )
        if frame.receiver is not None:
            room_id, via = await self._addressed_to(frame.receiver)
            draft = replace(draft, room_id=room_id, via_room_id=via)
        sent = await messages.send_message_from_loop(draft)
        if frame.client_id is not None or frame.ref is not None:
            self.subscriber.say(_ack(frame, sent))

    async def _addressed_to(self, receiver: int) -> tuple[int, int | None]:
        """The room of a message with a `receiver`, and the room it was said in if that is another.

        On a private socket it may only confirm who the other is.
        """
        if self._kind == RoomKind.PRIVATE:
            if receiver != self._other_id:
                raise ReceiverMismatch
            return self._here.id, None
        private = await on_database(_private_room, self.subscriber.caller.user_id, receiver)
        return private, self._here.id

    async def _resume(self, frame: Resume) -> None:
        consume_replay(self.subscriber.caller.user_id)
        await replay(self._here, self.subscriber, frame.since, frame.ref)

    def _typing(self, frame: Typing) -> None:
        caller = self.subscriber.caller
        if not self._here.announces:
            return
        if not self._may_pass_on(frame.typing):
            return
        text = encode(
            TypingOut(sender=caller.user_id, username=caller.username, typing=frame.typing)
        )
        fanout.say(self._here.id, text, but=caller.user_id, droppable=True)

    def _may_pass_on(self, typing: bool) -> bool:
        """Whether the others receive it: `true` once a second, `false` once after a `true`.

        Raises RateLimited when the user's sockets pass on too many together.
        """
        user_id = self.subscriber.caller.user_id
        if not typing:
            if not self._here.reset_throttle("typing", user_id):
                return False
        elif not self._here.may_send("typing", user_id, TYPING_INTERVAL):
            return False
        try:
            consume_locally("CHAT_TYPING_RATE", user_id)
        except RateLimited:
            self._here.reset_throttle("typing", user_id)
            raise
        return True

    def _join(self, frame: Join) -> None:
        caller = self.subscriber.caller
        self.subscriber.say(encode(Joined(username=caller.username, ref=frame.ref)))
        if self._here.announces and self._here.may_send("join", caller.user_id, JOIN_INTERVAL):
            text = encode(Joined(username=caller.username))
            fanout.say(self._here.id, text, but=caller.user_id)

    def _exit(self, frame: Exit) -> None:
        self._hub.unsubscribe(self.subscriber)
        self.subscriber.say(encode(Exited(username=self.subscriber.caller.username, ref=frame.ref)))
        self.subscriber.close(NORMAL)

    async def _read(self, frame: Read) -> None:
        caller = self.subscriber.caller
        marked = await messages.mark_read_from_loop(
            caller=caller, room_id=self._here.id, seq=frame.seq
        )
        if frame.ref is not None:
            read = ReadOut(username=caller.username, seq=marked.seq, ref=frame.ref)
            self.subscriber.say(encode(read))


def _ack(frame: SendMessage, sent: Sent) -> str:
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


def _private_room(user_id: int, receiver: int) -> int:
    """Raises Invalid for nobody, Forbidden for oneself, RateLimited."""
    other = User.objects.filter(pk=receiver, is_active=True).first()
    if other is None:
        raise invalid("receiver", NoSuchUser.detail)
    if other.pk == user_id:
        raise Forbidden("A private message needs somebody else to receive it")
    return rooms.open_private_room(user_id=user_id, other=other).pk
