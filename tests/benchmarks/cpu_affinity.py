"""Pins processes: servers and peers to one core, the load (and Redis) to another."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_ALL = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
SERVER = {_ALL[0]} if len(_ALL) > 1 else set(_ALL)
LOAD = {_ALL[1]} if len(_ALL) > 1 else set(_ALL)


@contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """Runs the processes started inside on these cores, where the system can."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
