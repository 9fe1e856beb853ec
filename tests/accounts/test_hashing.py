"""Limits on concurrent password hashing."""

import threading
import time

import pytest

from accounts import hashing
from accounts.kernel.errors import Busy


def test_excess_hash_is_busy_at_once_and_releases_no_slot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hashing, "_places", threading.BoundedSemaphore(1))
    begun = time.monotonic()
    with hashing.slot():
        for _ in range(2):
            with pytest.raises(Busy), hashing.slot():
                pass
    assert time.monotonic() - begun < hashing.WAIT_TIMEOUT / 2
    with hashing.slot():
        pass
