"""Mutes rooms, and chooses which of their messages are pushed to a member."""

from datetime import datetime
from typing import Any

from django.utils import timezone

from accounts.kernel.db import writing
from accounts.kernel.errors import invalid

from . import selectors
from .errors import NotAMember
from .membership_counters import raise_counters
from .models import Member, Notify


def change_notifications(
    *,
    user_id: int,
    room_id: int,
    muted: bool | None = None,
    muted_until: datetime | None = None,
    notify: Notify | None = None,
) -> None:
    """Mutes a room or chooses which messages are pushed; None changes nothing.

    `muted_until` mutes until then, `muted` alone for good. Raises NoSuchRoom, NotAMember, Forbidden
    for a banned user, Invalid for a time that has passed or with `muted=False`.
    """
    if muted_until is not None and (muted is False or muted_until <= timezone.now()):
        raise invalid("muted_until", "must be in the future, and not sent with `muted: false`")
    changes: dict[str, Any] = {} if notify is None else {"notify": notify}
    if muted is not None or muted_until is not None:
        changes |= {"muted": muted is not False, "muted_until": muted_until}
    with writing():
        access = selectors.room_access(user_id, room_id)
        access.check_may_read()
        if access.member is None:
            raise NotAMember
        member = access.member
        new = {name: value for name, value in changes.items() if getattr(member, name) != value}
        if new:
            # Only these columns: a concurrent read marker is in the same row.
            Member.objects.filter(pk=member.pk).update(**new)
        if {"muted", "muted_until"} & new.keys():
            raise_counters([user_id])
