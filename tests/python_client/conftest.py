"""Clients of a real server, each with a user of its own."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from chat_backend_client import ChatClient, Options, Storage
from tests.servers import Server

PASSWORD = "a long walk 4711"
QUICK = Options(
    ping_interval=1.0,
    ping_timeout=1.0,
    min_delay=0.05,
    max_delay=0.5,
    ack_timeout=2.0,
    open_timeout=30.0,
)
SignUp = Callable[..., Awaitable[ChatClient]]


@pytest.fixture
async def sign_up(uvicorn: Server) -> AsyncIterator[SignUp]:
    """`await sign_up()` returns the client of a new user."""
    clients: list[ChatClient] = []

    async def make(
        url: str = uvicorn.http, *, storage: Storage | None = None, options: Options = QUICK
    ) -> ChatClient:
        client = ChatClient(url, storage=storage, options=options)
        clients.append(client)
        await client.register(f"p{secrets.token_hex(5)}", PASSWORD)
        return client

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
def room_name() -> str:
    return f"room{secrets.token_hex(5)}"
