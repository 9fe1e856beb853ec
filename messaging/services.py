"""Sends messages and marks them read, through the writer of this process."""

import functools
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TypeVar

from django.conf import settings

from accounts.auth import Caller
from accounts.kernel.database_wait import wait_for_database
from accounts.kernel.db_connections import release_connection
from accounts.kernel.errors import Busy
from accounts.kernel.names import name_key
from accounts.kernel.rate_limits import consume_locally

from .errors import SenderMismatch
from .validation import clean_text
from .writer.client_ids import digest_of
from .writer.drafts import Draft, Sent
from .writer.queue import Writer
from .writer.read_markers import DeliveredMarker, MarkDelivered, MarkRead, ReadMarker

T = TypeVar("T")


@functools.cache
def writer() -> Writer:
    """Returns the writer of this process."""
    return Writer()


def check_sender(caller: Caller, username: str | None) -> None:
    """Raises SenderMismatch when a client claims another user (contract §2, §3)."""
    if username is not None and name_key(username) != name_key(caller.username):
        raise SenderMismatch


def accept_text(
    *, caller: Caller, content: str, field: str = "content", attachments: Sequence[int] = ()
) -> str:
    """Checks a text and consumes the sender's rate, before any query.

    `field` is the member that held the text. Raises Invalid, RateLimited.
    """
    text = clean_text(content, field, attachments=attachments)
    consume_locally("CHAT_MESSAGE_RATE", caller.user_id)
    return text


def draft_message(
    *,
    caller: Caller,
    room_id: int,
    text: str,
    username: str | None = None,
    client_id: str | None = None,
    reply_to: int | None = None,
    via_room_id: int | None = None,
    attachments: Sequence[int] = (),
) -> Draft:
    """Builds the draft of a text that `accept_text` returned."""
    return Draft(
        user_id=caller.user_id,
        session_id=caller.session_id,
        room_id=room_id,
        content=text,
        digest=digest_of(text, reply_to, attachments) if client_id is not None else "",
        client_id=client_id,
        reply_to=reply_to,
        via_room_id=via_room_id,
        username=username,
        attachments=tuple(attachments),
    )


def send_message(draft: Draft) -> Sent:
    """Stores a message and returns it.

    Raises Busy and the errors of `MessageBatch.add`.
    """
    return _wait_for(writer().submit(draft))


async def send_message_from_loop(draft: Draft) -> Sent:
    """Stores a message from the event loop, without a thread that waits."""
    return await wait_for_database(writer().submit_from_loop(draft))


def _wait_for(answer: Future[T]) -> T:
    # The writer may need the connection that this thread holds while it waits.
    release_connection()
    try:
        return answer.result(settings.CHAT_DATABASE_TIMEOUT)
    except TimeoutError:
        raise Busy from None


# Read markers


def mark_read(*, caller: Caller, room_id: int, seq: int) -> ReadMarker:
    """Moves the caller's read marker, never back, never past the last message.

    Raises NoSuchRoom, Forbidden for a banned user, NotAMember, Busy.
    """
    return _wait_for(writer().submit(MarkRead(caller.user_id, caller.username, room_id, seq)))


def mark_delivered(*, caller: Caller, room_id: int, seq: int) -> DeliveredMarker:
    """Moves the caller's delivered marker: a client has messages up to `seq`.

    Reading implies it. Raises as `mark_read`.
    """
    return _wait_for(writer().submit(MarkDelivered(caller.user_id, caller.username, room_id, seq)))


async def mark_delivered_from_loop(*, caller: Caller, room_id: int, seq: int) -> DeliveredMarker:
    """Moves the caller's delivered marker from the event loop."""
    mark = MarkDelivered(caller.user_id, caller.username, room_id, seq)
    return await wait_for_database(writer().submit_from_loop(mark))


async def mark_read_from_loop(*, caller: Caller, room_id: int, seq: int) -> ReadMarker:
    """Moves the caller's read marker from the event loop."""
    mark = MarkRead(caller.user_id, caller.username, room_id, seq)
    return await wait_for_database(writer().submit_from_loop(mark))
