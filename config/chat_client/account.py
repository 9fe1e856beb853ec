"""Registers, signs in, and keeps the tokens of one user. Nothing is written to disk."""

from contextlib import suppress
from typing import Any

from .rest import Refused, Rest, Unreachable

DEVELOPMENT_PASSWORD = "password123"  # noqa: S105 - for a server on this machine only


class CannotSignIn(Exception):
    """The text says why, and what to do."""


class Account:
    """A signed-in user, and the pair of tokens that is valid now."""

    def __init__(self, rest: Rest, name: str, password: str) -> None:
        self._rest = rest
        self._login = {"email" if "@" in name else "username": name, "password": password}
        self.username = name
        self.access = self._refresh = ""

    def enter(self) -> bool:
        """Signs in, or registers a name that is free: then True. Raises CannotSignIn, Refused."""
        try:
            self.sign_in()
        except Refused as refusal:
            if refusal.code != "invalid_credentials":
                raise
            self._register()
            return True
        return False

    def sign_in(self) -> None:
        body = self._rest.call("POST", "/login", self._login)
        self.username = body["user"]["username"]
        self._keep(body)

    def _register(self) -> None:
        try:
            body = self._rest.call("POST", "/register", self._login)
        except Refused as refusal:
            if refusal.code in ("username_taken", "email_taken"):
                raise CannotSignIn(
                    f"{self.username} is registered with another password. "
                    f"Give it as PASSWORD=..., or take another NAME."
                ) from None
            raise
        self.username = body["username"]
        self._keep(body)

    def renew(self) -> None:
        """Takes new tokens; with the password where the refresh token is not accepted."""
        try:
            self._keep(self._rest.call("POST", "/token/refresh", {"refresh": self._refresh}))
        except Refused as refusal:
            if refusal.status != 401:  # noqa: PLR2004
                raise
            self.sign_in()

    def sign_out(self) -> None:
        """Ends the session, so that none is left behind by each start."""
        with suppress(Refused, Unreachable):
            self._rest.call("POST", "/logout", {"refresh": self._refresh})

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """A call of the API as this user."""
        return self._rest.call(method, path, body, access=self.access)

    def _keep(self, tokens: dict[str, Any]) -> None:
        self.access, self._refresh = tokens["access"], tokens["refresh"]
