"""Sets PostgreSQL's timeouts for server processes."""

from django.conf import settings


def bound_work() -> None:
    """Sets the timeouts. Call it before the first connection.

    `statement_timeout` cancels a query when its client gets 503. Without it, the query keeps
    running and holding its connection; enough of them exhaust the pool.

    `idle_in_transaction_session_timeout` ends the transaction of a process that hangs, or whose
    host lost its power. Such a transaction keeps its room locked and blocks the writers of all
    processes. With half the time, the others get the lock before they answer 503.

    Management commands have no timeouts: a migration or a purge takes the time that it needs.
    """
    entry = settings.DATABASES["default"]
    if entry["ENGINE"] != "django.db.backends.postgresql":
        return
    milliseconds = settings.CHAT_DATABASE_TIMEOUT * 1000
    timeouts = {
        "statement_timeout": milliseconds,
        "idle_in_transaction_session_timeout": milliseconds / 2,
    }
    given = entry["OPTIONS"].get("options", "")
    missing = [
        f"-c {name}={timeout:.0f}" for name, timeout in timeouts.items() if name not in given
    ]
    entry["OPTIONS"]["options"] = " ".join([given, *missing]).strip()
