"""Exchanges refresh tokens: once each, and again within a short grace."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models.functions import Now

from . import tokens
from .kernel.db import writing
from .kernel.errors import SessionEnded
from .models import Session
from .sessions import end_all

REFRESH_GRACE = timedelta(seconds=30)
"""An exchanged refresh token answers its successor for this long: two tabs, a lost answer."""
MAX_REPLACED_TOKENS = 20
"""Kept per session. More would only let a client grow the row by refreshing all the time."""


def refresh_tokens(*, refresh: str) -> tokens.TokenPair:
    """Exchanges a refresh token for its successor, once under concurrent requests.

    Raises TokenInvalid, TokenExpired, SessionEnded. An exchanged token ends its session after the
    grace.
    """
    claims = tokens.read_refresh(refresh)
    with writing():
        session = (
            Session.objects.select_for_update(of=("self",))
            .select_related("user")
            .filter(pk=claims.session_id, user_id=claims.user_id, ended_at=None)
            # The database's clock: two tabs may use two hosts with different clocks.
            .annotate(clock=Now())
            .first()
        )
        if session is None or not session.user.is_active:
            raise SessionEnded
        now = session.clock
        session.replaced = _recently_replaced(session, now)
        if claims.jti == session.refresh_jti:
            _rotate(session, now)
        elif not _restore_rotation(session, claims.jti):
            # Stolen or replayed. Refused below, after the commit, so that the end is stored.
            end_all([session])
            session.ended_at = now
    if session.ended_at is not None:
        raise SessionEnded
    return tokens.mint(session)


def _recently_replaced(session: Session, now: datetime) -> list[list[Any]]:
    oldest = (now - REFRESH_GRACE).timestamp()
    return [one for one in session.replaced if one[2] >= oldest][-MAX_REPLACED_TOKENS:]


def _rotate(session: Session, now: datetime) -> None:
    successor = secrets.token_hex(16)
    session.replaced.append([session.refresh_jti, successor, now.timestamp()])
    session.refresh_jti = successor
    session.rotated_at = session.last_used_at = now
    session.save(update_fields=["replaced", "refresh_jti", "rotated_at", "last_used_at"])


def _restore_rotation(session: Session, jti: str) -> bool:
    """Resets the unsaved session to the exchange of this token.

    False without a recent one.
    """
    for replaced, successor, when in session.replaced:
        if replaced == jti:
            session.refresh_jti = successor
            session.rotated_at = datetime.fromtimestamp(when, UTC)
            return True
    return False
