"""SIGTERM: not ready, then accepted messages are stored and answered, then 1012."""

import asyncio
import json
import random
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.frame_timeout import waiting_for

from .client import Client, sign_up
from .cluster import Cluster, cluster
from .records import Records

DELAY = 2.0
"""Seconds for which the server is not ready and still works."""
RESTART = 1012
APPLICATION = "config.asgi:application"


class MessageSender:
    """Sends messages and counts acknowledgements until the socket ends."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.sent: set[str] = set()
        self.acknowledged: set[str] = set()
        self.received: list[dict[str, Any]] = []

    async def send(self) -> None:
        number = 0
        while True:
            number += 1
            client_id = f"word-{number}"
            try:
                await self._socket.send(json.dumps({"message": "a word", "client_id": client_id}))
            except ConnectionClosed:
                return
            self.sent.add(client_id)
            await asyncio.sleep(random.uniform(0, 0.01))

    async def receive(self) -> int:
        """Returns the close code of the socket."""
        with suppress(ConnectionClosed):
            async for text in self._socket:
                frame = json.loads(text)
                self.received.append(frame)
                if frame["type"] == "ack":
                    self.acknowledged.add(frame["client_id"])
        return self._socket.close_code or 0


async def _until_not_ready(servers: Cluster) -> float:
    """Returns the moment from which a load balancer avoids the server."""
    async with httpx.AsyncClient(trust_env=False, timeout=10, verify=False) as http:
        while (await http.get(f"{servers.servers[0].http}/readyz")).status_code != 503:
            await asyncio.sleep(0.02)
    return time.monotonic()


async def _send_until_closed(servers: Cluster, client: Client) -> tuple[MessageSender, int, float]:
    url = f"ws://{client.address()}/ws/chat/square/?token={client.account.access}"
    async with connect(url, compression=None, proxy=None) as socket:
        sender = MessageSender(socket)
        sending = asyncio.create_task(sender.send())
        receiving = asyncio.create_task(sender.receive())
        await asyncio.sleep(0.5)
        servers.servers[0].process.send_signal(signal.SIGTERM)
        not_ready = await asyncio.wait_for(_until_not_ready(servers), 10)
        assert not receiving.done(), "sockets closed before readiness said no"
        async with waiting_for("close by the server", 15, sender.received):
            code = await receiving
        worked_on = time.monotonic() - not_ready
        await sending
    return sender, code, worked_on


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["uvicorn", "daphne"])
async def test_shutdown_loses_no_message(kind: str, tmp_path: Path) -> None:
    async with cluster(
        tmp_path,
        kind=kind,
        processes=1,
        application=APPLICATION,
        CHAT_DRAIN_DELAY=str(DELAY),
    ) as servers:
        server = servers.servers[0]
        client = await sign_up("person", lambda: f"127.0.0.1:{server.port}", Records())
        sender, code, worked_on = await _send_until_closed(servers, client)
        assert await asyncio.to_thread(server.process.wait, 20) in (0, -signal.SIGTERM)
        await asyncio.to_thread(server.start)
        room = (await client.insist("GET", "/rooms?q=square")).json()[0]
        stored = {message["client_id"] for message in await client.history(room["id"])}
        await client.close()
    assert sender.acknowledged <= stored, "acknowledged and not stored"
    assert stored <= sender.acknowledged, "stored and not answered"
    assert worked_on > DELAY / 2, "it stopped working as soon as it was not ready"
    assert len(sender.acknowledged) > 20
    # Daphne sends no close frame by itself: 1006 is allowed there.
    assert code == RESTART or (kind == "daphne" and code == 1006)
