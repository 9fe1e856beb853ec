"""Checks push keys and whether the followers keep up."""

from collections.abc import Iterator

from django.conf import settings
from django.db import connection
from django.db.models.functions import Now

from messaging.follower.lag import lag_seconds
from messaging.follower.models import Follower
from messaging.push.consumer import NAME
from messaging.push.vapid import vapid_keys

from .database import DATABASE_ERRORS, NO_DATABASE
from .finding import Finding, ok, warning, wrong

MAX_LAG = 60.0


def check_push() -> Iterator[Finding]:
    if settings.CHAT_FOLLOWER == "off":
        yield ok("Pushes are off (CHAT_FOLLOWER=off).")
    elif vapid_keys() is None:
        yield warning(
            "There is no VAPID key, so nothing is pushed. Run manage.py vapid_keys and set what it "
            "prints, or set CHAT_FOLLOWER=off."
        )
    elif not settings.CHAT_VAPID_PRIVATE_KEY:
        yield ok("Pushes are signed with a key for development.")
    else:
        yield ok("Pushes are signed with CHAT_VAPID_PRIVATE_KEY.")
    if settings.CHAT_PUSH_LOOPBACK:
        yield warning(
            "CHAT_PUSH_LOOPBACK lets users send requests to this machine. It is for tests only."
        )


def check_followers() -> Iterator[Finding]:
    if settings.CHAT_FOLLOWER == "off":
        yield ok("Nothing follows the messages (CHAT_FOLLOWER=off).")
        return
    try:
        yield _finding()
    except DATABASE_ERRORS:
        yield wrong(NO_DATABASE)
    finally:
        connection.close()


def _finding() -> Finding:
    how = (
        "Run manage.py follow."
        if settings.CHAT_FOLLOWER == "command"
        else "A server process does it while it runs."
    )
    follower = Follower.objects.filter(name=NAME).annotate(clock=Now()).first()
    if follower is None:
        return ok(f"No messages were followed yet. {how}")
    lag = lag_seconds(NAME)
    if follower.expires_at is None or follower.expires_at < follower.clock:
        found = ok if lag == 0 else warning
        return found(f"No process follows the messages now. {how}")
    if lag > MAX_LAG:
        return wrong(
            f"Pushes are {lag:.0f} s late. See the log of the process that follows the messages."
        )
    return ok(f"Messages are followed, {lag:.0f} s behind.")
