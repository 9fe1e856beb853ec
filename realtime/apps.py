from django.apps import AppConfig


class RealtimeConfig(AppConfig):
    name = "realtime"

    def ready(self) -> None:
        # Connects the receivers and hands presence to `rooms`.
        from . import checks, receivers, runtime  # noqa: F401
