"""Serves messages over HTTP (contract §2): translate, one call, translate back."""

from typing import Annotated, Any

from asgiref.sync import sync_to_async
from django.http import HttpResponse
from ninja import Path, Query, Router, Status
from ninja.decorators import decorate_view

from accounts.auth import Bearer, Caller, Request, SignedBearer, sign_in_with
from accounts.kernel.errors import DomainError, Forbidden, Refusals, SessionEnded
from accounts.kernel.fields import MAX_ID, Moment, NameInPath, PathId, SearchText, answers
from accounts.kernel.json_answers import json_answer
from accounts.kernel.pagination import Cursor, Limit, write_links
from accounts.kernel.rate_limits import refund
from accounts.kernel.request_threads import ask
from accounts.order_of_checks import session_first
from accounts.tokens import Claims
from rooms.errors import REMOVED, NoSuchRoom, NotAMember
from rooms.models import Notify
from rooms.notifications import change_notifications
from rooms.selectors import RoomAccess, room_access, room_access_by_name

from . import deletion, editing, my_rooms, pins, reactions, selectors, services
from .errors import (
    ClientIdReused,
    MessageDeleted,
    NoSuchMessage,
    SenderMismatch,
    TooManyPins,
    TooManyReactions,
)
from .events import MessageState
from .schemas import (
    DeliveredOut,
    EditIn,
    Emoji,
    FoundMessageOut,
    MessageIn,
    MessageOut,
    MessageToRoomIn,
    MyRoomIn,
    MyRoomOut,
    ReadIn,
    ReadOut,
)
from .search.selectors import Has, Search, search_messages

router = Router(tags=["Messages"], auth=Bearer())
SENDER = SignedBearer()

RoomId = Annotated[PathId, Path(example=1, description="`id` of a room")]
RoomName = Annotated[
    NameInPath, Path(example="friends", description="`name` of a public or a group room")
]
MessageId = Annotated[PathId, Path(example=1, description="`id` of a message of the room")]
PathEmoji = Annotated[Emoji, Path(example="👍", description="An emoji")]
Before = Annotated[
    int | None, Query(None, ge=0, le=MAX_ID, description="Messages before this `seq`")
]
WORDS_TO_FIND = (
    "All words must be in a message, in any order; those in quotation marks in this order. `-word` "
    "excludes a word. The last word may be the start of one"
)
SEARCH_PAGING = frozenset({"cursor", "limit"})
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
    text = services.accept_text(
        caller=caller, content=body.content, may_be_empty=bool(body.attachments)
    )
    try:
        if isinstance(room, str):
            room = await sync_to_async(ask)(_room_named, caller, room)
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
    sign_in_with(claims, touch=False)
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


@router.get(
    "/search",
    response=answers({200: list[FoundMessageOut]}, 401, 403, 404, 422),
)
def search(  # noqa: PLR0913, PLR0917 - the parameters of the query string
    request: Request,
    q: Annotated[SearchText, Query("", description=WORDS_TO_FIND)] = "",
    room: Annotated[
        NameInPath | None,
        Query(None, description="Only this room: an id, or a name that is no number"),
    ] = None,
    sender: Annotated[
        NameInPath | None, Query(None, alias="from", description="Only messages of this username")
    ] = None,
    before: Annotated[
        Moment | None, Query(None, description="Only messages before this time")
    ] = None,
    after: Annotated[
        Moment | None, Query(None, description="Only messages from this time on")
    ] = None,
    has: Annotated[
        Has | None, Query(None, description="Only with a file, an image or a link")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> HttpResponse:
    """Search the messages of all rooms that you may read.

    The newest come first. Case and accents are ignored. `highlight` is HTML that is safe to insert:
    an excerpt of the text with the matches in `<mark>`. `Link` has a `next` only.
    """
    user_id = request.auth.user_id
    search = Search(
        user_id=user_id,
        text=q,
        room=_searched_room(user_id, room) if room is not None else None,
        sender=sender,
        before=before,
        after=after,
        has=has,
    )
    found = search_messages(search, cursor=cursor, limit=limit)
    response = json_answer(found.messages)
    write_links(request, response, found.links, paging=SEARCH_PAGING)
    return response


def _searched_room(user_id: int, room: str) -> RoomAccess:
    if not (room.isascii() and room.isdigit()):
        return room_access_by_name(user_id, room)
    if int(room) > MAX_ID:
        raise NoSuchRoom
    return room_access(user_id, int(room))


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


@router.patch(
    "/rooms/{room_id}/messages/{message_id}",
    response=answers({200: MessageOut}, 400, 401, 403, 404, 409, 422, 429),
)
def edit_message(
    request: Request, room_id: RoomId, message_id: MessageId, body: EditIn
) -> MessageState:
    """Edit your own message.

    Only the text changes; `edited_at` tells when.
    """
    return editing.edit_message(
        caller=request.auth, room_id=room_id, message_id=message_id, content=body.content
    )


@router.delete(
    "/rooms/{room_id}/messages/{message_id}",
    response=answers({204: None}, 401, 403, 404, 422, 429),
)
def delete_message(request: Request, room_id: RoomId, message_id: MessageId) -> Status[None]:
    """Delete a message.

    For its author, and for owners and admins of the room. The message keeps its `seq`, with
    `deleted` and an empty text. Deleting it again changes nothing.
    """
    deletion.delete_message(caller=request.auth, room_id=room_id, message_id=message_id)
    return Status(204, None)


@router.put(
    "/rooms/{room_id}/messages/{message_id}/reactions/{emoji}",
    response=answers({200: MessageOut}, 401, 403, 404, 409, 422, 429),
)
def add_reaction(
    request: Request, room_id: RoomId, message_id: MessageId, emoji: PathEmoji
) -> MessageState:
    """Add your reaction to a message.

    Adding the same one again changes nothing.
    """
    return reactions.add_reaction(
        caller=request.auth, room_id=room_id, message_id=message_id, emoji=emoji
    )


@router.delete(
    "/rooms/{room_id}/messages/{message_id}/reactions/{emoji}",
    response=answers({200: MessageOut}, 401, 403, 404, 422, 429),
)
def remove_reaction(
    request: Request, room_id: RoomId, message_id: MessageId, emoji: PathEmoji
) -> MessageState:
    """Remove your reaction from a message.

    Removing one that is not there changes nothing.
    """
    return reactions.remove_reaction(
        caller=request.auth, room_id=room_id, message_id=message_id, emoji=emoji
    )


@router.put(
    "/rooms/{room_id}/messages/{message_id}/pin",
    response=answers({200: MessageOut}, 401, 403, 404, 409, 422, 429),
)
def pin_message(request: Request, room_id: RoomId, message_id: MessageId) -> MessageState:
    """Add a message to the pins of its room.

    For owners and admins; in a private room for both users. Pinning it again changes nothing.
    """
    return pins.pin_message(caller=request.auth, room_id=room_id, message_id=message_id)


@router.delete(
    "/rooms/{room_id}/messages/{message_id}/pin",
    response=answers({200: MessageOut}, 401, 403, 404, 422, 429),
)
def unpin_message(request: Request, room_id: RoomId, message_id: MessageId) -> MessageState:
    """Remove a message from the pins of its room.

    For owners and admins; in a private room for both users. The message itself stays.
    """
    return pins.unpin_message(caller=request.auth, room_id=room_id, message_id=message_id)


@router.get("/rooms/{room_id}/pins", response=READING)
def list_pins(
    request: Request, room_id: RoomId, cursor: Cursor = None, limit: Limit = 50
) -> HttpResponse:
    """List the pinned messages of a room, newest pin first.

    A room has at most 100. `Link` has a `next` only.
    """
    access = room_access(request.auth.user_id, room_id)
    page = selectors.pinned_messages(access, cursor=cursor, limit=limit)
    return _page(request, page.messages, page.links)


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


_READING: list[DomainError] = [NoSuchRoom(), Forbidden(REMOVED)]
_SENDING: list[DomainError] = [
    NoSuchRoom(),
    Forbidden(REMOVED),
    SenderMismatch(),
    ClientIdReused(),
]
_CHANGING: list[DomainError] = [NoSuchRoom(), NoSuchMessage()]
REFUSALS: Refusals = {
    change_my_room: [NoSuchRoom(), NotAMember(), Forbidden(REMOVED)],
    send_to_room: _SENDING,
    search: _READING,
    read_messages: _READING,
    send_message: _SENDING,
    read_messages_alias: _READING,
    send_message_alias: _SENDING,
    read_history: _READING,
    edit_message: [
        *_CHANGING,
        Forbidden("Only the author may edit a message"),
        MessageDeleted(),
    ],
    delete_message: [
        *_CHANGING,
        Forbidden("Only the author, an admin or an owner may delete a message"),
    ],
    add_reaction: [*_CHANGING, Forbidden(REMOVED), MessageDeleted(), TooManyReactions()],
    pin_message: [
        *_CHANGING,
        Forbidden(pins.MAY_NOT_PIN),
        MessageDeleted(),
        TooManyPins(),
    ],
    unpin_message: [*_CHANGING, Forbidden(pins.MAY_NOT_PIN)],
    list_pins: _READING,
    remove_reaction: [*_CHANGING, Forbidden(REMOVED)],
    mark_delivered: [NoSuchRoom(), NotAMember(), Forbidden(REMOVED)],
    mark_read: [NoSuchRoom(), NotAMember(), Forbidden(REMOVED)],
}
