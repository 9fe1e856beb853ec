"""Encrypts and sends one push (RFC 8030, 8291, 8292).

Uses no database: it runs in threads.
"""

import hashlib
import hmac
import json
import logging
import time
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings

from .endpoints import parse_endpoint
from .http_post import BadAnswer, post
from .outcomes import Outcome, Result, result_of
from .public_addresses import AddressRefused, ResolverBusy, Unresolved
from .vapid import VapidKeys

log = logging.getLogger(__name__)

TTL = 86_400
"""Seconds that a push service keeps a push for a device that is off."""
TOPIC_LENGTH = 32
"""The longest that RFC 8030 §5.4 allows."""


@dataclass(frozen=True, slots=True)
class Push:
    """A push that is ready to be sent."""

    endpoint: str
    p256dh: str
    auth: str
    topic: str
    payload: dict[str, Any]


def topic_of(room_id: int) -> str:
    """Returns a room's topic: its next push replaces one not yet delivered.

    A digest, because push services need not know our ids.
    """
    key = settings.SECRET_KEY.encode()
    return hmac.new(key, f"push topic {room_id}".encode(), hashlib.sha256).hexdigest()[
        :TOPIC_LENGTH
    ]


def send(push: Push, keys: VapidKeys) -> Result:
    """Sends a push and returns its outcome; never raises."""
    begun = time.monotonic()
    result = _send(push, keys)
    if result.outcome == Outcome.POSTPONED:
        return result
    return replace(result, seconds=time.monotonic() - begun)


def _send(push: Push, keys: VapidKeys) -> Result:
    host = ""
    try:
        endpoint = parse_endpoint(push.endpoint)
        host = endpoint.host
        headers = {
            "Authorization": keys.authorization(endpoint.origin),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(TTL),
            "Topic": push.topic,
            "Urgency": "high",
        }
        answer = post(endpoint, headers, encrypt(push))
    except ResolverBusy:
        return Result(Outcome.POSTPONED)
    except (OSError, AddressRefused, Unresolved, BadAnswer, ValueError) as error:
        # The path of an endpoint is a secret: only its host is logged.
        log.info("Push service %s: %s", host, type(error).__name__)
        return Result(Outcome.FAILED)
    except Exception:
        log.exception("A push to %s failed", host)
        return Result(Outcome.FAILED)
    result = result_of(answer.status, answer.retry_after)
    if result.outcome == Outcome.FAILED:
        log.info("Push service %s answered %d", host, answer.status)
    return result


def encrypt(push: Push) -> bytes:
    """Encrypts the payload for the browser (RFC 8291)."""
    # Imported late: it loads aiohttp, which servers without pushes need not keep in memory.
    from pywebpush import WebPusher  # noqa: PLC0415

    keys = {"p256dh": push.p256dh, "auth": push.auth}
    text = json.dumps(push.payload, ensure_ascii=False, separators=(",", ":"))
    pusher = WebPusher({"endpoint": push.endpoint, "keys": keys})
    body: bytes = pusher.encode(text.encode(), content_encoding="aes128gcm")["body"]
    return body
