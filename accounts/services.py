"""Writes of accounts. Every rule about names, passwords, sessions and tokens stands here."""

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError
from django.db.models.functions import Now
from django.utils import timezone

from . import hashing, tokens
from .auth import network_of
from .errors import (
    EmailTaken,
    Forbidden,
    Invalid,
    InvalidCredentials,
    NoSuchSession,
    SessionEnded,
    UsernameTaken,
    WrongPassword,
    invalid,
)
from .events import SessionsEnded, publish
from .models import Session, User, email_key
from .names import LONGEST_NAME, name_from_email, name_key
from .rates import spend
from .selectors import find_by_login, login_key
from .transactions import writing

LONGEST_EMAIL = 254
REFRESH_GRACE = timedelta(seconds=30)
"""A spent refresh token answers its successor for this long: two tabs, a lost answer."""
MOST_SPENT = 20
"""Of them, remembered: nobody refreshes so often within the grace but to make the row grow."""


def register(
    *,
    username: str | None,
    email: str | None,
    password: str,
    password2: str | None,
    address: str | None,
    user_agent: str,
) -> tuple[User, tokens.Pair]:
    """A new account and its first sign-in.

    Raises Invalid, RateLimited, UsernameTaken, EmailTaken, Busy.
    """
    email = email.strip() if email else ""
    if not username and not email:
        raise invalid("username", "a username or an e-mail address is needed", "missing")
    if password2 is not None and password2 != password:
        raise invalid("password2", "the two passwords differ")
    _check_email(email)
    _check_password(password, User(username=username or "", email=email), "password")
    spend("CHAT_REGISTER_RATE", network_of(address))
    user = User(username=username or _free_name(email), email=email)
    _refuse_taken(user, name_is_made=not username)
    user.password = hashing.hash_password(password)
    session = _insert(user, not username, address, user_agent)
    return user, tokens.mint(session)


def _check_email(email: str) -> None:
    if not email:
        return
    try:
        validate_email(email)
    except ValidationError as error:
        raise invalid("email", "is not an e-mail address") from error
    if len(email_key(email) or "") > LONGEST_EMAIL:
        raise invalid("email", f"must have at most {LONGEST_EMAIL} characters", "string_too_long")


def _check_password(password: str, user: User, field: str) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(
            f"{field}: {' '.join(error.messages)}",
            errors=[{"loc": [field], "msg": text, "type": "password"} for text in error.messages],
        ) from error


def _refuse_taken(user: User, *, name_is_made: bool) -> None:
    """Says so before the password is hashed; the constraints decide in the end.

    A name that we made may be taken since: another is made then, see `_insert`.
    """
    if not name_is_made and User.objects.filter(username_key=name_key(user.username)).exists():
        raise UsernameTaken
    if user.email and User.objects.filter(email_key=email_key(user.email)).exists():
        raise EmailTaken


def _free_name(email: str) -> str:
    base = name_from_email(email)
    if not User.objects.filter(username_key=name_key(base)).exists():
        return base
    # Random rather than counted: a counter would tell how many share the name, and be raced for.
    return f"{base[: LONGEST_NAME - 7]}-{secrets.randbelow(10**6):06d}"


def _insert(user: User, name_is_made: bool, address: str | None, user_agent: str) -> Session:
    """With the first session. Raises UsernameTaken or EmailTaken when another request was first."""
    try:
        with writing():
            user.save(force_insert=True)
            return _open_session(user, address, user_agent)
    except IntegrityError:
        if user.email and User.objects.filter(email_key=email_key(user.email)).exists():
            raise EmailTaken from None
        if not name_is_made:
            raise UsernameTaken from None
    user.pk, user.username = None, _free_name(user.email)
    return _insert(user, False, address, user_agent)


def _open_session(user: User, address: str | None, user_agent: str) -> Session:
    now = timezone.now()
    return Session.objects.create(
        user=user,
        ip=address,
        user_agent=user_agent.replace("\x00", "")[:200],
        refresh_jti=secrets.token_hex(16),
        created_at=now,
        last_used_at=now,
        rotated_at=now,
    )


def log_in(
    *, name: str, password: str, address: str | None, user_agent: str
) -> tuple[User, tokens.Pair]:
    """A new sign-in by username or e-mail.

    Raises RateLimited, Busy, and one InvalidCredentials for an unknown name, a wrong password and
    a deactivated account, at the same cost.
    """
    spend("CHAT_LOGIN_RATE", network_of(address))
    spend("CHAT_LOGIN_NAME_RATE", (network_of(address), login_key(name)))
    user = find_by_login(name)
    if not hashing.matches(user, password) or user is None or not user.is_active:
        raise InvalidCredentials
    with writing():
        # Hashing took a while: meanwhile the password may have changed and ended all sessions.
        unchanged = User.objects.select_for_update().filter(
            pk=user.pk, password=user.password, is_active=True
        )
        if not unchanged.exists():
            raise InvalidCredentials
        session = _open_session(user, address, user_agent)
    return user, tokens.mint(session)


def refresh_tokens(*, refresh: str) -> tokens.Pair:
    """Spends a refresh token for its successor, exactly once however many ask at the same instant.

    Raises TokenInvalid, TokenExpired, SessionEnded; a spent token after the grace ends its session.
    """
    claims = tokens.read_refresh(refresh)
    with writing():
        session = (
            Session.objects.select_for_update(of=("self",))
            .select_related("user")
            .filter(pk=claims.session_id, user_id=claims.user_id, ended_at=None)
            # The database's clock: two tabs may ask two hosts, whose own clocks differ.
            .annotate(clock=Now())
            .first()
        )
        if session is None or not session.user.is_active:
            raise SessionEnded
        now = session.clock
        session.spent = _spent_lately(session, now)
        if claims.jti == session.refresh_jti:
            _rotate(session, now)
        elif not _go_back_to(session, claims.jti):
            # Stolen or replayed. Ended here and refused below, so that the end is committed.
            _end([session])
            session.ended_at = now
    if session.ended_at is not None:
        raise SessionEnded
    return tokens.mint(session)


def _spent_lately(session: Session, now: datetime) -> list[list[Any]]:
    oldest = (now - REFRESH_GRACE).timestamp()
    return [one for one in session.spent if one[2] >= oldest][-MOST_SPENT:]


def _rotate(session: Session, now: datetime) -> None:
    successor = secrets.token_hex(16)
    session.spent.append([session.refresh_jti, successor, now.timestamp()])
    session.refresh_jti = successor
    session.rotated_at = session.last_used_at = now
    session.save(update_fields=["spent", "refresh_jti", "rotated_at", "last_used_at"])


def _go_back_to(session: Session, jti: str) -> bool:
    """Puts the session, unsaved, to where this token was spent; False when it was not, lately."""
    for spent, successor, when in session.spent:
        if spent == jti:
            session.refresh_jti = successor
            session.rotated_at = datetime.fromtimestamp(when, UTC)
            return True
    return False


def log_out(
    *, user_id: int | None, session_id: int | None, refresh: str | None, everywhere: bool
) -> None:
    """Ends the caller's session, or all of theirs, by whichever token they gave.

    Raises TokenInvalid or TokenExpired for a bad `refresh`, Forbidden when it is somebody else's,
    SessionEnded when there is nothing left to end.
    """
    claims = tokens.read_refresh(refresh) if refresh is not None else None
    if claims is not None and user_id not in (None, claims.user_id):
        raise Forbidden("This refresh token belongs to somebody else")
    owner = claims.user_id if claims is not None else user_id
    named = [session_id, claims.session_id if claims is not None else None]
    sessions = Session.objects.filter(user_id=owner or 0, ended_at=None)
    if not everywhere:
        sessions = sessions.filter(pk__in=[pk for pk in named if pk is not None])
    with writing():
        ending = list(sessions.select_for_update())
        # One of those named must still be good: the token of an ended session ends no others.
        if not {session.pk for session in ending}.intersection(named):
            raise SessionEnded
        _end(ending)


def end_session(*, user_id: int, session_id: int) -> None:
    """Raises NoSuchSession for another user's and for one that has ended."""
    with writing():
        sessions = list(
            Session.objects.select_for_update().filter(
                pk=session_id, user_id=user_id, ended_at=None
            )
        )
        if not sessions:
            raise NoSuchSession
        _end(sessions)


def _end(sessions: Iterable[Session]) -> None:
    """Within a transaction. All of one user's."""
    by_user: dict[int, set[int]] = {}
    for session in sessions:
        by_user.setdefault(session.user_id, set()).add(session.pk)
    for user_id, ids in by_user.items():
        Session.objects.filter(pk__in=ids).update(ended_at=timezone.now())
        publish(SessionsEnded(user_id=user_id, session_ids=frozenset(ids)))


def change_password(
    *, user: User, session_id: int, old_password: str, new_password: str, address: str | None
) -> None:
    """Sets a new password and ends the user's other sessions.

    Raises Invalid, RateLimited, WrongPassword, SessionEnded, Busy.
    """
    _check_password(new_password, user, "new_password")
    _confirm(user, old_password, address)
    hashed = hashing.hash_password(new_password)
    with writing():
        _hold_confirmed(user, session_id)
        user.password = hashed
        user.save(update_fields=["password"])
        _end(
            Session.objects.select_for_update()
            .filter(user=user, ended_at=None)
            .exclude(pk=session_id)
        )


def _confirm(user: User, password: str, address: str | None) -> None:
    """Guessing the current password of a stolen session is limited as logging in is."""
    spend("CHAT_LOGIN_NAME_RATE", (network_of(address), user.username_key))
    if not hashing.matches(user, password):
        raise WrongPassword


def _hold_confirmed(user: User, session_id: int) -> None:
    """Locks the account that `_confirm` let pass, for the transaction that changes it.

    Hashing takes a while, seconds when others wait for it too. A password changed meanwhile must
    not be overridden by whoever knew the old one. Raises SessionEnded, WrongPassword.
    """
    held = User.objects.select_for_update().filter(pk=user.pk, is_active=True)
    password = held.values_list("password", flat=True).first()
    session = Session.objects.select_for_update().filter(pk=session_id, user=user, ended_at=None)
    if password is None or not session.exists():
        raise SessionEnded
    if password != user.password:
        raise WrongPassword


def change_profile(
    *,
    user: User,
    session_id: int,
    display_name: str | None,
    email: str | None,
    password: str | None,
    address: str | None,
) -> User:
    """Raises Invalid, RateLimited, WrongPassword (a new e-mail needs the password), SessionEnded,
    EmailTaken, Busy.
    """
    changed: list[str] = []
    if email is not None:
        email = email.strip()
        _check_email(email)
        if password is None:
            raise invalid("password", "is needed to change the e-mail address", "missing")
        _confirm(user, password, address)
        user.email = email
        changed += ["email", "email_key"]
    if display_name is not None:
        user.display_name = display_name
        changed += ["display_name", "display_key"]
    try:
        with writing():
            if email is not None:
                _hold_confirmed(user, session_id)
            # Only what was asked for: another request may be changing the rest.
            user.save(update_fields=changed)
    except IntegrityError:
        raise EmailTaken from None
    return user


def deactivate(*, user: User) -> None:
    """Stops a user's access at once: the account is kept, its sessions end."""
    with writing():
        user.is_active = False
        user.save(update_fields=["is_active"])


def end_sessions_of(user: User) -> None:
    """Whoever saves a user as inactive comes by here (see `apps`); a bulk `update` does not."""
    with writing():
        _end(Session.objects.select_for_update().filter(user=user, ended_at=None))
