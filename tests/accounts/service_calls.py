"""Calls the account services with the arguments of the API."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import hashing, login, services, sessions
from accounts.auth import Caller
from accounts.models import Session, User
from accounts.tokens import TokenPair

PASSWORD = "a sentence to remember"


def register(
    username: str | None = "ila", email: str | None = None, password: str = PASSWORD
) -> tuple[User, TokenPair]:
    return services.register(
        username=username,
        email=email,
        password=password,
        password2=None,
        address="192.0.2.1",
        user_agent="test",
    )


def log_in(name: str = "ila", password: str = PASSWORD) -> tuple[User, TokenPair]:
    return login.log_in(name=name, password=password, address="192.0.2.1", user_agent="test")


def log_out(caller: Caller | None = None, refresh: str | None = None, **how: bool) -> None:
    sessions.log_out(
        user_id=caller.user_id if caller else None,
        session_id=caller.session_id if caller else None,
        refresh=refresh,
        everywhere=how.get("everywhere", False),
    )


def change_password(user: User, caller: Caller, old: str, new: str) -> None:
    services.change_password(
        user=user,
        session_id=caller.session_id,
        old_password=old,
        new_password=new,
        address="192.0.2.1",
    )


def meanwhile(patch: pytest.MonkeyPatch, function: str, happens: Callable[[], object]) -> None:
    """Runs a function before the next hash or check of a password."""
    slow = getattr(hashing, function)

    def interrupted(*args: object) -> object:
        patch.setattr(hashing, function, slow)
        done = slow(*args)
        happens()
        return done

    patch.setattr(hashing, function, interrupted)


def age_rotation(seconds: float) -> None:
    moment = timezone.now() - timedelta(seconds=seconds)
    for session in Session.objects.all():
        session.rotated_at = moment
        session.replaced = [[*tokens, when - seconds] for *tokens, when in session.replaced]
        session.save()
