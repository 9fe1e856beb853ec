"""Shows push subscriptions in the admin: a user's devices, and their failures."""

from typing import ClassVar
from urllib.parse import urlsplit

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from typing_extensions import override

from accounts.admin import found_by_person
from accounts.kernel.admin import ReadOnlyAdmin
from accounts.kernel.moderation import StaffAction, link_to

from .errors import NoSuchSubscription
from .models import PushSubscription
from .services import unsubscribe


def _delete(_: int, device: PushSubscription) -> bool:
    try:
        unsubscribe(user_id=device.user_id, subscription_id=device.pk)
    except NoSuchSubscription:
        return False
    return True


@admin.register(PushSubscription)
class PushSubscriptionAdmin(ReadOnlyAdmin[PushSubscription]):
    """Hides the path of endpoints, a secret by which pushes reach a device."""

    list_display = ("id", "person", "push_service", "created_at", "failures", "retry_at")
    list_select_related = ("user",)
    search_fields = ("user",)
    search_help_text = "The start of a username"
    fields = ("user", "session", "push_service", "created_at", "failures", "retry_at")
    readonly_fields = ("push_service",)
    staff_actions = (
        StaffAction[PushSubscription](
            name="delete_subscriptions",
            button="Delete this push subscription",
            list_label="Delete the selected push subscriptions",
            permission="messaging.delete_pushsubscription",
            effect="Nothing is pushed to the device until its user subscribes again.",
            done="deleted",
            perform=_delete,
            log_on=lambda device: device.user,
        ),
    )
    column_help: ClassVar = {
        "Person": "The user of the device. The link leads to the account.",
        "Push service": "The host that the browser chose.",
        "Failures": "Failed pushes since the last one that succeeded.",
        "Retry at": "Before that nothing is pushed to the device.",
    }

    @admin.display(description="person")
    def person(self, device: PushSubscription) -> str:
        return link_to(device.user, device.user.username)

    @admin.display(description="push service")
    def push_service(self, device: PushSubscription) -> str:
        return urlsplit(device.endpoint).hostname or ""

    @override
    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[PushSubscription], search_term: str
    ) -> tuple[QuerySet[PushSubscription], bool]:
        return found_by_person(self, request, queryset, search_term)

    @override
    def name_of(self, row: PushSubscription) -> str:
        return f"Push subscription {row.pk} of {row.user.username}"
