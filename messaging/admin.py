"""Admin of messages, to look at: they change through the services, under the room's lock."""

from django.contrib import admin
from django.db.models import QuerySet

from accounts.admin import ReadOnlyAdmin
from accounts.models import User
from rooms.admin import SEARCH_HELP, SearchableAdmin
from rooms.models import Room

from .models import Message

LOOKED_THROUGH = 100_000
"""Nothing is indexed by sender alone, so a search for one looks at this many of the newest."""
LONGEST_SHOWN = 80


@admin.register(Message)
class MessageAdmin(SearchableAdmin[Message], ReadOnlyAdmin[Message]):
    list_display = ("id", "room", "seq", "sender", "shown", "created_at", "edited_at", "deleted")
    list_select_related = ("room", "sender")
    search_help_text = f"{SEARCH_HELP}. A person's among the newest {LOOKED_THROUGH:,} only"
    exclude = ("client_digest",)

    @admin.display(description="text")
    def shown(self, message: Message) -> str:
        text = message.content
        return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"

    def found(
        self, rows: QuerySet[Message], room: Room | None, user: User | None
    ) -> QuerySet[Message]:
        if room is not None:
            # The order of ids within a room, in which an index of the room's is kept.
            rows = rows.filter(room=room).order_by("-seq")
        if user is None:
            return rows
        rows = rows.filter(sender=user)
        if room is not None:
            return rows.filter(seq__gt=room.last_seq - LOOKED_THROUGH)
        newest = Message.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        return rows.filter(pk__gt=newest - LOOKED_THROUGH)
