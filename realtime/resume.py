"""Replay: what a client missed, in order, before it hears what comes now (promise 3)."""

from accounts.auth import SignIn
from accounts.errors import DomainError, Forbidden
from messaging.selectors import StoredChange, changes_since
from rooms.errors import NoSuchRoom, NotAMember
from rooms.models import Room
from rooms.selectors import standing

from .codes import Removed
from .database import on_database
from .listener import Listener
from .open_room import OpenRoom
from .protocol import Resumed, encode, message_text

MOST_CHANGES = 1000


async def replay(here: OpenRoom, listener: Listener, since: int, ref: str | None = None) -> None:
    """Sends what changed after `since`, then `resumed`; what comes meanwhile is held back.

    At the reader's pace. Raises Busy when the database is away, Removed. Then a socket that was
    open goes on as before, and one that just comes in has heard nothing and must be closed: what
    was held back for it comes after changes that it was not told.
    """
    comes_in = listener.held is not None
    here.unsettle(listener)
    heard = max(listener.version, here.version)
    try:
        reached = await _tell(here, listener, since, heard, ref)
    except BaseException:
        if not comes_in:
            here.settle(listener, heard)
        raise
    here.settle(listener, reached)


async def _tell(here: OpenRoom, listener: Listener, since: int, heard: int, ref: str | None) -> int:
    """The version that it now has everything up to."""
    changes = await on_database(read_changes, listener.caller, here.id, since)
    for change in changes or ():
        listener.say(message_text(change.kind, change.message))
        await listener.outbox.drained()
    reached = heard
    if changes is not None:
        reached = max([since, *(change.message.version for change in changes[-1:])])
    frame = Resumed(first=since + 1, to=reached, complete=changes is not None, ref=ref)
    listener.say(encode(frame))
    return reached


async def catch_up(here: OpenRoom, listener: Listener) -> None:
    """What was said between the look at the door and the subscription: no frame will tell of it.

    Raises Busy, Removed: then the socket must be closed, as after a failed `replay`.
    """
    reached = listener.version
    changes = await on_database(read_changes, listener.caller, here.id, reached)
    if changes is None:
        listener.drop_as_too_slow()
    for change in changes or ():
        listener.say(message_text(change.kind, change.message))
        reached = change.message.version
        await listener.outbox.drained()
    here.settle(listener, reached)


def lost_room(room_id: int) -> DomainError:
    """Why a room that a socket was let into is not to be seen any more."""
    there = Room.objects.filter(pk=room_id, deleted_at=None).exists()
    return Removed() if there else NoSuchRoom()


def read_changes(caller: SignIn, room_id: int, since: int) -> list[StoredChange] | None:
    """None when there are too many, or the client claims a version that the room does not have.

    Membership is asked after the changes were read: one removed in between gets none of them.
    """
    room = Room.objects.select_related("low", "high").get(pk=room_id)
    if since > room.version:
        return None
    changes = changes_since(room, since, limit=MOST_CHANGES + 1)
    try:
        here = standing(caller.user_id, room_id)
        here.may_read()
    except Forbidden:
        raise Removed from None
    except NoSuchRoom:
        raise lost_room(room_id) from None
    if here.member is None:
        raise NotAMember
    return changes if len(changes) <= MOST_CHANGES else None
