"""Changes messages over HTTP: edits, deletions, reactions, pins (contract §2)."""

from typing import Annotated

from django.http import HttpResponse
from ninja import Path, Router, Status

from accounts.auth import Bearer, Request
from accounts.kernel.errors import DomainError, Forbidden, Refusals
from accounts.kernel.fields import PathId, answers
from accounts.kernel.json_answers import json_answer
from accounts.kernel.pagination import Cursor, Limit, write_links
from rooms.errors import REMOVED, NoSuchRoom
from rooms.selectors import room_access

from . import deletion, editing, pins, reactions, selectors
from .api import RoomId
from .errors import MessageDeleted, NoSuchMessage, TooManyPins, TooManyReactions
from .events import MessageState
from .schemas import EditIn, Emoji, MessageOut

router = Router(tags=["Messages"], auth=Bearer())

MessageId = Annotated[PathId, Path(example=1, description="`id` of a message of the room")]
PathEmoji = Annotated[Emoji, Path(example="👍", description="An emoji")]


@router.patch(
    "/rooms/{room_id}/messages/{message_id}",
    response=answers({200: MessageOut}, 400, 401, 403, 404, 409, 422, 429),
)
def edit_message(
    request: Request, room_id: RoomId, message_id: MessageId, body: EditIn
) -> MessageState:
    """Edit your own message.

    Only the text changes; `edited_at` is the time.
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


@router.get("/rooms/{room_id}/pins", response=answers({200: list[MessageOut]}, 401, 403, 404, 422))
def list_pins(
    request: Request, room_id: RoomId, cursor: Cursor = None, limit: Limit = 50
) -> HttpResponse:
    """List the pinned messages of a room, newest pin first.

    A room has at most 100. `Link` has a `next` only.
    """
    access = room_access(request.auth.user_id, room_id)
    page = selectors.pinned_messages(access, cursor=cursor, limit=limit)
    response = json_answer(page.messages)
    write_links(request, response, page.links)
    return response


_CHANGING: list[DomainError] = [NoSuchRoom(), NoSuchMessage()]
REFUSALS: Refusals = {
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
    remove_reaction: [*_CHANGING, Forbidden(REMOVED)],
    pin_message: [
        *_CHANGING,
        Forbidden(pins.MAY_NOT_PIN),
        MessageDeleted(),
        TooManyPins(),
    ],
    unpin_message: [*_CHANGING, Forbidden(pins.MAY_NOT_PIN)],
    list_pins: [NoSuchRoom(), Forbidden(REMOVED)],
}
