"""Logs users in by username or e-mail address and password, within limits.

An unknown name costs as much as a wrong password.
"""

from . import hashing, tokens
from .auth import network_of
from .kernel.errors import InvalidCredentials
from .kernel.rate_limits import consume
from .login_batch import login_batches
from .models import User
from .selectors import find_by_login, login_key

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
        if not _matches(user, password) or user is None or not user.is_active:
            break
        session = login_batches.open_session(user, address, user_agent)
        if session is not None:
            return user, tokens.mint(session)
    raise InvalidCredentials


def _matches(user: User | None, password: str) -> bool:
    """Checks a password; an unknown name costs the same, so time reveals nothing."""
    if user is None:
        hashing.hash_password(password)
        return False
    return hashing.matches(user, password)
