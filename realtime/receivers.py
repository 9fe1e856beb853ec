"""Every event of the domain, turned into what sockets hear. The one way out."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.dispatch import receiver

from accounts.events import SessionsEnded
from accounts.kernel.events import Event, committed
from accounts.kernel.incidents import report_incident
from messaging.events import (
    MessageEdited,
    MessageErased,
    MessageSent,
    MessageState,
    ReactionsChanged,
    ReadAdvanced,
)
from rooms.events import MemberLeft, MemberRemoved, RoomChanged, RoomDeleted

from .delivery.batching import batching
from .delivery.hub import hub
from .protocol import MessageKind, ReadOut, RoomFrame, encode, message_text
from .runtime import fanout

E = TypeVar("E", bound=Event)
RECEIVERS: dict[type[Event], Callable[[Any], None]] = {}


@receiver(committed)
def hear(sender: object, events: Sequence[Event], **kwargs: object) -> None:
    """Called in the thread that committed; one hop to the loop for all events of a batch."""
    hub.post(_tell, events)


def _tell(events: Sequence[Event]) -> None:
    with batching(len(events)):
        for event in events:
            try:
                RECEIVERS[type(event)](event)
            except Exception as error:  # noqa: BLE001 - logged with its traceback
                # The rest of the batch belongs to other senders. The repair delivers this one.
                report_incident(error, f"while {type(event).__name__} was published")


def turns(kind: type[E]) -> Callable[[Callable[[E], None]], Callable[[E], None]]:
    """Registers the receiver of one event. A second one for the same event is a mistake."""

    def register(tell: Callable[[E], None]) -> Callable[[E], None]:
        if kind in RECEIVERS:
            raise RuntimeError(f"{kind.__name__} has a receiver already")
        RECEIVERS[kind] = tell
        return tell

    return register


def _deliver(kind: MessageKind, message: MessageState) -> None:
    fanout.deliver(
        message.room_id, message.version, message.access_epoch, lambda: message_text(kind, message)
    )


@turns(MessageSent)
def message_sent(event: MessageSent) -> None:
    message = event.message
    _deliver("message", message)
    if event.via_room_id is not None and message.receiver is not None:
        pair = (message.sender, message.receiver)
        fanout.copy(event.via_room_id, pair, lambda: message_text("message", message))


@turns(MessageEdited)
def message_edited(event: MessageEdited) -> None:
    _deliver("edit", event.message)


@turns(MessageErased)
def message_erased(event: MessageErased) -> None:
    _deliver("delete", event.message)


@turns(ReactionsChanged)
def reactions_changed(event: ReactionsChanged) -> None:
    _deliver("reaction", event.message)


@turns(ReadAdvanced)
def read_advanced(event: ReadAdvanced) -> None:
    text = encode(ReadOut(username=event.username, seq=event.seq))
    fanout.mark(event.room_id, event.user_id, text)


@turns(RoomChanged)
def room_changed(event: RoomChanged) -> None:
    fanout.say(event.room.id, encode(RoomFrame(room=event.room)))


@turns(RoomDeleted)
def room_deleted(event: RoomDeleted) -> None:
    fanout.close_room(event.room_id)


@turns(MemberRemoved)
def member_removed(event: MemberRemoved) -> None:
    fanout.disconnect_member(event.room_id, event.user_id, event.access_epoch, removed=True)


@turns(MemberLeft)
def member_left(event: MemberLeft) -> None:
    fanout.disconnect_member(event.room_id, event.user_id, event.access_epoch, removed=False)


@turns(SessionsEnded)
def sessions_ended(event: SessionsEnded) -> None:
    fanout.end_sessions(event.session_ids)
