"""Replay: what a client missed, in order, before it hears what comes now (promise 3)."""

import asyncio

from accounts.auth import SignIn
from accounts.errors import DomainError, Forbidden, RateLimited
from accounts.rates import Rate, buckets
from rooms.errors import NoSuchRoom, NotAMember
from rooms.models import Room
from rooms.selectors import standing

from .codes import Removed
from .database import on_database
from .listener import Listener
from .open_room import OpenRoom
from .protocol import Resumed, encode
from .replays import Replay, replays

REPLAYS = Rate(times=5, seconds=1, burst=100)
"""Per user and process, `?since=` and `resume` alike: a thousand frames cost more than a frame. The
burst is for all sockets of one who comes back after a restart."""
TURN = 100
"""Frames after which others have their turn."""


def spend_replay(user_id: int) -> None:
    """Raises RateLimited."""
    wait = buckets.take("replay", user_id, REPLAYS)
    if wait > 0:
        raise RateLimited("Too many replays: wait a moment", retry_after=wait)


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
        reached = await _tell(listener, since, heard, ref)
    except BaseException:
        if not comes_in:
            here.settle(listener, heard)
        raise
    here.settle(listener, reached)


async def _tell(listener: Listener, since: int, heard: int, ref: str | None) -> int:
    """The version that it now has everything up to."""
    missed = await _missed(listener, since, heard)
    told = await _write(listener, missed, since)
    is_complete = missed.changes is not None
    reached = told if is_complete else heard
    listener.say(encode(Resumed(first=since + 1, to=reached, complete=is_complete, ref=ref)))
    return reached


async def _write(listener: Listener, missed: Replay, since: int) -> int:
    """At the reader's pace: the version of the last one, `since` when there is none."""
    told = since
    for number, (version, event) in enumerate(missed.events(), 1):
        listener.write(event)
        told = version
        await listener.outbox.drained()
        if number % TURN == 0:
            await asyncio.sleep(0)
    return told


async def catch_up(here: OpenRoom, listener: Listener) -> None:
    """What was said between the check of a newcomer and its subscription: no frame tells of it.

    Raises Busy, Removed: then the socket must be closed, as after a failed `replay`.
    """
    reached = listener.version
    missed = await _missed(listener, reached, max(reached, here.version))
    if missed.changes is None:
        listener.drop_as_too_slow()
    here.settle(listener, await _write(listener, missed, reached))


async def _missed(listener: Listener, since: int, needed: int) -> Replay:
    """What changed after `since`, up to version `needed` at least, for one who may have it.

    Whether they may is asked after the changes were read: one removed in between gets none of
    them. Nothing is asked when the changes reach no further than the listener itself: it was let in
    with the room at that version, or heard it as a member, and a removal takes away what is newer.
    """
    missed = await replays.get(listener.room_id, since, needed)
    if missed.version > listener.version:
        await on_database(check_member, listener.caller, listener.room_id)
    return missed


def lost_room(room_id: int) -> DomainError:
    """Why a room that a socket was let into is not to be seen any more."""
    there = Room.objects.filter(pk=room_id, deleted_at=None).exists()
    return Removed() if there else NoSuchRoom()


def check_member(caller: SignIn, room_id: int) -> None:
    """Raises Removed, NoSuchRoom, NotAMember."""
    try:
        here = standing(caller.user_id, room_id)
        here.check_may_read()
    except Forbidden:
        raise Removed from None
    except NoSuchRoom:
        raise lost_room(room_id) from None
    if here.member is None:
        raise NotAMember
