"""Sends and reads messages over HTTP; my rooms, read markers (contract §2).

Edits, deletions, reactions and pins are in `changes_api`, the search in `search.api`.
"""

from typing import Annotated, Any

from asgiref.sync import sync_to_async
from django.http import HttpResponse
from ninja import Path, Query, Router
from ninja.decorators import decorate_view

from accounts.auth import Bearer, Caller, Request, SignedBearer, authenticate_claims
from accounts.kernel.errors import DomainError, Forbidden, Refusals, SessionEnded
from accounts.kernel.fields import MAX_ID, NameInPath, PathId, answers
from accounts.kernel.json_answers import json_answer
from accounts.kernel.pagination import Cursor, Limit, write_links
from accounts.kernel.rate_limits import refund
from accounts.kernel.request_threads import call_or_refuse
from accounts.session_first import session_first
from accounts.tokens import Claims
from rooms.errors import REMOVED, NoSuchRoom, NotAMember
from rooms.models import Notify
from rooms.notifications import change_notifications
from rooms.selectors import RoomAccess, room_access, room_access_by_name

from . import my_rooms, selectors, services
from .errors import ClientIdReused, SenderMismatch
from .schemas import (
    DeliveredOut,
    MessageIn,
    MessageOut,
    MessageToRoomIn,
    MyRoomIn,
    MyRoomOut,
    ReadIn,
    ReadOut,
)

router = Router(tags=["Messages"], auth=Bearer())
SENDER = SignedBearer()

RoomId = Annotated[PathId, Path(example=1, description="`id` of a room")]
RoomName = Annotated[
    NameInPath, Path(example="friends", description="`name` of a public or a group room")
]
Before = Annotated[
    int | None, Query(None, ge=0, le=MAX_ID, description="Messages before this `seq`")
]
After = Annotated[int | None, Query(None, ge=0, le=MAX_ID, description="Messages after this `seq`")]


def _read(
    request: Request,
    access: RoomAccess,
    *,
    before: int | None,
    after: int | None,
    limit: int,
) -> HttpResponse:
    page = selectors.history(access, before=before, after=after, limit=limit)
    return _page(request, page.messages, page.links)


def _page(request: Request, items: list[Any], links: dict[str, Any]) -> HttpResponse:
    response = json_answer(items)
    write_links(request, response, links)
    return response


async def _send(request: Request, room: int | str, body: MessageIn) -> HttpResponse:
    """Hands a draft to the writer, which checks session and membership.

    `room` is an id or a name. A name is looked up after text and rate (contract §2).
    """
    caller = request.auth
    text = services.accept_text(caller=caller, content=body.content, attachments=body.attachments)
    try:
        if isinstance(room, str):
            room = await sync_to_async(call_or_refuse)(_room_named, caller, room)
        draft = services.draft_message(
            caller=caller,
            room_id=room,
            text=text,
            username=body.username,
            client_id=body.client_id,
            reply_to=body.reply_to,
            attachments=body.attachments,
        )
        sent = await services.send_message_from_loop(draft)
    except SessionEnded:
        # An ended session must not use up the rate of its user's other sessions.
        refund("CHAT_MESSAGE_RATE", caller.user_id)
        raise
    message = MessageOut.model_validate(sent.message)
    return json_answer(message, 200 if sent.duplicate else 201)


def _room_named(caller: Caller, name: str) -> int:
    """A room's id. Raises SessionEnded before NoSuchRoom: the writer comes later."""
    claims = Claims(caller.user_id, caller.session_id, "", caller.expires_at)
    authenticate_claims(claims, touch=False)
    room_id: int = room_access_by_name(caller.user_id, name).room.pk
    return room_id


READING = answers({200: list[MessageOut]}, 401, 403, 404, 422)
SENDING = answers({201: MessageOut, 200: MessageOut}, 400, 401, 403, 404, 409, 422, 429)


@router.get("/my-rooms", tags=["Rooms"], response=answers({200: list[MyRoomOut]}, 401, 422))
def list_my_rooms(request: Request, cursor: Cursor = None, limit: Limit = 50) -> HttpResponse:
    """List your rooms, latest activity first.

    Each has its unread count and its last message. A private room is listed from its first message
    on.
    """
    page = my_rooms.my_rooms(request.auth.user_id, cursor=cursor, limit=limit)
    return _page(request, page, page.links)


@router.patch(
    "/my-rooms/{room_id}",
    tags=["Rooms"],
    response=answers({200: MyRoomOut}, 400, 401, 403, 404, 422),
)
def change_my_room(request: Request, room_id: RoomId, body: MyRoomIn) -> HttpResponse:
    """Change the notifications of a room.

    Mute it for good or until a time, or choose which messages are pushed to your devices. Unread
    counts and sockets are not affected.
    """
    user_id = request.auth.user_id
    change_notifications(
        user_id=user_id,
        room_id=room_id,
        muted=body.muted,
        muted_until=body.muted_until,
        notify=None if body.notify is None else Notify(body.notify),
    )
    return json_answer(my_rooms.my_room(user_id, room_id))


@router.get("/messages", response=answers({200: list[MessageOut]}, 401, 422))
def read_feed(
    request: Request,
    before: Cursor = None,
    limit: Limit = 50,
) -> HttpResponse:
    """Read the newest messages of all rooms that you may read.

    A page runs from old to new. It looks at 10,000 messages of the site at most, so it can be short
    or empty: as long as `Link` has a `prev`, there may be older ones. This is a feed; to
    synchronise, read each room.
    """
    page = selectors.feed(request.auth.user_id, before=before, limit=limit)
    return _page(request, page.messages, page.links)


@router.post("/messages", auth=SENDER, response=SENDING)
@decorate_view(session_first)
async def send_to_room(request: Request, body: MessageToRoomIn) -> HttpResponse:
    """Send a message to a room named in the body.

    `room` is a name or an id. With a `client_id`, sending again is safe: it answers 200 with the
    message of the first time and creates no second one.
    """
    return await _send(request, body.room, body)


@router.get("/rooms/{room_id}/messages", response=READING)
def read_messages(
    request: Request,
    room_id: RoomId,
    before: Before = None,
    after: After = None,
    limit: Limit = 50,
) -> HttpResponse:
    """Read the messages of a room.

    A page runs from old to new. Without `before` and `after` it is the newest; `Link` leads to the
    pages around it.
    """
    access = room_access(request.auth.user_id, room_id)
    return _read(request, access, before=before, after=after, limit=limit)


@router.post("/rooms/{room_id}/messages", auth=SENDER, response=SENDING)
@decorate_view(session_first)
async def send_message(request: Request, room_id: RoomId, body: MessageIn) -> HttpResponse:
    """Send a message to a room.

    Sending joins a public room. With a `client_id`, sending again is safe: it answers 200 with the
    message of the first time and creates no second one.
    """
    return await _send(request, room_id, body)


@router.get("/messages/{room_id}", response=READING)
def read_messages_alias(
    request: Request,
    room_id: RoomId,
    before: Before = None,
    after: After = None,
    limit: Limit = 50,
) -> HttpResponse:
    """Read the messages of a room, at its other path.

    The same as `GET /api/rooms/{room_id}/messages`.
    """
    access = room_access(request.auth.user_id, room_id)
    return _read(request, access, before=before, after=after, limit=limit)


@router.post("/messages/{room_id}", auth=SENDER, response=SENDING)
@decorate_view(session_first)
async def send_message_alias(request: Request, room_id: RoomId, body: MessageIn) -> HttpResponse:
    """Send a message to a room, at its other path.

    The same as `POST /api/rooms/{room_id}/messages`.
    """
    return await _send(request, room_id, body)


@router.get("/history/{room_name}", response=READING)
def read_history(
    request: Request,
    room_name: RoomName,
    before: Before = None,
    after: After = None,
    limit: Limit = 50,
) -> HttpResponse:
    """Read the messages of a room by its name.

    For public and group rooms. The same as `GET /api/rooms/{room_id}/messages`.
    """
    access = room_access_by_name(request.auth.user_id, room_name)
    return _read(request, access, before=before, after=after, limit=limit)


@router.post("/rooms/{room_id}/read", response=answers({200: ReadOut}, 400, 401, 403, 404, 422))
def mark_read(request: Request, room_id: RoomId, body: ReadIn) -> dict[str, Any]:
    """Mark the messages of a room as read.

    Everything up to `seq` counts as read. The mark never moves back, and never past the last
    message. Sending a message moves it, too.
    """
    marked = services.mark_read(caller=request.auth, room_id=room_id, seq=body.seq)
    return {"last_read_seq": marked.seq, "unread": marked.unread}


@router.post(
    "/rooms/{room_id}/delivered", response=answers({200: DeliveredOut}, 400, 401, 403, 404, 422)
)
def mark_delivered(request: Request, room_id: RoomId, body: ReadIn) -> dict[str, Any]:
    """Mark the messages of a room as delivered.

    Your device has everything up to `seq`. The mark never moves back, never past the last message,
    and is never behind the read mark.
    """
    marked = services.mark_delivered(caller=request.auth, room_id=room_id, seq=body.seq)
    return {"delivered_seq": marked.seq}


READING_REFUSALS: list[DomainError] = [NoSuchRoom(), Forbidden(REMOVED)]
_SENDING: list[DomainError] = [
    NoSuchRoom(),
    Forbidden(REMOVED),
    SenderMismatch(),
    ClientIdReused(),
]
REFUSALS: Refusals = {
    change_my_room: [NoSuchRoom(), NotAMember(), Forbidden(REMOVED)],
    send_to_room: _SENDING,
    read_messages: READING_REFUSALS,
    send_message: _SENDING,
    read_messages_alias: READING_REFUSALS,
    send_message_alias: _SENDING,
    read_history: READING_REFUSALS,
    mark_delivered: [NoSuchRoom(), NotAMember(), Forbidden(REMOVED)],
    mark_read: [NoSuchRoom(), NotAMember(), Forbidden(REMOVED)],
}
