"""Decides which tests share a pytest-xdist worker, and their order."""

import pytest

DRILLS = "drills"
SERVERS = ("daphne", "uvicorn", "uvicorn_on_postgresql")
"""Fixtures of conftest.py that live as long as a worker."""
SHORT = tuple(
    f"tests/{name}/"
    for name in (
        *("accounts", "chat_client", "docs", "messaging", "rooms", "wire"),
        *("realtime/connection", "realtime/delivery", "realtime/servers"),
    )
)
"""Folders whose tests start no server."""


def group_of(item: pytest.Item) -> str:
    """Returns the name of the group whose tests run on one worker.

    They run one after the other. All tests of a server in one group: it starts once instead of once
    on each worker. The drills in one group: two of them at once would leave no processor for the
    other tests.
    """
    folder = item.nodeid.split("/")[1]
    if folder == "faults":
        return DRILLS
    if folder == "deploy":
        return folder  # they share a stack of containers
    return _server_of(item) or item.nodeid.partition("::")[0]


def _server_of(item: pytest.Item) -> str | None:
    if not isinstance(item, pytest.Function):
        return None
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    kind = str(parameters.get("server", "")).replace(" ", "_").lower()
    used = {kind, *item.fixturenames}
    return next((name for name in SERVERS if name in used), None)


def order_of(item: pytest.Item) -> int:
    """Puts long groups first, so that all workers end at the same time."""
    group = group_of(item)
    if group == DRILLS:
        return 0
    if group in SERVERS:
        return 1 + SERVERS.index(group)
    return 10 + item.nodeid.startswith(SHORT)
