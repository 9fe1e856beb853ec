"""`manage.py vapid_keys` makes the key that signs pushes."""

from typing import Any

from django.core.management.base import BaseCommand
from typing_extensions import override

from messaging.push.vapid import new_private_key


class Command(BaseCommand):
    help = "Make a new VAPID key and print the settings for it. Browsers are bound to the key"
    requires_system_checks = ()

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"CHAT_VAPID_PRIVATE_KEY={new_private_key()}")
        self.stdout.write("CHAT_VAPID_CONTACT=mailto:you@example.com")
