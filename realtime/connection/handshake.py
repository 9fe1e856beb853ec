"""Signs a new socket in and admits it: token, limits, admission, membership.

Origin and host are checked before (`origin.py`). What follows depends on the kind of socket:
subscription, `ready` and missed messages are in `room_handshake.py` and `events_handshake.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from django.conf import settings

from accounts.kernel.errors import DomainError, NotAuthenticated, SessionEnded, TokenInvalid
from accounts.kernel.metrics import count_refusal
from accounts.kernel.rate_limits import consume_locally, refund
from accounts.tokens import Claims, read_access
from realtime.errors import AuthTimeout, TooManyConnections
from realtime.protocol.parsing import token_in
from realtime.runtime import Runtime

from .credentials import HOW_TO_SIGN_IN, Scope, network, offered_token

FIRST_FRAME_TIMEOUT = 10.0
TOO_MANY_FROM_ADDRESS = "Too many open sockets from this address"
TOO_MANY_PENDING = "Too many sockets from this address wait to sign in"
A = TypeVar("A")
"""What the check of a kind of socket returns."""


class Disconnected(Exception):
    """Raised when the peer or this process has closed the socket."""


class Handshake(Generic[A]):
    """Signs one socket in and admits it. `release` and `end_pending` undo its counts.

    `authorise` checks session and membership on a database thread.
    """

    __slots__ = (
        "_authorise",
        "_counted",
        "_network",
        "_next_text",
        "_pending",
        "_runtime",
        "_scope",
    )

    def __init__(
        self,
        runtime: Runtime,
        scope: Scope,
        next_text: Callable[[], Awaitable[str | None]],
        authorise: Callable[[Claims], Awaitable[A]],
    ) -> None:
        self._runtime = runtime
        self._scope = scope
        self._network = network(scope)
        self._next_text = next_text
        self._authorise = authorise
        self._counted: tuple[str, ...] = ()
        self._pending = ""

    # Token

    async def authenticate(self) -> tuple[str, Claims, str | None]:
        """Returns the token, its claims, and the first frame if that had the token.

        Raises AuthTimeout, NotAuthenticated, TokenInvalid, TokenExpired, TooManyConnections.
        """
        token, first = offered_token(self._scope), None
        if token is None:
            await self._begin_pending()
            token, first = await self._first_frame()
        return token, await self._read_token(token), first

    async def _first_frame(self) -> tuple[str, str]:
        """Returns the first frame's token, and the frame for use after the handshake."""
        try:
            async with asyncio.timeout(FIRST_FRAME_TIMEOUT):
                text = await self._next_text()
        except TimeoutError:
            raise AuthTimeout from None
        token = token_in(text)
        if token is None or text is None:
            raise NotAuthenticated(HOW_TO_SIGN_IN)
        return token, text

    async def _read_token(self, token: str) -> Claims:
        """Checks signature, type and expiry on the loop.

        So a bad token uses neither the admission queue nor a database thread (decision 33).
        """
        try:
            claims = read_access(token)
        except DomainError:
            await self._begin_pending()
            await self._runtime.refusals.wait_for_refusal()
            raise
        if not self._pending:
            # Counted until it is admitted, but not refused: after a restart many reconnect at once.
            self._pending = f"address:{self._network}"
            self._runtime.connections.acquire(self._pending, None)
        return claims

    async def _begin_pending(self) -> None:
        """Counts the socket as not signed in, until it is admitted or closed.

        Raises TooManyConnections.
        """
        if self._pending:
            return
        name, most = f"address:{self._network}", settings.CHAT_PENDING_PER_ADDRESS
        try:
            self._runtime.connections.acquire(name, most, TOO_MANY_PENDING)
            self._pending = name
            await self._runtime.connections.check(name, most, TOO_MANY_PENDING)
        except TooManyConnections:
            count_refusal("CHAT_PENDING_PER_ADDRESS")
            await self._runtime.refusals.wait_for_refusal()
            raise

    def end_pending(self) -> None:
        """Ends the pending count. A refused socket counts until it is closed."""
        if self._pending:
            self._runtime.connections.release(self._pending)
        self._pending = ""

    # Admission

    async def admit(self, claims: Claims) -> A:
        """Admits the socket within its limits and authorises it.

        Raises the DomainErrors of a refusal, Restarting.
        """
        await self._admit(claims)
        return await self._authorised(claims)

    async def _admit(self, claims: Claims) -> None:
        self._runtime.revocation.check_session(claims.session_id)
        consume_locally("CHAT_CONNECT_RATE", claims.user_id)
        await self._count(f"user:{claims.user_id}", "CHAT_SOCKETS_PER_USER")
        await self._count(
            f"from:{self._network}", "CHAT_SOCKETS_PER_ADDRESS", TOO_MANY_FROM_ADDRESS
        )
        await self._runtime.admission.wait_for_turn()
        self._runtime.lifecycle.check_accepting()

    async def _authorised(self, claims: Claims) -> A:
        try:
            return await self._authorise(claims)
        except (SessionEnded, TokenInvalid):
            # A token of an ended session must not use up the rate of its user.
            refund("CHAT_CONNECT_RATE", claims.user_id)
            raise

    async def _count(self, name: str, setting: str, refusal: str | None = None) -> None:
        """Counts the socket under a name within a setting. Raises TooManyConnections."""
        most: int | None = getattr(settings, setting)
        if most is None:
            return
        try:
            self._runtime.connections.acquire(name, most, refusal)
            # Before the await: `release` must undo it, however the socket ends.
            self._counted += (name,)
            await self._runtime.connections.check(name, most, refusal)
        except TooManyConnections:
            count_refusal(setting)
            raise

    def release(self) -> None:
        """Releases the counts of a signed-in socket. Is safe to call twice."""
        counted, self._counted = self._counted, ()
        for name in counted:
            self._runtime.connections.release(name)
