"""Turns domain events into frames and control messages, one receiver each."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.dispatch import receiver

from accounts.events import ProfileChanged, ReceiptsSharingChanged, SessionsEnded
from accounts.kernel.events import Event, committed
from accounts.kernel.incidents import report_incident
from messaging.events import (
    DeliveredAdvanced,
    MessageEdited,
    MessageErased,
    MessageSent,
    MessageState,
    PinChanged,
    ReactionsChanged,
    ReadAdvanced,
)
from rooms.events import MemberLeft, MemberRemoved, MembershipsChanged, RoomChanged, RoomDeleted

from .protocol.encoding import encode, message_text
from .protocol.server_frames import DeliveredOut, MessageKind, ReadOut, RoomFrame
from .runtime import runtime

E = TypeVar("E", bound=Event)
RECEIVERS: dict[type[Event], Callable[[Any], None]] = {}


@receiver(committed)
def receive(sender: object, events: Sequence[Event], **kwargs: object) -> None:
    """Posts the events of a batch to the loop at once. Runs on the committing thread."""
    runtime.hub.post(_publish, events)


def _publish(events: Sequence[Event]) -> None:
    with runtime.state.write_batch.for_frames(len(events)):
        for event in events:
            try:
                RECEIVERS[type(event)](event)
            except Exception as error:  # noqa: BLE001 - logged with its traceback
                # The rest of the batch belongs to other senders. The repair delivers this one.
                report_incident(error, f"while {type(event).__name__} was published")


def receives(kind: type[E]) -> Callable[[Callable[[E], None]], Callable[[E], None]]:
    """Registers the receiver of an event class. Raises RuntimeError for a second one."""

    def register(publish: Callable[[E], None]) -> Callable[[E], None]:
        if kind in RECEIVERS:
            raise RuntimeError(f"{kind.__name__} already has a receiver")
        RECEIVERS[kind] = publish
        return publish

    return register


def _deliver(kind: MessageKind, message: MessageState) -> None:
    runtime.broadcaster.deliver(
        message.room_id, message.version, message.access_epoch, lambda: message_text(kind, message)
    )


@receives(MessageSent)
def message_sent(event: MessageSent) -> None:
    message = event.message
    _deliver("message", message)
    if event.via_room_id is not None and message.receiver is not None:
        pair = (message.sender, message.receiver)
        runtime.broadcaster.send_to_users(
            event.via_room_id, pair, lambda: message_text("message", message)
        )


@receives(MessageEdited)
def message_edited(event: MessageEdited) -> None:
    _deliver("edit", event.message)


@receives(MessageErased)
def message_erased(event: MessageErased) -> None:
    _deliver("delete", event.message)


@receives(ReactionsChanged)
def reactions_changed(event: ReactionsChanged) -> None:
    _deliver("reaction", event.message)


@receives(PinChanged)
def pin_changed(event: PinChanged) -> None:
    _deliver("pin", event.message)


@receives(ReadAdvanced)
def read_advanced(event: ReadAdvanced) -> None:
    text = encode(ReadOut(username=event.username, seq=event.seq))
    runtime.broadcaster.send_receipt(event.room_id, event.user_id, text, shared=event.shared)


@receives(DeliveredAdvanced)
def delivered_advanced(event: DeliveredAdvanced) -> None:
    text = encode(DeliveredOut(username=event.username, seq=event.seq))
    runtime.broadcaster.send_receipt(event.room_id, event.user_id, text)


@receives(ReceiptsSharingChanged)
def receipts_sharing_changed(event: ReceiptsSharingChanged) -> None:
    runtime.broadcaster.set_receipts_sharing(event.user_id, shares=event.shares)


@receives(RoomChanged)
def room_changed(event: RoomChanged) -> None:
    runtime.broadcaster.send_to_room(event.room.id, encode(RoomFrame(room=event.room)))


@receives(RoomDeleted)
def room_deleted(event: RoomDeleted) -> None:
    runtime.broadcaster.close_room(event.room_id)


@receives(MemberRemoved)
def member_removed(event: MemberRemoved) -> None:
    runtime.broadcaster.disconnect_member(
        event.room_id, event.user_id, event.access_epoch, removed=True
    )


@receives(MemberLeft)
def member_left(event: MemberLeft) -> None:
    runtime.broadcaster.disconnect_member(
        event.room_id, event.user_id, event.access_epoch, removed=False
    )


@receives(MembershipsChanged)
def memberships_changed(event: MembershipsChanged) -> None:
    runtime.broadcaster.check_memberships(event.user_ids)


@receives(ProfileChanged)
def profile_changed(event: ProfileChanged) -> None:
    runtime.user_presence.publish_profile(event.user_id, event.username, event.display_name)


@receives(SessionsEnded)
def sessions_ended(event: SessionsEnded) -> None:
    runtime.broadcaster.end_sessions(event.session_ids)
