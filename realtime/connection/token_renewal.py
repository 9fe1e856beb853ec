"""Renews the token of an open socket, which ends with it (contract §3)."""

import asyncio
import time

from accounts.auth import Caller, authenticate_claims
from accounts.kernel.errors import TokenExpired, TokenInvalid
from accounts.tokens import read_access
from realtime.delivery.hub import Socket
from realtime.runtime import Runtime

from .handshake import Disconnected


class TokenRenewal:
    """Holds the access token of one signed-in socket, and the timer of its expiry."""

    __slots__ = ("_runtime", "_socket", "_timer", "_token")

    def __init__(self, runtime: Runtime, socket: Socket, token: str) -> None:
        self._runtime = runtime
        self._socket = socket
        self._token = token
        self._timer = self._timer_of(socket.caller)

    async def renew(self, token: str) -> None:
        """Continues under a later token of the same user. An earlier one changes nothing.

        Raises TokenInvalid, TokenExpired or SessionEnded, which end the socket; Disconnected.
        """
        if token == self._token:
            return
        caller = await self._runtime.database.run(authenticate_claims, read_access(token))
        if self._socket.queue.closing:
            raise Disconnected
        if caller.user_id != self._socket.caller.user_id:
            raise TokenInvalid
        if caller.expires_at > self._socket.caller.expires_at:
            self._runtime.revocation.check_session(caller.session_id)
            self._runtime.hub.renew(self._socket, caller)
            self._token = token
            self._timer.cancel()
            self._timer = self._timer_of(caller)

    def end(self) -> None:
        """Stops the timer. Is safe to call twice."""
        self._timer.cancel()

    def _timer_of(self, caller: Caller) -> asyncio.TimerHandle:
        left = max(0.0, caller.expires_at - time.time())
        return asyncio.get_running_loop().call_later(left, self._expire)

    def _expire(self) -> None:
        self._runtime.hub.disconnect([self._socket], TokenExpired())
