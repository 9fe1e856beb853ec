"""Messages over HTTP (contract §2): translate, make one service call, translate back."""

from dataclasses import replace
from typing import Annotated, Any

from django.http import HttpResponse
from ninja import Path, Query, Router, Status

from accounts.auth import Bearer, Request
from accounts.pagination import Cursor, Limit, write_links
from accounts.schemas import LARGEST_ID, NameInPath, PathId, answers
from rooms.selectors import Standing, standing, standing_by_name

from . import selectors, services
from .events import MessageState
from .schemas import (
    EditIn,
    Emoji,
    MessageIn,
    MessageOut,
    MessageToRoomIn,
    MyRoomOut,
    ReadIn,
    ReadOut,
)

router = Router(tags=["Messages"], auth=Bearer())

RoomId = Annotated[PathId, Path()]
MessageId = Annotated[PathId, Path()]
SeqCursor = Annotated[int | None, Query(None, ge=0, le=LARGEST_ID)]


def _read(
    request: Request,
    response: HttpResponse,
    here: Standing,
    *,
    before: int | None,
    after: int | None,
    limit: int,
) -> list[MessageState]:
    page = selectors.history(here, before=before, after=after, limit=limit)
    write_links(request, response, page.links)
    return page.messages


def _send(request: Request, room: int | str, body: MessageIn) -> Status[MessageState]:
    """`room` is an id or a name; a name is looked up once the message itself is in order."""
    draft = services.draft_message(
        caller=request.auth,
        room_id=room if isinstance(room, int) else 0,
        content=body.content,
        username=body.username,
        client_id=body.client_id,
        reply_to=body.reply_to,
    )
    if isinstance(room, str):
        draft = replace(draft, room_id=standing_by_name(request.auth.user_id, room).room.pk)
    sent = services.send_message(draft)
    return Status(200 if sent.duplicate else 201, sent.message)


READING = answers({200: list[MessageOut]}, 401, 403, 404, 422)
SENDING = answers({201: MessageOut, 200: MessageOut}, 400, 401, 403, 404, 409, 422, 429)


@router.get("/my-rooms", tags=["Rooms"], response=answers({200: list[MyRoomOut]}, 401, 422))
def list_my_rooms(
    request: Request, response: HttpResponse, cursor: Cursor = None, limit: Limit = 50
) -> list[Any]:
    """The caller's rooms, latest activity first, with what is unread in each."""
    page = selectors.my_rooms(request.auth.user_id, cursor=cursor, limit=limit)
    write_links(request, response, page.links)
    return page


@router.get("/messages", response=answers({200: list[MessageOut]}, 401, 422))
def read_feed(
    request: Request,
    response: HttpResponse,
    before: Cursor = None,
    limit: Limit = 50,
) -> list[MessageState]:
    """The newest messages over all rooms that the caller may read, oldest first.

    A page looks at 10,000 messages of the site at most. A short or an empty one leads on: as long
    as there is a `Link` with `prev`, there may be older ones.
    """
    page = selectors.feed(request.auth.user_id, before=before, limit=limit)
    write_links(request, response, page.links)
    return page.messages


@router.post("/messages", response=SENDING)
def send_to_room(request: Request, body: MessageToRoomIn) -> Status[MessageState]:
    """Say something in a room, given by name or id.

    The same `client_id` again answers 200 with the message that it made the first time.
    """
    return _send(request, body.room, body)


@router.get("/rooms/{room_id}/messages", response=READING)
def read_messages(
    request: Request,
    response: HttpResponse,
    room_id: RoomId,
    before: SeqCursor = None,
    after: SeqCursor = None,
    limit: Limit = 50,
) -> list[MessageState]:
    """History of a room, oldest first: the newest page, or before or after a `seq`."""
    here = standing(request.auth.user_id, room_id)
    return _read(request, response, here, before=before, after=after, limit=limit)


@router.post("/rooms/{room_id}/messages", response=SENDING)
def send_message(request: Request, room_id: RoomId, body: MessageIn) -> Status[MessageState]:
    """Say something in a room."""
    return _send(request, room_id, body)


@router.get("/messages/{room_id}", response=READING)
def read_messages_alias(
    request: Request,
    response: HttpResponse,
    room_id: RoomId,
    before: SeqCursor = None,
    after: SeqCursor = None,
    limit: Limit = 50,
) -> list[MessageState]:
    """The same as `/rooms/{room_id}/messages`."""
    here = standing(request.auth.user_id, room_id)
    return _read(request, response, here, before=before, after=after, limit=limit)


@router.post("/messages/{room_id}", response=SENDING)
def send_message_alias(request: Request, room_id: RoomId, body: MessageIn) -> Status[MessageState]:
    """The same as `/rooms/{room_id}/messages`."""
    return _send(request, room_id, body)


@router.get("/history/{room_name}", response=READING)
def read_history(
    request: Request,
    response: HttpResponse,
    room_name: Annotated[NameInPath, Path()],
    before: SeqCursor = None,
    after: SeqCursor = None,
    limit: Limit = 50,
) -> list[MessageState]:
    """The same by the name of a public or group room."""
    here = standing_by_name(request.auth.user_id, room_name)
    return _read(request, response, here, before=before, after=after, limit=limit)


@router.patch(
    "/rooms/{room_id}/messages/{message_id}",
    response=answers({200: MessageOut}, 400, 401, 403, 404, 409, 422, 429),
)
def edit_message(
    request: Request, room_id: RoomId, message_id: MessageId, body: EditIn
) -> MessageState:
    """Change what one's own message says."""
    return services.edit_message(
        caller=request.auth, room_id=room_id, message_id=message_id, content=body.content
    )


@router.delete(
    "/rooms/{room_id}/messages/{message_id}",
    response=answers({204: None}, 401, 403, 404, 422, 429),
)
def delete_message(request: Request, room_id: RoomId, message_id: MessageId) -> Status[None]:
    """Delete one's own message, or anyone's as an admin or owner. A tombstone keeps its place."""
    services.delete_message(caller=request.auth, room_id=room_id, message_id=message_id)
    return Status(204, None)


REACTING = answers({200: MessageOut}, 401, 403, 404, 409, 422, 429)


@router.put("/rooms/{room_id}/messages/{message_id}/reactions/{emoji}", response=REACTING)
def add_reaction(
    request: Request, room_id: RoomId, message_id: MessageId, emoji: Annotated[Emoji, Path()]
) -> MessageState:
    """React to a message."""
    return services.add_reaction(
        caller=request.auth, room_id=room_id, message_id=message_id, emoji=emoji
    )


@router.delete("/rooms/{room_id}/messages/{message_id}/reactions/{emoji}", response=REACTING)
def remove_reaction(
    request: Request, room_id: RoomId, message_id: MessageId, emoji: Annotated[Emoji, Path()]
) -> MessageState:
    """Take back one's own reaction."""
    return services.remove_reaction(
        caller=request.auth, room_id=room_id, message_id=message_id, emoji=emoji
    )


@router.post("/rooms/{room_id}/read", response=answers({200: ReadOut}, 400, 401, 403, 404, 422))
def mark_read(request: Request, room_id: RoomId, body: ReadIn) -> dict[str, Any]:
    """Mark everything up to `seq` as read. Never back, never past the last message."""
    marked = services.mark_read(caller=request.auth, room_id=room_id, seq=body.seq)
    return {"last_read_seq": marked.seq, "unread": marked.unread}
