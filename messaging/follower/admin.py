"""Admin of followers: who follows the messages, and how far."""

from typing import ClassVar

from django.contrib import admin

from accounts.kernel.admin import ReadOnlyAdmin

from .lag import lag_seconds
from .models import Follower


@admin.register(Follower)
class FollowerAdmin(ReadOnlyAdmin[Follower]):
    ordering = ("name",)
    list_display = ("name", "seconds_behind", "holder", "expires_at")
    fields = ("name", "seconds_behind", "holder", "expires_at", "message_id", "change_id")
    readonly_fields = ("seconds_behind",)
    column_help: ClassVar = {
        "Seconds behind": "The age of the oldest message that was not handled.",
        "Holder": "The process that follows; the log of that process names it when it begins.",
        "Expires at": "When another process takes over, unless it is renewed.",
    }

    @admin.display(description="seconds behind")
    def seconds_behind(self, follower: Follower) -> int:
        return round(lag_seconds(follower.name))
