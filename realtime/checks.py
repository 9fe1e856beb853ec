"""What `manage.py check` says about how processes hear of each other."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Info, register

NO_LAYER = "Server processes have no channel layer in common."
HINT = (
    "One process needs none. Several keep the delivery promise without, each hearing of the "
    "others' messages within about a second; REDIS_URL makes it immediate."
)


@register(deploy=True)
def channel_layer_joins_processes(**_: Any) -> list[CheckMessage]:
    if settings.REDIS_URLS:
        return []
    return [
        Info(
            NO_LAYER,
            hint=HINT,
            id="realtime.I001",
        )
    ]
