"""Which core does what: servers and peers on one, the load (and Redis) on another."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_ALL = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
SERVER = {_ALL[0]} if len(_ALL) > 1 else set(_ALL)
LOAD = {_ALL[1]} if len(_ALL) > 1 else set(_ALL)


@contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """Processes started inside, with all their threads, run on these cores where the system can."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
