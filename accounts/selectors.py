"""Reads of accounts."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from django.db.models import Q, QuerySet

from .errors import NoSuchUser
from .models import Session, User, email_key
from .names import name_key

if TYPE_CHECKING:
    from .schemas import Who


def find_user(username: str) -> User:
    """An active user by name, in any case. Raises NoSuchUser."""
    user = User.objects.filter(username_key=name_key(username), is_active=True).first()
    if user is None:
        raise NoSuchUser
    return user


def login_key(name: str) -> str:
    """The form in which a login name is looked up. E-mail addresses hold an `@`, usernames never.

    Guesses are counted by it: another spelling of the same name must not count anew.
    """
    return email_key(name) or "" if "@" in name else name_key(name)


def find_by_login(name: str) -> User | None:
    """Whom a login name means."""
    column = "email_key" if "@" in name else "username_key"
    return User.objects.filter(**{column: login_key(name)}).first()


def find_people(people: "Collection[Who]") -> tuple[list[User], list[str]]:
    """Active users for a list of usernames and ids, and those that name nobody, as text."""
    keys = {name_key(who): who for who in people if isinstance(who, str)}
    ids = {who for who in people if isinstance(who, int)}
    users = list(
        User.objects.filter(Q(username_key__in=keys) | Q(pk__in=ids), is_active=True).order_by("pk")
    )
    found_keys, found_ids = {user.username_key for user in users}, {user.pk for user in users}
    unknown = [who for key, who in keys.items() if key not in found_keys]
    return users, unknown + [str(pk) for pk in sorted(ids - found_ids)]


def search_users(text: str) -> QuerySet[User]:
    """Active users whose username or display name starts with the text."""
    users = User.objects.filter(is_active=True)
    if text:
        users = users.filter(
            Q(username_key__startswith=name_key(text)) | Q(display_name__istartswith=text)
        )
    return users


def open_sessions(user_id: int) -> QuerySet[Session]:
    return Session.objects.filter(user_id=user_id, ended_at=None)
