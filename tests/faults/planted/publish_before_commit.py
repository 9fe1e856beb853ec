"""Bug: a message is published before its commit."""

import time
from collections.abc import Sequence

from django.db import transaction

from accounts.kernel.events import publish_committed
from config.asgi import application
from messaging.events import MessageSent
from messaging.writer import queue
from messaging.writer.drafts import Sent

from .plant import plant

__all__ = ["application"]
COMMITS_LATER = 0.05


def store_together(batch: Sequence[queue.QueuedWrite]) -> None:
    with transaction.atomic():
        store(batch)
        publish_committed(
            [
                MessageSent(waiting.outcome.message)
                for waiting in batch
                if isinstance(waiting.outcome, Sent) and not waiting.outcome.duplicate
            ]
        )
        time.sleep(COMMITS_LATER)


store = plant(queue, "_store_together", store_together)
