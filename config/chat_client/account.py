"""Registers or logs in one user and keeps the tokens, in memory only."""

from contextlib import suppress
from typing import Any

from .rest import Refused, Rest, Unreachable

DEVELOPMENT_PASSWORD = "password123"  # noqa: S105 - for a server on this machine only


class LoginFailed(Exception):
    """The login failed; the text has the reason and the remedy."""


class Account:
    """A logged-in user with the current pair of tokens."""

    def __init__(self, rest: Rest, name: str, password: str) -> None:
        self._rest = rest
        self._login = {"email" if "@" in name else "username": name, "password": password}
        self.username = name
        self.access = self._refresh = ""

    def log_in_or_register(self) -> bool:
        """Returns True when the name was free and is now registered.

        Raises LoginFailed, Refused.
        """
        try:
            self.log_in()
        except Refused as refusal:
            if refusal.code != "invalid_credentials":
                raise
            self._register()
            return True
        return False

    def log_in(self) -> None:
        body = self._rest.call("POST", "/login", self._login)
        self.username = body["user"]["username"]
        self._store_tokens(body)

    def _register(self) -> None:
        try:
            body = self._rest.call("POST", "/register", self._login)
        except Refused as refusal:
            if refusal.code in ("username_taken", "email_taken"):
                raise LoginFailed(
                    f"{self.username} is registered with another password. "
                    f"Set it as PASSWORD=..., or use another NAME."
                ) from None
            raise
        self.username = body["username"]
        self._store_tokens(body)

    def renew(self) -> None:
        """Gets new tokens, with the password if the refresh token is refused."""
        try:
            self._store_tokens(
                self._rest.call("POST", "/token/refresh", {"refresh": self._refresh})
            )
        except Refused as refusal:
            if refusal.status != 401:  # noqa: PLR2004
                raise
            self.log_in()

    def log_out(self) -> None:
        """Ends the session, so that sessions do not pile up."""
        with suppress(Refused, Unreachable):
            self._rest.call("POST", "/logout", {"refresh": self._refresh})

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Calls the API as this user."""
        return self._rest.call(method, path, body, access=self.access)

    def _store_tokens(self, tokens: dict[str, Any]) -> None:
        self.access, self._refresh = tokens["access"], tokens["refresh"]
