from django.apps import AppConfig
from typing_extensions import override


class RealtimeConfig(AppConfig):
    name = "realtime"

    @override
    def ready(self) -> None:
        # Importing connects the receivers, and loads the runtime, which gives `rooms` its presence.
        from . import checks, receivers  # noqa: F401
