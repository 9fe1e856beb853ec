"""Opens and ends sessions, the rows behind all tokens and sockets.

Their refresh tokens rotate in `refreshing.py`.
"""

import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime

from django.utils import timezone

from . import tokens
from .events import SessionsEnded
from .kernel.db import writing
from .kernel.errors import Forbidden, NoSuchSession, SessionEnded
from .kernel.events import publish
from .models import Session, User, new_stamp

MAX_USER_AGENT = 200


def open_session(user: User, address: str | None, user_agent: str) -> Session:
    session = new_session(user.pk, address, user_agent, timezone.now())
    session.save(force_insert=True)
    return session


def new_session(user_id: int, address: str | None, user_agent: str, now: datetime) -> Session:
    """Returns a session that is not stored yet."""
    return Session(
        user_id=user_id,
        ip=address,
        user_agent=user_agent.replace("\x00", "")[:MAX_USER_AGENT],
        refresh_jti=secrets.token_hex(16),
        created_at=now,
        last_used_at=now,
        rotated_at=now,
    )


def log_out(
    *, user_id: int | None, session_id: int | None, refresh: str | None, everywhere: bool
) -> None:
    """Ends the caller's session or all of the user's sessions, by either token.

    Raises TokenInvalid or TokenExpired for a bad `refresh`, Forbidden for another user's,
    SessionEnded when no open session is left.
    """
    claims = tokens.read_refresh(refresh) if refresh is not None else None
    if claims is not None and user_id not in (None, claims.user_id):
        raise Forbidden("This refresh token belongs to another user")
    owner = claims.user_id if claims is not None else user_id
    named = [session_id, claims.session_id if claims is not None else None]
    sessions = Session.objects.filter(user_id=owner or 0, ended_at=None)
    user = User.objects.filter(pk=owner or 0)
    if not everywhere:
        sessions = sessions.filter(pk__in=[pk for pk in named if pk is not None])
    with writing():
        if everywhere:
            # First the user, then the sessions: the order of a password change avoids a deadlock.
            user.select_for_update().first()
        ending = list(sessions.select_for_update())
        # A named session must be open: the token of an ended session ends no others.
        if not {session.pk for session in ending}.intersection(named):
            raise SessionEnded
        if everywhere:
            # This ends the admin's cookies, too.
            user.update(security_stamp=new_stamp())
        end_all(ending)


def end_session(*, user_id: int, session_id: int) -> None:
    """Ends a session. Raises NoSuchSession for another user's and for an ended one."""
    with writing():
        sessions = list(
            Session.objects.select_for_update().filter(
                pk=session_id, user_id=user_id, ended_at=None
            )
        )
        if not sessions:
            raise NoSuchSession
        end_all(sessions)


def end_all(sessions: Iterable[Session]) -> None:
    """Ends locked sessions in the caller's transaction; one event per user."""
    by_user: dict[int, set[int]] = {}
    for session in sessions:
        by_user.setdefault(session.user_id, set()).add(session.pk)
    for user_id, ids in by_user.items():
        Session.objects.filter(pk__in=ids).update(ended_at=timezone.now())
        publish(SessionsEnded(user_id=user_id, session_ids=frozenset(ids)))


def end_sessions_of(*user_ids: int, keep: int | None = None) -> None:
    """Ends all sessions of these users except `keep`.

    Called wherever a password is stored (`models`) or a user saved as inactive (`apps`).
    """
    with writing():
        open_ones = Session.objects.select_for_update().filter(user__in=user_ids, ended_at=None)
        end_all(open_ones.exclude(pk=keep) if keep is not None else open_ones)


def end_sessions_of_inactive() -> None:
    """Ends the sessions of inactive users after an UPDATE (`models.UserQuerySet`).

    It reads all open sessions, because it is unknown which users the UPDATE deactivated.
    """
    open_ones = Session.objects.select_for_update(of=("self",)).filter(ended_at=None)
    with writing():
        end_all(open_ones.filter(user__is_active=False))


MAX_SEEN_PER_COMMIT = 5000


def record_last_seen(seen: Mapping[int, int]) -> None:
    """Stores that users were here now.

    `seen` maps users to the sessions that they used.
    """
    now, users = timezone.now(), sorted(seen.items())
    for first in range(0, len(users), MAX_SEEN_PER_COMMIT):
        some = dict(users[first : first + MAX_SEEN_PER_COMMIT])
        with writing():
            User.objects.filter(pk__in=some.keys()).update(last_seen=now)
            Session.objects.filter(pk__in=some.values()).update(last_used_at=now)
