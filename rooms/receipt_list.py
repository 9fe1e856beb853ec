"""Reads receipts: how far the members of a room have read and received.

The other places of receipts: markers move in `messaging/writer/read_markers.py`, and `send_receipt`
of `realtime/delivery/hub.py` decides which sockets are sent one.
"""

from typing import Any

from django.conf import settings

from .errors import NotAMember, RoomTooLarge
from .selectors import RoomAccess, members_of


def receipts_in(access: RoomAccess) -> list[dict[str, Any]]:
    """Returns how far the members who share receipts have read and received.

    An empty list for a caller who does not share. Raises Forbidden, NotAMember, RoomTooLarge.
    """
    access.check_may_read()
    if access.member is None:
        raise NotAMember
    most: int | None = settings.CHAT_RECEIPTS_MAX_MEMBERS
    if most is not None and access.room.member_count > most:
        raise RoomTooLarge
    sharing = members_of(access.room).filter(user__share_receipts=True).order_by("pk")
    receipts = [
        {
            "user_id": one.user_id,
            "username": one.user.username,
            "read_seq": one.last_read_seq,
            "delivered_seq": max(one.last_read_seq, one.delivered_seq),
        }
        for one in sharing
    ]
    return receipts if any(one["user_id"] == access.user_id for one in receipts) else []
