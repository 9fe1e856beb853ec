"""Names a room in the admin, and links to its lists and forms."""

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode

from accounts.kernel.moderation import Link, list_url
from accounts.models import User
from rooms.models import Room, RoomKind


def room_name(room: Room) -> str:
    """Returns the name in lists of the admin: for a private room, its two users."""
    name = " and ".join(room.pair_names or [str(room)])
    return f"{name} (deleted)" if room.deleted_at else name


def link_to_list(model: str, room: Room, count: int) -> str:
    return format_html('<a href="{}">{}</a>', list_url(model, f"#{room.pk}"), count)


def ban_link(request: HttpRequest, room: Room, user: User | None = None) -> list[Link]:
    """Returns a link to the ban form of a public room, with known values filled in."""
    if (
        room.kind != RoomKind.PUBLIC
        or room.deleted_at
        or not request.user.has_perm("rooms.add_ban")
    ):
        return []
    known = {"room": f"#{room.pk}"} | ({"user": user.username} if user else {})
    label = "Ban the sender" if user else "Ban a user"
    url = f"{reverse('admin:rooms_ban_add')}?{urlencode(known)}"
    return [Link(label, url, "From this room. Opens a form.")]
