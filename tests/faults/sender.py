"""Sends messages until each is acknowledged, and sometimes changes one."""

import asyncio
import random
import time
from urllib.parse import quote

from .client import chance
from .client_socket import ClientSocket
from .records import Answer, Sent, SentChange

BY_REST = 0.2
TWICE = 0.05
CHANGES = 0.15
RECENT = 30
EMOJI = ["👍", "🎉", "😀"]


class MessageBudget:
    """Number of messages that may still begin: released in steps, so that load lasts."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.left = 0
        self._closed = False
        self._free = asyncio.Semaphore(0)

    def release(self, count: int) -> None:
        self.left += count
        for _ in range(count):
            self._free.release()

    async def take(self) -> bool:
        """Returns False when no message may begin any more."""
        if not self._closed:
            await self._free.acquire()
            self.left -= 1
        return not self._closed

    def close(self, senders: int) -> None:
        self._closed = True
        self.release(senders)

    async def reached(self, count: int) -> None:
        while self.acknowledged < count:
            await asyncio.sleep(0.01)


class Sender:
    def __init__(
        self, socket: ClientSocket, name: str, budget: MessageBudget, rng: random.Random
    ) -> None:
        self._socket = socket
        self._client = socket.client
        self._name = name
        self._budget = budget
        self._rng = rng
        self._count = 0

    async def write(self) -> None:
        """Sends until the budget is closed; begun messages are completed."""
        while await self._budget.take():
            await self._deliver(self._next())
            self._budget.acknowledged += 1
            if chance(self._rng, CHANGES):
                await self._change()

    def _next(self) -> Sent:
        self._count += 1
        client_id = (
            f"{self._client.account.username}-{self._socket.room.id}-{self._name}-{self._count}"
        )
        sent = Sent(
            client_id,
            self._client.account.id,
            self._socket.room.id,
            f"{client_id} text {self._rng.random()}",
        )
        self._client.records.sent[client_id] = sent
        return sent

    async def _deliver(self, sent: Sent) -> None:
        """Repeats the send with the same client_id until there is an answer."""
        sent.begun = time.monotonic()
        while True:
            await self._socket.allowed.wait()
            if chance(self._rng, BY_REST):
                sent.via = self._client.address()
                answer = await self._post(sent)
            else:
                sent.via = self._socket.address
                twice = chance(self._rng, TWICE)
                answer = await self._socket.send(sent.client_id, sent.text, twice=twice)
            if answer is not None:
                sent.answered = time.monotonic()
                sent.answers.append(answer)
                return
            await asyncio.sleep(self._rng.uniform(0.02, 0.15))

    async def _post(self, sent: Sent) -> Answer | None:
        answer = await self._client.call(
            "POST",
            f"/rooms/{sent.room_id}/messages",
            {"content": sent.text, "client_id": sent.client_id},
            at=sent.via,
        )
        if answer is None or answer.status_code not in (200, 201):
            return None
        body = answer.json()
        return Answer(body["id"], body["seq"], body["version"], answer.status_code == 200)

    # Changes

    async def _change(self) -> None:
        if not self._socket.connected:
            return
        shown = [one for one in self._socket.view.shown()[-RECENT:] if not one["deleted"]]
        if not shown:
            return
        message = self._rng.choice(shown)
        path = f"/rooms/{self._socket.room.id}/messages/{message['id']}"
        own = message["sender"] == self._client.account.id
        if own and chance(self._rng, 0.6):
            await self._edit(message["id"], path)
        elif own and chance(self._rng, 0.4):
            await self._call(message["id"], "delete", "DELETE", path)
        else:
            method = "PUT" if chance(self._rng, 0.7) else "DELETE"
            emoji = quote(self._rng.choice(EMOJI))
            await self._call(message["id"], "reaction", method, f"{path}/reactions/{emoji}")

    async def _edit(self, message_id: int, path: str) -> None:
        text = f"{self._client.account.username} edits {self._rng.random()}"
        await self._call(message_id, "edit", "PATCH", path, {"content": text})

    async def _call(
        self,
        message_id: int,
        kind: str,
        method: str,
        path: str,
        body: dict[str, str] | None = None,
    ) -> None:
        """Records the change as lost first, in case the drill runs out of time."""
        change = SentChange(self._socket.room.id, message_id, kind, "lost")
        self._client.records.changes.append(change)
        answer = await self._client.call(method, path, body)
        if answer is None:
            return
        change.outcome = "done" if answer.status_code in (200, 204) else "refused"
        if answer.status_code == 200:
            change.version = answer.json()["version"]
