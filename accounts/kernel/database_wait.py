"""Bounds the wait for an answer of the database on an event loop."""

import asyncio
from typing import TypeVar

from django.conf import settings

from .errors import Busy

T = TypeVar("T")


async def wait_for_database(answer: asyncio.Future[T]) -> T:
    """Waits at most CHAT_DATABASE_TIMEOUT seconds.

    Raises Busy, and what the future raises.
    """
    # A plain timer: `asyncio.timeout` costs several times as much, for every message.
    timer = answer.get_loop().call_later(settings.CHAT_DATABASE_TIMEOUT, _time_out, answer)
    try:
        return await answer
    finally:
        timer.cancel()


def _time_out(answer: asyncio.Future[T]) -> None:
    if not answer.done():
        answer.set_exception(Busy())
