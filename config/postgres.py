"""How long PostgreSQL works for a process that serves, and how long it waits for one."""

from django.conf import settings


def bound_work() -> None:
    """Before the first connection. The database gives up when the client has been told `busy`.

    Without a bound the statement goes on for nobody, and keeps its connection: as many as the pool
    has, and nobody is served. And a process that stands still in a transaction, or whose host has
    lost its power, would keep its room locked, and with it the writers of all the others: it loses
    the lock so early that those who wait for it are not told `busy`.

    Only for processes that serve: a migration or a purge, by `manage.py`, takes the time that it
    needs.
    """
    entry = settings.DATABASES["default"]
    if entry["ENGINE"] != "django.db.backends.postgresql":
        return
    patience = settings.CHAT_DATABASE_TIMEOUT * 1000
    bounds = {
        "statement_timeout": patience,
        "idle_in_transaction_session_timeout": patience / 2,
    }
    given = entry["OPTIONS"].get("options", "")
    missing = [f"-c {name}={bound:.0f}" for name, bound in bounds.items() if name not in given]
    entry["OPTIONS"]["options"] = " ".join([given, *missing]).strip()
