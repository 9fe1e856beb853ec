"""One renewal at a time, its answer kept, and what follows when it is refused."""

import asyncio
import base64
import json
import time

import pytest

from chat_backend_client.errors import Refused, SignedOut, Unreachable
from chat_backend_client.storage import MemoryStorage
from chat_backend_client.tokens import DEFAULT_LIFE, RENEWS_AT, Pair, Tokens, life_of

ARRIVED = int(time.time())


def access(number: int, life: int = 100) -> str:
    """Returns a token with the claims that the server gives it; it has no time of issue."""
    claims = json.dumps({"exp": ARRIVED + life, "n": number}).encode()
    return f"h.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.s"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat_backend_client.tokens.time.time", lambda: float(ARRIVED))


class Site:
    """Gives each refresh token one successor."""

    def __init__(self) -> None:
        self.now = 0.0
        self.spent: list[str] = []
        self.error: Exception | None = None
        self.storage = MemoryStorage()
        self.tokens = Tokens(self.storage, self.refresh, lambda: self.now)

    async def refresh(self, refresh: str) -> Pair:
        self.spent.append(refresh)
        await asyncio.sleep(0.02)
        if self.error is not None:
            raise self.error
        number = len(self.spent)
        return Pair(access(number), f"r{number}")


async def signed_in() -> Site:
    site = Site()
    await site.tokens.start("key", Pair(access(0), "r0"))
    return site


def test_life_is_read_from_the_token_and_has_a_default() -> None:
    assert life_of(access(1, 60)) == 60
    assert life_of(access(1, -60)) == life_of("not a token") == DEFAULT_LIFE


async def test_many_callers_share_one_renewal() -> None:
    site = await signed_in()
    stale = site.tokens.current
    assert len(set(await asyncio.gather(*(site.tokens.renew(stale) for _ in range(10))))) == 1
    assert site.spent == ["r0"]
    await site.tokens.renew(stale)
    assert site.spent == ["r0"]


async def test_token_is_renewed_before_it_ends() -> None:
    site = await signed_in()
    site.now = 100 * RENEWS_AT - 1
    assert await site.tokens.fresh() == access(0)
    site.now += 2
    assert await site.tokens.fresh() == access(1)


async def test_renewal_goes_on_when_its_caller_is_cancelled() -> None:
    site = await signed_in()
    renewing = asyncio.create_task(site.tokens.renew(site.tokens.current))
    await asyncio.sleep(0.005)
    renewing.cancel()
    await asyncio.gather(renewing, return_exceptions=True)
    await site.tokens.close()
    assert site.tokens.current == access(1)
    other = Tokens(site.storage, site.refresh)
    assert await other.restore("key")
    assert other.refresh_token == "r1"


async def test_refused_renewal_signs_out_or_logs_in_again() -> None:
    site = await signed_in()
    site.error = Refused("token_invalid", "spent", status=401)
    with pytest.raises(SignedOut):
        await site.tokens.renew(site.tokens.current)

    async def log_in() -> Pair:
        return Pair(access(50), "r50")

    site.tokens.log_in_again = log_in
    assert await site.tokens.renew(site.tokens.current) == access(50)


async def test_unreachable_server_keeps_the_session() -> None:
    site = await signed_in()
    site.error = Unreachable("away")
    with pytest.raises(Unreachable):
        await site.tokens.renew(site.tokens.current)
    site.error = None
    assert await site.tokens.renew(site.tokens.current) == access(2)
    assert site.spent == ["r0", "r0"]
