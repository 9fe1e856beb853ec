"""Sends REST requests to any process and records inexcusable errors."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import httpx

from .records import Account, Records

ANSWERS_TIMEOUT = 10.0
PASSWORD = "a long walk 4711"

Address = Callable[[], str]


class Client:
    def __init__(self, account: Account, address: Address, records: Records) -> None:
        self.account = account
        self.address = address
        self.records = records
        self._http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {account.access}"},
            timeout=ANSWERS_TIMEOUT,
            trust_env=False,
            verify=False,  # plain HTTP: loading all certificates would cost time
        )

    async def call(
        self, method: str, path: str, body: Any = None, *, at: str | None = None
    ) -> httpx.Response | None:
        """Returns the answer of any process, or of the process `at` this address.

        None when the answer was lost: the request may or may not have taken effect.
        """
        try:
            answer = await self._http.request(
                method, f"http://{at or self.address()}/api{path}", json=body
            )
        except httpx.HTTPError:
            return None
        if answer.status_code == 500:
            self.records.errors.append(f"{method} {path}: {answer.text[:300]}")
        return None if answer.status_code >= 500 else answer

    async def insist(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Repeats the request until there is an answer."""
        while (answer := await self.call(method, path, body)) is None:
            await asyncio.sleep(0.1)
        return answer

    async def history(self, room_id: int) -> list[dict[str, Any]]:
        """Returns all messages of a room; raises ConnectionError for a removed member."""
        messages: list[dict[str, Any]] = []
        while True:
            after = messages[-1]["seq"] if messages else 0
            answer = await self.insist("GET", f"/rooms/{room_id}/messages?after={after}&limit=200")
            if answer.status_code != 200:
                raise ConnectionError(answer.text[:200])
            page = answer.json()
            if not page:
                break
            messages += page
        self.records.read.update((room_id, message["version"]) for message in messages)
        return messages

    async def close(self) -> None:
        await self._http.aclose()


async def sign_up(name: str, address: Address, records: Records) -> Client:
    async with httpx.AsyncClient(timeout=60, trust_env=False, verify=False) as http:
        answer = await http.post(
            f"http://{address()}/api/register", json={"username": name, "password": PASSWORD}
        )
    answer.raise_for_status()
    body = answer.json()
    return Client(Account(body["id"], body["username"], body["access"]), address, records)


def chance(rng: random.Random, probability: float) -> bool:
    return rng.random() < probability
