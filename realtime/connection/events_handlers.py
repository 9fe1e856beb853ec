"""Handles the client frames of a socket of all rooms (contract §7)."""

from typing import assert_never

from accounts.auth import Caller
from accounts.kernel.errors import Busy, DomainError, RateLimited, invalid
from accounts.kernel.rate_limits import consume_locally
from messaging import services as messages
from realtime.delivery.events_socket import EventsSocket, EventsSubscriber
from realtime.delivery.replay_limits import consume_replay
from realtime.delivery.subscriber import error_frame
from realtime.errors import Removed
from realtime.protocol.client_frames import (
    AboutOneRoom,
    AnyEventsFrame,
    DeliveredInRoom,
    ExitRoom,
    Follow,
    JoinInRoom,
    Ping,
    ReadRoom,
    ResumeRooms,
    SendToRoom,
    TypingInRoom,
    Unfollow,
)
from realtime.protocol.encoding import encode, with_room_id
from realtime.protocol.server_frames import Exited, Followed, Pong, Unfollowed
from realtime.runtime import Runtime
from rooms import services as rooms
from rooms.errors import NoSuchRoom, NotAMember
from rooms.followed_rooms import (
    FollowedRoom,
    followed_rooms,
    private_room_id,
    removal_reasons,
)
from rooms.following import follow_room
from rooms.models import Room
from rooms.schemas import RoomOut

from .handlers import ack_text, mark
from .typing_and_joins import TypingAndJoins

TOO_MANY_ROOMS = "This socket follows too many rooms: unfollow one first"


class EventsHandlers:
    """Handles the frames of one signed-in events socket."""

    __slots__ = ("_ready", "_runtime", "socket")

    def __init__(self, runtime: Runtime, socket: EventsSocket, ready: str) -> None:
        self._runtime = runtime
        self._ready = ready
        self.socket = socket

    @property
    def caller(self) -> Caller:
        return self.socket.caller

    def take_ready(self) -> str:
        """Returns the text of `ready` once: with many rooms it is large."""
        text, self._ready = self._ready, ""
        return text

    async def handle(self, frame: AnyEventsFrame) -> None:
        """Handles one frame. After a DomainError the frame had no effect."""
        messages.check_sender(self.caller, frame.username)
        match frame:
            case Ping():
                self.socket.send(encode(Pong(ref=frame.ref)))
            case ResumeRooms():
                await self._resume(frame)
            case _:
                await self._handle_in_room(frame)

    async def _handle_in_room(self, frame: AboutOneRoom) -> None:
        room_id = await self._room_of(frame)
        match frame:
            case SendToRoom():
                await self._send(frame, room_id)
            case Follow():
                await self._follow(frame, room_id)
            case Unfollow():
                self._unfollow(frame, room_id)
            case TypingInRoom():
                self._typing_and_joins(room_id).typing(frame)
            case JoinInRoom():
                await self._join(frame, room_id)
            case ExitRoom():
                self._exit(frame, room_id)
            case ReadRoom() | DeliveredInRoom():
                await self._mark(frame, room_id)
            case _:
                assert_never(frame)

    # Rooms

    async def _room_of(self, frame: AboutOneRoom) -> int:
        """Returns the room that a frame names. Raises Invalid, NoSuchRoom, Forbidden."""
        if frame.room_id is not None:
            if frame.receiver is not None:
                raise invalid("receiver", "cannot be combined with room_id")
            return frame.room_id
        if frame.receiver is None:
            raise invalid("room_id", "is required, or receiver", "missing")
        if isinstance(frame, SendToRoom | Follow):
            return await self._open_private_room(frame.receiver)
        found = await self._runtime.database.run(
            private_room_id, self.caller.user_id, frame.receiver
        )
        if found is None:
            raise NoSuchRoom
        return found

    async def _open_private_room(self, receiver: int) -> int:
        room_id = await self._runtime.database.run(
            rooms.open_private_room_with, user_id=self.caller.user_id, receiver_id=receiver
        )
        if not self.socket.knows(room_id):
            # Announced and followed before its first message, which then comes as a frame.
            await self._runtime.membership_watch.check_now(self.caller.user_id)
        return room_id

    def _subscriber(self, room_id: int) -> EventsSubscriber:
        subscriber = self.socket.followed.get(room_id)
        if subscriber is not None:
            return subscriber
        if room_id in self.socket.others:
            raise invalid("room_id", "is not followed by this socket: follow it first")
        raise NoSuchRoom

    def _typing_and_joins(self, room_id: int) -> TypingAndJoins:
        subscriber = self._subscriber(room_id)
        if subscriber.room is None:
            raise NoSuchRoom
        return TypingAndJoins(self._runtime, subscriber, subscriber.room)

    async def _follow(self, frame: Follow, room_id: int) -> None:
        consume_locally("CHAT_CONNECT_RATE", self.caller.user_id)
        self._check_space(room_id)
        row = await self._runtime.database.run(
            follow_room, user_id=self.caller.user_id, room_id=room_id
        )
        if not self._runtime.hub.is_open(self.socket):
            return  # Its session ended meanwhile: nothing would end a new subscription.
        subscriber, is_new = self._subscribe(row)
        room = subscriber.room
        if room is None:
            return
        arrival = await self._runtime.presence.enter(room, subscriber)
        if not room.holds(subscriber):
            return
        room.write_out()
        version = subscriber.version if is_new else max(subscriber.version, room.version)
        followed = Followed(
            ref=frame.ref,
            room_id=room_id,
            room=RoomOut.model_validate(row),
            version=version,
            online=arrival.names,
            online_count=arrival.online_total,
        )
        self.socket.send(encode(followed))
        subscriber.announced = True
        if arrival.first:
            self._runtime.presence.publish_join(room, subscriber)
        if is_new:
            self._runtime.events_subscriptions.start_soon(subscriber)

    def _check_space(self, room_id: int) -> None:
        if room_id not in self.socket.followed and not self._runtime.events_subscriptions.has_space(
            self.socket
        ):
            raise RateLimited(TOO_MANY_ROOMS, retry_after=1)

    def _subscribe(self, row: Room) -> tuple[EventsSubscriber, bool]:
        """Returns the subscriber of a room, and whether it is new."""
        subscriber = self.socket.followed.get(row.pk)
        if subscriber is not None:
            return subscriber, False
        counters = FollowedRoom(
            row.pk, row.version, row.access_epoch, row.last_seq, row.last_seq, muted=False
        )
        return self._runtime.events_subscriptions.subscribe(self.socket, counters), True

    async def _join(self, frame: JoinInRoom, room_id: int) -> None:
        subscriber = self._subscriber(room_id)
        room = subscriber.room
        if room is not None and not subscriber.is_present:
            arrival = await self._runtime.presence.enter(room, subscriber)
            subscriber.announced = True
            if arrival.first and room.holds(subscriber):
                self._runtime.presence.publish_join(room, subscriber)
        self._typing_and_joins(room_id).join(frame)

    def _unfollow(self, frame: Unfollow, room_id: int) -> None:
        self._end_following(room_id)
        self.socket.send(encode(Unfollowed(ref=frame.ref, room_id=room_id)))

    def _exit(self, frame: ExitRoom, room_id: int) -> None:
        self._end_following(room_id)
        exited = Exited(username=self.caller.username, ref=frame.ref)
        self.socket.send(with_room_id(encode(exited), room_id))

    def _end_following(self, room_id: int) -> None:
        if not self.socket.knows(room_id):
            raise NoSuchRoom
        subscriber = self.socket.followed.get(room_id)
        if subscriber is not None:
            self._runtime.events_subscriptions.unfollow(subscriber)

    # Messages and read markers

    async def _send(self, frame: SendToRoom, room_id: int) -> None:
        draft = messages.draft_message(
            caller=self.caller,
            room_id=room_id,
            text=messages.accept_text(
                caller=self.caller,
                content=frame.message,
                field="message",
                attachments=frame.attachments,
            ),
            client_id=frame.client_id,
            reply_to=frame.reply_to,
            attachments=frame.attachments,
        )
        sent = await messages.send_message_from_loop(draft)
        if frame.client_id is not None or frame.ref is not None:
            self.socket.send(ack_text(frame, sent))

    async def _mark(self, frame: ReadRoom | DeliveredInRoom, room_id: int) -> None:
        answer = await mark(self.caller, room_id, frame)
        if frame.ref is not None:
            self.socket.send(with_room_id(encode(answer), room_id))

    # Resuming

    async def _resume(self, frame: ResumeRooms) -> None:
        """Replays one room after the other: a socket never has two replays under way."""
        consume_replay(self.caller.user_id)
        for room_id, since in frame.rooms.items():
            if not self._runtime.hub.is_open(self.socket):
                return
            try:
                await self._resume_room(room_id, since, frame.ref)
            except (Busy, RateLimited) as refusal:
                error = error_frame(refusal, frame.ref)
                self.socket.send(with_room_id(encode(error), room_id))

    async def _resume_room(self, room_id: int, since: int, ref: str | None) -> None:
        subscriber = self.socket.followed.get(room_id)
        is_new = subscriber is None
        if subscriber is None:
            subscriber = await self._follow_again(room_id)
        if subscriber is None or subscriber.room is None:
            return
        try:
            await self._runtime.recovery.replay(subscriber.room, subscriber, since, ref)
        except (Removed, NotAMember, NoSuchRoom) as loss:
            self._runtime.events_subscriptions.end(subscriber, loss)
        except DomainError:
            if is_new:
                # Its buffered frames follow changes that the client never received.
                self._runtime.events_subscriptions.unfollow(subscriber)
            raise

    async def _follow_again(self, room_id: int) -> EventsSubscriber | None:
        """Follows a room that the caller may read; otherwise sends `room_removed`."""
        pair = (self.caller.user_id, room_id)
        row = (await self._runtime.database.run(followed_rooms, [pair])).get(pair)
        if not self._runtime.hub.is_open(self.socket):
            return None  # As in `_follow`.
        if row is None:
            reasons = await self._runtime.database.run(
                removal_reasons, pair[0], [room_id], were_readable=self.socket.knows(room_id)
            )
            self.socket.end_room(room_id, reasons[room_id])
            return None
        already = self.socket.followed.get(room_id)
        if already is not None:
            return already
        self._check_space(room_id)
        return self._runtime.events_subscriptions.subscribe(self.socket, row)
