"""One WebSocket for all rooms of the user."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Self

from .catch_up import PAGE
from .connection import Frame
from .errors import ChatError, Closed, NotConnected, Refused, Unreachable
from .events import (
    AnyEvent,
    Change,
    Marks,
    Position,
    Profile,
    Reset,
    RoomAdded,
    RoomRemoved,
    UserPresence,
)
from .link import Link
from .models import RoomInfo, moment
from .room import RESUME_DELAY, RESUME_REF, Room
from .session import Session
from .subscription import Publisher

PATH = "/ws/events/"
BOX = "id "
ANSWER_TIMEOUT = 30.0
"""Seconds for the answer to `follow`."""


class Events:
    """`async with` opens it; `rooms` maps ids to the rooms that it follows.

    Each room starts empty at its newest message: `await room.load_older()` brings history.
    """

    def __init__(self, session: Session) -> None:
        self.rooms: dict[int, Room] = {}
        self.more = False
        """Whether the user has further rooms: `follow` them one by one."""
        self._session = session
        self._link = Link(session.site, session.tokens, session.options, self)
        self._begun = False
        self._named: set[int] = set()
        self._answers: dict[str, asyncio.Future[Frame]] = {}
        self._events: Publisher[AnyEvent] = Publisher(
            session.options.max_pending_events, lambda: [Reset(room_id) for room_id in self.rooms]
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._handlers: dict[str, Callable[[Frame], None]] = {
            "followed": self._followed,
            "unfollowed": self._unfollowed,
            "room_added": self._added,
            "room_removed": self._removed,
            "marks": self._marked,
            "profile": self._renamed,
            "presence": self._came,
            "error": self._refused,
        }

    async def __aenter__(self) -> Self:
        """Opens the socket. Raises Closed, SignedOut, Unreachable."""
        try:
            await self._link.start(self._ended)
            prefix = f"{self._session.box}{BOX}"
            for box in await self._session.storage.boxes(prefix):
                room = self.rooms.get(int(box.removeprefix(prefix)))
                if room is not None:
                    await room.load_outbox()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Waits a little for missing acknowledgements, then closes."""
        if error is None:
            waiting = [
                room.flush(self._session.options.close_timeout) for room in self.rooms.values()
            ]
            await asyncio.gather(*waiting)
        await self._stop()

    def changes(self) -> AsyncIterator[Change | Reset]:
        """Yields each new message and change of all rooms, in order within each."""
        return self._events.changes()

    def events(self) -> AsyncIterator[AnyEvent]:
        """Yields everything: also typing, receipts, presence, rooms added and removed."""
        return self._events.all()

    async def follow(self, room_id: int) -> Room:
        """Follows one more room as online. Raises Refused, NotConnected."""
        self._named.add(room_id)
        try:
            await self._ask({"type": "follow", "room_id": room_id})
        except Refused:
            self._named.discard(room_id)
            raise
        return self.rooms[room_id]

    async def unfollow(self, room_id: int) -> None:
        """Ends the frames of a room, not the membership. Raises Refused, NotConnected."""
        self._named.discard(room_id)
        await self._ask({"type": "unfollow", "room_id": room_id})

    async def private(self, username: str) -> Room:
        """Returns the private room with a user, made when missing."""
        return await self.follow((await self._session.api.private_room(username)).id)

    # The link calls these

    def path(self) -> str:
        return PATH

    def ready(self, frame: Frame) -> None:
        self.more = frame["more"]
        versions = {state["id"]: state["version"] for state in frame["rooms"]}
        for state in frame["rooms"]:
            if self._begun and state["id"] not in self.rooms:
                self._room_at(state["id"], _unread_from(state))
                self._start(self._announce_added(state["id"]))
            self._room_at(state["id"], Position(state["version"], state["last_seq"]))
        self._begun = True
        behind = []
        for room_id, room in self.rooms.items():
            room.connect()
            if versions.get(room_id) != room.position.version:
                behind.append(room)
                room.resume_begins()
        self._start(self._catch_up(behind))

    def receive(self, frame: Frame) -> None:
        handler = self._handlers.get(frame["type"])
        if handler is not None:
            handler(frame)
        elif "room_id" in frame:
            self._receive_in_room(frame)

    def lost(self) -> None:
        for room in self.rooms.values():
            room.disconnect()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(NotConnected("The connection was lost"))

    # Sending

    async def _send_in(self, room_id: int, frame: Frame) -> bool:
        """Sends a frame of a room; a `resume` has its own form here."""
        if frame["type"] == "resume":
            rooms = {str(room_id): frame["since"]}
            return await self._link.send({"type": "resume", "rooms": rooms, "ref": RESUME_REF})
        return await self._link.send({**frame, "room_id": room_id})

    async def _catch_up(self, behind: list[Room]) -> None:
        """Follows the named rooms again, and asks for what was missed, in one frame."""
        for room_id in self._named:
            await self._link.send({"type": "follow", "room_id": room_id})
        await self._resume(behind)

    async def _resume(self, rooms: list[Room]) -> None:
        versions = {str(room.id): room.position.version for room in rooms if room.resuming}
        if versions:
            await self._link.send({"type": "resume", "rooms": versions, "ref": RESUME_REF})

    async def _resume_later(self, delay: float) -> None:
        await asyncio.sleep(delay)
        await self._resume(list(self.rooms.values()))

    async def _ask(self, frame: Frame) -> Frame:
        """Returns the answer to a frame. Raises Refused, NotConnected, Unreachable."""
        ref = secrets.token_urlsafe(8)
        answer = self._answers[ref] = asyncio.get_running_loop().create_future()
        try:
            if not await self._link.send({**frame, "ref": ref}):
                raise NotConnected("There is no connection")
            async with asyncio.timeout(ANSWER_TIMEOUT):
                received: Frame = await answer
                return received
        except TimeoutError:
            raise Unreachable("No answer from the server") from None
        finally:
            del self._answers[ref]

    # Frames

    def _receive_in_room(self, frame: Frame) -> None:
        room = self.rooms.get(frame["room_id"])
        if room is not None:
            room.receive(frame)

    def _followed(self, frame: Frame) -> None:
        room_id, version = frame["room_id"], frame["version"]
        room = self._room_at(room_id, Position(version, frame["room"]["last_seq"]))
        room.info = RoomInfo.of(frame["room"])
        room.connect(frame["online"])
        if version != room.position.version and not room.resuming:
            room.ask_resume()
        self._settle(frame)

    def _unfollowed(self, frame: Frame) -> None:
        self._forget(frame["room_id"])
        self._settle(frame)

    def _added(self, frame: Frame) -> None:
        info = RoomInfo.of(frame["room"])
        is_new = info.id not in self.rooms
        room = self._room_at(info.id, _unread_from(frame["room"]))
        room.info = info
        room.connect()
        self._events.publish(RoomAdded(info.id, info))
        if is_new:
            # The first messages of a private room may be older than its announcement.
            room.read_on()
        elif info.version != room.position.version and not room.resuming:
            room.ask_resume()

    async def _announce_added(self, room_id: int) -> None:
        """Announces a room that was added while disconnected, then its messages."""
        try:
            info = await self._session.api.room(room_id)
        except ChatError:
            return  # removed again: the server sends `room_removed`
        room = self.rooms.get(room_id)
        if room is not None:
            room.info = info
            self._events.publish(RoomAdded(room_id, info))
            room.read_on()

    def _removed(self, frame: Frame) -> None:
        self._named.discard(frame["room_id"])
        self._forget(frame["room_id"], Closed("removed", "You are no longer in this room"))
        self._events.publish(RoomRemoved(frame["room_id"], frame["reason"]))

    def _marked(self, frame: Frame) -> None:
        members = ("room_id", "last_read_seq", "unread", "mentions", "muted")
        self._events.publish(Marks(**{name: frame[name] for name in members}))

    def _renamed(self, frame: Frame) -> None:
        user = frame["user"]
        self._events.publish(Profile(user["id"], user["username"], user["display_name"]))

    def _came(self, frame: Frame) -> None:
        seen = moment(frame["last_seen"])
        self._events.publish(
            UserPresence(frame["user_id"], frame["username"], frame["online"], seen)
        )

    def _refused(self, frame: Frame) -> None:
        ref = frame.get("ref")
        answer = self._answers.get(ref or "")
        if answer is not None and not answer.done():
            answer.set_exception(Refused(frame["code"], frame["message"]))
        elif "room_id" in frame:
            self._receive_in_room(frame)
        elif ref == RESUME_REF:
            self._start(self._resume_later(frame.get("retry_after") or RESUME_DELAY))
        else:
            for room in list(self.rooms.values()):
                room.receive(frame)

    def _settle(self, frame: Frame) -> None:
        answer = self._answers.get(frame.get("ref") or "")
        if answer is not None and not answer.done():
            answer.set_result(frame)

    def _room_at(self, room_id: int, position: Position) -> Room:
        """Returns the room, which begins at this position if it is new."""
        if room_id not in self.rooms:
            room = Room(
                self._session,
                self._session.outbox(f"{BOX}{room_id}"),
                self._sends_in(room_id),
                forward=self._events.publish,
            )
            room.begin(room_id, position)
            self.rooms[room_id] = room
        return self.rooms[room_id]

    def _sends_in(self, room_id: int) -> Callable[[Frame], Awaitable[bool]]:
        return lambda frame: self._send_in(room_id, frame)

    def _forget(self, room_id: int, error: ChatError | None = None) -> None:
        room = self.rooms.pop(room_id, None)
        if room is not None:
            self._start(room.end(error))

    # Running

    async def _stop(self) -> None:
        await self._link.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._ended(None)

    async def _ended(self, error: ChatError | None) -> None:
        for room in self.rooms.values():
            await room.end(error)
        self._events.end(error)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _unread_from(room: Frame) -> Position:
    """Returns where a new room starts: before its unread messages, within a page."""
    return Position(room["version"], max(room["last_read_seq"], room["last_seq"] - PAGE))
