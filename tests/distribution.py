"""Decides which tests share a pytest-xdist worker, their order and servers."""

import re

import pytest
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
EVERY_SERVER = frozenset(
    f"tests/e2e/test_{name}.py"
    for name in (
        *("events_socket", "identity", "messages", "order_and_idempotency", "resume"),
        *("receipts", "revocation"),
    )
)
"""Files about sockets and order, which depend on the pair of server and database.

The tests of other files run on daphne with SQLite and on uvicorn with PostgreSQL, which is each
server and each database once. uvicorn with SQLite is left to `make test-all`.
"""


def is_repetition(item: pytest.Item) -> bool:
    """Returns whether a test repeats on uvicorn with SQLite what two servers showed."""
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return False
    has_own_servers = hasattr(item.module, "server")
    return (
        item.callspec.params.get("server") == "uvicorn"
        and not has_own_servers
        and item.nodeid.partition("::")[0] not in EVERY_SERVER
    )


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
