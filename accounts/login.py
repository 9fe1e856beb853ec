"""Logs users in by username or e-mail address and password, within limits."""

from django.db import connection

from . import hashing, tokens
from .auth import network_of
from .kernel.db import writing
from .kernel.errors import InvalidCredentials
from .kernel.rate_limits import consume
from .models import Session, User
from .selectors import find_by_login, login_key
from .sessions import open_session

MAX_LOGIN_ATTEMPTS = 2
"""With the same password: "log out everywhere" during the first attempt must not fail a login."""


def consume_login_rate(network: str | None, key: str) -> None:
    """Consumes one password check of an address, and of this name from that address.

    Call it before the hash (contract §4). Raises RateLimited, Busy.
    """
    consume("CHAT_LOGIN_RATE", network)
    consume("CHAT_LOGIN_NAME_RATE", (network, key))


def log_in(
    *, name: str, password: str, address: str | None, user_agent: str
) -> tuple[User, tokens.TokenPair]:
    """Opens a session by username or e-mail.

    Raises RateLimited, Busy, and one InvalidCredentials for an unknown name, a wrong password and
    a deactivated account, at the same cost.
    """
    consume_login_rate(network_of(address), login_key(name))
    for _ in range(MAX_LOGIN_ATTEMPTS):
        user = find_by_login(name)
        if not hashing.matches(user, password) or user is None or not user.is_active:
            break
        session = _open_unless_changed(user, address, user_agent)
        if session is not None:
            return user, tokens.mint(session)
    raise InvalidCredentials


def _open_unless_changed(user: User, address: str | None, user_agent: str) -> Session | None:
    """Opens a session, unless the password changed or all sessions ended meanwhile.

    It compares the stamp, not the hash: a concurrent login may have renewed the hash.
    """
    lock = " FOR UPDATE" if connection.features.has_select_for_update else ""
    with writing():
        with connection.cursor() as cursor:
            cursor.execute(SELECT_UNCHANGED + lock, [user.pk, user.security_stamp])
            unchanged = cursor.fetchone()
        return open_session(user, address, user_agent) if unchanged else None


# By hand: building this query with the ORM was a fifth of a login without its hash.
SELECT_UNCHANGED = "SELECT 1 FROM accounts_user WHERE id = %s AND security_stamp = %s AND is_active"
