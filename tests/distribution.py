"""Decides which tests share a pytest-xdist worker, their order and servers."""

import re

from typing_extensions import override
from xdist.scheduler import LoadScopeScheduling

INSTALLATION, STORMS = "drills of four processes", "storms"
SERVERS = ("daphne", "uvicorn", "uvicorn on PostgreSQL")
SERVER = re.compile(rf"[\[-]({'|'.join(SERVERS)})[-\]]")
SHORT = tuple(
    f"tests/{name}/"
    for name in (
        *("accounts", "chat_client", "docs", "messaging", "rooms", "wire"),
        *("realtime/connection", "realtime/delivery", "realtime/servers"),
    )
)
"""Folders whose tests start no server."""


def group_of(nodeid: str) -> str:
    """Returns the group of a test; a group runs on one worker, test after test.

    All tests of a server are one group: it starts once instead of once on each worker. Drills are
    two groups: more of them at once would leave no processor for the other tests.
    """
    folder = nodeid.split("/")[1]
    if folder == "faults":
        return INSTALLATION if "/test_installation.py" in nodeid else STORMS
    if folder == "deploy":
        return folder  # they share a stack of containers
    server = SERVER.search(nodeid)
    return server[1] if server else nodeid.partition("::")[0]


def order_of(nodeid: str) -> int:
    """Puts long groups first, so that all workers end at the same time."""
    group = group_of(nodeid)
    first = (STORMS, INSTALLATION, *SERVERS)
    return first.index(group) if group in first else len(first) + nodeid.startswith(SHORT)


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Replaces `--dist loadgroup`: xdist 3.8 knows no groups under pytest 9.2."""

    @override
    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
