"""Registers users, and changes passwords and profiles.

Logins are in `login.py`, sessions in `sessions.py`.
"""

from enum import Enum

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError
from django.utils import timezone

from . import hashing, tokens
from .auth import network_of
from .events import ProfileChanged, ReceiptsSharingChanged
from .kernel.db import writing
from .kernel.errors import (
    EmailTaken,
    Invalid,
    SessionEnded,
    UsernameTaken,
    WrongPassword,
    invalid,
)
from .kernel.events import publish
from .kernel.names import name_key
from .kernel.rate_limits import consume
from .login import consume_login_rate
from .models import Session, User, email_key
from .sessions import open_session
from .username_from_email import free_username

MAX_EMAIL_LENGTH = 254


class Unchanged(Enum):
    """Marks a value that stays as it is, where None has a meaning of its own."""

    UNCHANGED = "unchanged"


UNCHANGED = Unchanged.UNCHANGED


def register(
    *,
    username: str | None,
    email: str | None,
    password: str,
    password2: str | None,
    address: str | None,
    user_agent: str,
) -> tuple[User, tokens.TokenPair]:
    """Creates an account and its first session.

    Raises Invalid, RateLimited, UsernameTaken, EmailTaken, Busy.
    """
    email = email.strip() if email else ""
    if not username and not email:
        raise invalid("username", "a username or an e-mail address is required", "missing")
    if password2 is not None and password2 != password:
        raise invalid("password2", "the two passwords do not match")
    _check_email(email)
    _check_password(password, User(username=username or "", email=email), "password")
    consume("CHAT_REGISTER_RATE", network_of(address))
    user = User(username=username or free_username(email), email=email)
    _check_not_taken(user, name_is_made=not username)
    user.password = hashing.hash_password(password)
    session = _insert(user, address, user_agent, name_is_made=not username)
    return user, tokens.mint(session)


def _check_email(email: str) -> None:
    if not email:
        return
    try:
        validate_email(email)
    except ValidationError as error:
        raise invalid("email", "is not an e-mail address") from error
    if len(email_key(email) or "") > MAX_EMAIL_LENGTH:
        raise invalid(
            "email", f"must have at most {MAX_EMAIL_LENGTH} characters", "string_too_long"
        )


def _check_password(password: str, user: User, field: str) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(
            f"{field}: {' '.join(error.messages)}",
            errors=[{"loc": [field], "msg": text, "type": "password"} for text in error.messages],
        ) from error


def _check_not_taken(user: User, *, name_is_made: bool) -> None:
    """Refuses a taken name or address before the password is hashed.

    The constraints decide in the end. For a generated name, `_insert` generates another one.
    """
    if not name_is_made and User.objects.filter(username_key=name_key(user.username)).exists():
        raise UsernameTaken
    if user.email and User.objects.filter(email_key=email_key(user.email)).exists():
        raise EmailTaken


def _insert(user: User, address: str | None, user_agent: str, *, name_is_made: bool) -> Session:
    """Stores a user with a session.

    Raises UsernameTaken or EmailTaken after a lost race.
    """
    try:
        with writing():
            user.save(force_insert=True)
            return open_session(user, address, user_agent)
    except IntegrityError:
        if user.email and User.objects.filter(email_key=email_key(user.email)).exists():
            raise EmailTaken from None
        if not name_is_made:
            raise UsernameTaken from None
    user.pk, user.username = None, free_username(user.email)
    return _insert(user, address, user_agent, name_is_made=False)


def change_password(
    *, user: User, session_id: int, old_password: str, new_password: str, address: str | None
) -> None:
    """Sets a new password and ends the user's other sessions.

    Raises Invalid, RateLimited, WrongPassword, SessionEnded, Busy.
    """
    _check_password(new_password, user, "new_password")
    _check_current_password(user, old_password, address)
    hashed = hashing.hash_password(new_password)
    with writing():
        _lock_confirmed(user, session_id)
        user.password = hashed
        user.save(update_fields=["password"], keep_session=session_id)


def _check_current_password(user: User, password: str, address: str | None) -> None:
    """Checks the current password, with the limits of a login against guessing."""
    consume_login_rate(network_of(address), user.username_key)
    if not hashing.matches(user, password):
        raise WrongPassword


def _lock_confirmed(user: User, session_id: int) -> None:
    """Locks an account whose password was checked, in the caller's transaction.

    Hashing takes up to seconds under load. The old password must not override a password that was
    changed meanwhile. Raises SessionEnded, WrongPassword.
    """
    locked = User.objects.select_for_update().filter(pk=user.pk, is_active=True)
    stamp = locked.values_list("security_stamp", flat=True).first()
    session = Session.objects.select_for_update().filter(pk=session_id, user=user, ended_at=None)
    if stamp is None or not session.exists():
        raise SessionEnded
    if stamp != user.security_stamp:
        raise WrongPassword


def change_profile(
    *,
    user: User,
    session_id: int,
    display_name: str | None,
    email: str | None,
    password: str | None,
    address: str | None,
    quiet_hours: dict[str, str] | Unchanged | None = UNCHANGED,
) -> User:
    """Changes display name, quiet hours or, with the password, the e-mail address.

    Raises Invalid, RateLimited, WrongPassword, SessionEnded, EmailTaken, Busy.
    """
    changed: list[str] = []
    if email is not None:
        user.email = _confirmed_email(user, email, password, address)
        changed += ["email", "email_key"]
    if display_name is not None:
        user.display_name = display_name
        changed += ["display_name", "display_key", "shared_prefix"]
    if not isinstance(quiet_hours, Unchanged):
        user.quiet_hours = quiet_hours
        changed.append("quiet_hours")
    try:
        with writing():
            if email is not None:
                _lock_confirmed(user, session_id)
            _save_profile(user, changed)
    except IntegrityError:
        raise EmailTaken from None
    return user


def _save_profile(user: User, changed: list[str]) -> None:
    # Only these fields: a concurrent request may change the others.
    user.save(update_fields=changed)
    if "display_name" in changed:
        publish(ProfileChanged(user.pk, user.username, user.display_name))


def _confirmed_email(user: User, email: str, password: str | None, address: str | None) -> str:
    email = email.strip()
    _check_email(email)
    if password is None:
        raise invalid("password", "is required to change the e-mail address", "missing")
    _check_current_password(user, password, address)
    return email


def deactivate(*, user: User) -> None:
    """Locks an account: its sessions end at once, its rows stay."""
    with writing():
        user.is_active = False
        user.save(update_fields=["is_active"])


def share_receipts(*, user: User, shares: bool) -> None:
    """Turns receipts on or off: others see a user's, and the user sees theirs."""
    with writing():
        user.share_receipts = shares
        user.receipts_changed_at = timezone.now()
        user.save(update_fields=["share_receipts", "receipts_changed_at"])
        publish(ReceiptsSharingChanged(user.pk, shares))
