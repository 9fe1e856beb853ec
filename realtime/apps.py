from django.apps import AppConfig
from typing_extensions import override


class RealtimeConfig(AppConfig):
    name = "realtime"

    @override
    def ready(self) -> None:
        # Connects the receivers and hands presence to `rooms`.
        from . import checks, receivers, runtime  # noqa: F401
