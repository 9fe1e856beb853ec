"""Checks for `manage.py check` whether processes share a channel layer."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Info, register

NO_LAYER = "Server processes share no channel layer."
HINT = (
    "One process needs none. Several processes without one keep the delivery promise with a delay "
    "of about a second; REDIS_URL makes delivery immediate."
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
