"""What `manage.py check` says about how processes hear of each other."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Info, register


@register()
def channel_layer_joins_processes(**kwargs: Any) -> list[CheckMessage]:
    if settings.REDIS_URL:
        return []
    return [
        Info(
            "Server processes have no channel layer in common.",
            hint="One process needs none. Several keep the delivery promise without, each hearing "
            "of the others' messages within about a second; REDIS_URL makes it immediate.",
            id="realtime.I001",
        )
    ]
