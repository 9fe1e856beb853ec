from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_save
from typing_extensions import override


class AccountsConfig(AppConfig):
    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    @override
    def ready(self) -> None:
        post_save.connect(_end_sessions_of_inactive, sender="accounts.User")


def _end_sessions_of_inactive(instance: Any, **_: Any) -> None:
    from .sessions import end_sessions_of

    if not instance.is_active:
        end_sessions_of(instance.pk)
