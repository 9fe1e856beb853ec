"""Keeps the pair of tokens fresh.

A refresh token works once, so one renewal runs at a time.
"""

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .errors import Refused, SignedOut
from .storage import Storage

RENEWS_AT = 0.8
"""Part of an access token's life after which it is renewed."""
DEFAULT_LIFE = 300.0
MIN_LIFE = 10.0
"""Seconds. A token that seems to end sooner means a clock that is wrong."""
UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class Pair:
    access: str
    refresh: str


class Tokens:
    """`refresh` gets the next pair, `log_in_again` one by password.

    The latter only where the app allowed it.
    """

    def __init__(
        self,
        storage: Storage,
        refresh: Callable[[str], Awaitable[Pair]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage, self._refresh, self._clock = storage, refresh, clock
        self._key = ""
        self._pair: Pair | None = None
        self._due = 0.0
        self._renewing: asyncio.Task[None] | None = None
        self.log_in_again: Callable[[], Awaitable[Pair]] | None = None

    @property
    def current(self) -> str:
        """Returns the access token. Raises SignedOut."""
        if self._pair is None:
            raise SignedOut("Not signed in: call login")
        return self._pair.access

    @property
    def refresh_token(self) -> str | None:
        return self._pair.refresh if self._pair is not None else None

    @property
    def due_in(self) -> float:
        """Seconds until the access token should be renewed."""
        return max(0.0, self._due - self._clock())

    async def start(self, key: str, pair: Pair) -> None:
        """Takes the pair of a login, and keeps it under `key`."""
        self._key = key
        await self._keep(pair)

    async def restore(self, key: str) -> bool:
        """Takes over the stored pair of an earlier process."""
        stored = await self._storage.load_value(key)
        if stored is None:
            return False
        self._key, self._pair = key, Pair(**json.loads(stored))
        self._due = self._clock()  # its age is unknown, so it is renewed first
        return True

    async def forget(self) -> None:
        self._pair, self.log_in_again = None, None
        if self._key:
            await self._storage.save_value(self._key, None)

    async def fresh(self) -> str:
        """Returns an access token with some life left. Raises SignedOut, Unreachable."""
        current = self.current
        return current if self.due_in else await self.renew(current)

    async def renew(self, stale: str) -> str:
        """Returns a token other than `stale`. Raises SignedOut, Unreachable.

        Callers with the same stale token share one renewal. It goes on when a caller is cancelled:
        the server has spent the old refresh token, and its answer holds the only valid one.
        """
        if self.current == stale:
            if self._renewing is None or self._renewing.done():
                self._renewing = asyncio.create_task(self._renew())
            await asyncio.shield(self._renewing)
        return self.current

    async def close(self) -> None:
        """Waits for a renewal under way, so that its answer is kept."""
        if self._renewing is not None:
            await asyncio.gather(self._renewing, return_exceptions=True)

    async def _renew(self) -> None:
        if self._pair is None:
            raise SignedOut("Not signed in: call login")
        try:
            pair = await self._refresh(self._pair.refresh)
        except Refused as refusal:
            if refusal.status != UNAUTHORIZED:
                raise
            pair = await self._log_in_again(refusal)
        await self._keep(pair)

    async def _log_in_again(self, refusal: Refused) -> Pair:
        if self.log_in_again is None:
            raise SignedOut(f"The session has ended: {refusal.detail}") from None
        return await self.log_in_again()

    async def _keep(self, pair: Pair) -> None:
        self._pair = pair
        self._due = self._clock() + RENEWS_AT * life_of(pair.access)
        await self._storage.save_value(
            self._key, json.dumps({"access": pair.access, "refresh": pair.refresh})
        )


def life_of(token: str) -> float:
    """Returns the seconds until a token ends that has just arrived.

    By the clock of this machine. DEFAULT_LIFE for a token without an end, and for one whose life
    is below MIN_LIFE: then the server's refusal decides.
    """
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        left = float(claims["exp"]) - time.time()
    except (LookupError, ValueError, TypeError):
        return DEFAULT_LIFE
    return left if left >= MIN_LIFE else DEFAULT_LIFE
