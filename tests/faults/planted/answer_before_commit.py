"""Bug: the sender is answered before the commit."""

import time
from collections.abc import Iterable, Sequence

from django.db import transaction

from config.asgi import application
from messaging.writer import queue
from messaging.writer.drafts import Sent

from .plant import plant

__all__ = ["application"]
COMMITS_LATER = 0.15
_answered: set[queue.QueuedWrite] = set()


def store_together(batch: Sequence[queue.QueuedWrite]) -> None:
    with transaction.atomic():
        store(batch)
        stored = [waiting for waiting in batch if isinstance(waiting.outcome, Sent)]
        _answered.update(stored)
        real_answer(stored)
        time.sleep(COMMITS_LATER)


def answer(batch: Iterable[queue.QueuedWrite]) -> None:
    real_answer([waiting for waiting in batch if waiting not in _answered])


store = plant(queue, "_store_together", store_together)
real_answer = plant(queue, "_resolve_batch", answer)
