"""Hashes passwords, with a bound on concurrent hashes.

A hash costs a quarter of a second of one core by design: without a bound a few logins a second
would take every core from the chat.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password

from .kernel.db_connections import release_connection
from .kernel.errors import Busy
from .models import User

SLOTS = max(1, (os.cpu_count() or 2) - 1)
WAIT_TIMEOUT = 10.0
"""Seconds that a login waits for a slot before it is refused with `busy`."""
MAX_CONCURRENT = 200
"""Logins that hash or wait: several times as many as get a slot in time. Each keeps a request
thread, and `config.http_guard` bounds those."""

_slots = threading.BoundedSemaphore(SLOTS)
_places = threading.BoundedSemaphore(MAX_CONCURRENT)


class TunablePBKDF2PasswordHasher(PBKDF2PasswordHasher):
    """Sets `CHAT_PASSWORD_ITERATIONS` on Django's default hasher (tests use few)."""

    iterations = settings.CHAT_PASSWORD_ITERATIONS or PBKDF2PasswordHasher.iterations


@contextmanager
def slot() -> Iterator[None]:
    """Waits for a slot in which a password may be hashed. Raises Busy."""
    release_connection()
    with _acquired(_places, 0), _acquired(_slots, WAIT_TIMEOUT):
        yield


@contextmanager
def _acquired(places: threading.Semaphore, within: float) -> Iterator[None]:
    if not places.acquire(timeout=within):
        raise Busy(retry_after=WAIT_TIMEOUT)
    try:
        yield
    finally:
        places.release()


def hash_password(password: str) -> str:
    """Hashes a password. Raises Busy when no slot becomes free in time."""
    with slot():
        return make_password(password)


def matches(user: User, password: str) -> bool:
    """Checks a user's password. Raises Busy when no slot becomes free in time."""
    with slot():
        return user.check_password(password)
