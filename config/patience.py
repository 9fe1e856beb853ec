"""How long the database may work at one statement of a process that serves."""

from django.conf import settings


def bound_statements() -> None:
    """Before the first connection. The database gives up when the client has been told `busy`.

    Without a bound the statement goes on for nobody, and keeps its connection: as many as the pool
    has, and nobody is served. Only for processes that serve: a migration or a purge, by
    `manage.py`, takes the time that it needs.
    """
    entry = settings.DATABASES["default"]
    if entry["ENGINE"] != "django.db.backends.postgresql":
        return
    given = entry["OPTIONS"].get("options", "")
    if "statement_timeout" not in given:
        bound = f"-c statement_timeout={settings.CHAT_ANSWER_WITHIN * 1000:.0f}"
        entry["OPTIONS"]["options"] = f"{given} {bound}".strip()
