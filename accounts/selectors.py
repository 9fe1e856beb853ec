"""Reads accounts and sessions."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.contrib.auth.models import Permission
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Q, QuerySet
from django.utils import timezone
from ninja_jwt.tokens import AccessToken, RefreshToken

from .kernel.errors import NoSuchUser
from .kernel.name_search import LAST_CHARACTER
from .kernel.names import name_key
from .kernel.sql_arrays import AMONG_IDS, id_array
from .models import Session, User, email_key

if TYPE_CHECKING:
    from .kernel.fields import UserRef


def find_user(username: str) -> User:
    """Returns an active user by name, in any case. Raises NoSuchUser."""
    user = User.objects.filter(username_key=name_key(username), is_active=True).first()
    if user is None:
        raise NoSuchUser
    return user


def find_user_id(username: str) -> int | None:
    """The id of a user by name, deactivated ones included."""
    return User.objects.filter(username_key=name_key(username)).values_list("pk", flat=True).first()


def login_key(name: str) -> str:
    """Returns the form in which a login name is looked up.

    E-mail addresses hold an `@`, usernames never. Guesses are counted by it: another spelling of
    the same name must not count anew.
    """
    return email_key(name) or "" if "@" in name else name_key(name)


# By hand: building this query with the ORM was a sixth of a login without its hash.
LOGIN_COLUMNS = tuple(
    field.attname
    for field in User._meta.concrete_fields  # in the order that `from_db` expects
    if field.attname in {"id", "username", "email", "password", "security_stamp", "is_active"}
)
SELECT_BY_LOGIN = f"SELECT {', '.join(LOGIN_COLUMNS)} FROM accounts_user WHERE "  # noqa: S608


def find_by_login(name: str) -> User | None:
    """Returns the user of a login name, with LOGIN_COLUMNS loaded."""
    column = "email_key" if "@" in name else "username_key"
    with connection.cursor() as cursor:
        cursor.execute(f"{SELECT_BY_LOGIN}{column} = %s", [login_key(name)])
        row = cursor.fetchone()
    if row is None:
        return None
    return User.from_db(DEFAULT_DB_ALIAS, LOGIN_COLUMNS, row)


def find_users(refs: "Collection[UserRef]") -> tuple[list[User], list[str]]:
    """Returns active users for usernames and ids.

    Values that match no user are returned as text.
    """
    keys = {name_key(who): who for who in refs if isinstance(who, str)}
    ids = {who for who in refs if isinstance(who, int)}
    users = list(
        User.objects.filter(Q(username_key__in=keys) | Q(pk__in=ids), is_active=True).order_by("pk")
    )
    found_keys, found_ids = {user.username_key for user in users}, {user.pk for user in users}
    unknown = [who for key, who in keys.items() if key not in found_keys]
    return users, unknown + [str(pk) for pk in sorted(ids - found_ids)]


def starts_with(column: str, key: str) -> Q:
    """Returns a filter for the start of a key, as a range of its index.

    SQLite's LIKE knows no case and so no index. PostgreSQL's has one for patterns, and compares
    texts otherwise by the rules of a language, in which a prefix is no range.
    """
    if connection.vendor == "sqlite":
        return Q(**{f"{column}__gte": key, f"{column}__lt": key + LAST_CHARACTER})
    return Q(**{f"{column}__startswith": key})


def open_sessions(user_id: int) -> QuerySet[Session]:
    """Returns sessions with an unexpired token. Expired sessions have no `ended_at`."""
    return Session.objects.filter(
        user_id=user_id, ended_at=None, rotated_at__gt=timezone.now() - longest_lifetime()
    )


def permission_names(user: User) -> set[str]:
    """Returns permissions of a user and their groups, as `rooms.change_room`.

    Also of a deactivated user, of whom Django says that they have none.
    """
    own = Q(user=user) | Q(group__user=user)
    names = Permission.objects.filter(own).values_list("content_type__app_label", "codename")
    return {f"{app}.{codename}" for app, codename in names}


def over_for(days: int) -> QuerySet[Session]:
    """Returns sessions that ended or expired at least so many days ago."""
    then = timezone.now() - timedelta(days=days)
    return Session.objects.filter(
        Q(ended_at__lte=then) | Q(ended_at=None, rotated_at__lte=then - longest_lifetime())
    )


def longest_lifetime() -> timedelta:
    """Returns how long a session lives that is not refreshed.

    Some sites give the access token the longer life.
    """
    lifetimes: tuple[timedelta, timedelta] = AccessToken.lifetime, RefreshToken.lifetime
    return max(lifetimes)


REPAIR_WINDOW = timedelta(seconds=150)
"""Searched in addition to the time since the last check: more than clocks of hosts may differ."""
ENDED = "SELECT id FROM accounts_session WHERE ended_at > %s AND id "
# CROSS JOIN makes SQLite begin with the few users who changed it, not with all open sessions.
SHARING = (
    "SELECT s.id, u.share_receipts FROM accounts_user u CROSS JOIN accounts_session s"
    " WHERE u.receipts_changed_at > %s AND s.user_id = u.id AND s.id "
)


def ended_sessions(open_ids: Collection[int], seconds: float) -> list[int]:
    """Returns which sessions ended within the last seconds and REPAIR_WINDOW.

    Every process asks this each second, so it is one statement with two parameters. Without the
    ids each process would receive every session that ended anywhere in that time.
    """
    return [session_id for (session_id,) in _about_sessions(ENDED, open_ids, seconds)]


def changed_sharing(open_ids: Collection[int], seconds: float) -> dict[int, bool]:
    """Returns `share_receipts` by session, where its user changed it meanwhile."""
    rows = _about_sessions(SHARING, open_ids, seconds)
    return {session_id: bool(shares) for session_id, shares in rows}


def _about_sessions(
    statement: str, open_ids: Collection[int], seconds: float
) -> list[tuple[int, ...]]:
    if not open_ids:
        return []
    since = timezone.now() - timedelta(seconds=seconds) - REPAIR_WINDOW
    with connection.cursor() as cursor:
        cursor.execute(
            statement + AMONG_IDS[connection.vendor],
            [connection.ops.adapt_datetimefield_value(since), id_array(open_ids)],
        )
        rows: list[tuple[int, ...]] = cursor.fetchall()
        return rows


def find_active_user(user_id: int) -> User | None:
    return User.objects.filter(pk=user_id, is_active=True).first()


def last_seen_of(user_ids: Collection[int]) -> dict[int, datetime | None]:
    """Returns when each of these users last opened or closed a socket."""
    return dict(User.objects.filter(pk__in=user_ids).values_list("pk", "last_seen"))
