"""The order of checks when sending (contract §2).

The writer checks the session.
"""

from typing import Any

import httpx
import pytest

from tests.clients import fresh, signed_in_again
from tests.conftest import Register

BODIES: list[tuple[str, Any, int]] = [
    ("a good message", b'{"content": "Still here?"}', 201),
    ("no JSON", b"{", 400),
    ("no text", b'{"content": ""}', 422),
    ("unknown members", b'{"content": "x", "colour": "red"}', 422),
]


@pytest.mark.parametrize(
    ("body", "status"), [one[1:] for one in BODIES], ids=[one[0] for one in BODIES]
)
async def test_an_ended_session_is_refused_first(
    person: Register, body: bytes, status: int
) -> None:
    ila = await person()
    room = (await ila.post("/rooms", {"name": fresh("order")})).json()
    json = {"Content-Type": "application/json"}
    async with (
        signed_in_again(ila) as phone,
        httpx.AsyncClient(
            base_url=f"{ila.url}/api",
            headers=json | {"Authorization": f"Bearer {phone.access}"},
            verify=False,
        ) as client,
    ):

        async def send(path: str, content: bytes = body) -> tuple[int, str]:
            answer = await client.post(path, content=content)
            return answer.status_code, answer.json().get("code", "")

        where = f"/rooms/{room['id']}/messages"
        # Twice: the second time the session is known from the first.
        assert [(await send(where))[0] for _ in range(2)] == [status, status]
        assert (await phone.post("/logout")).status_code == 204
        refused = (401, "session_ended")
        assert await send(where) == refused
        assert await send(f"/messages/{room['id']}") == refused
        assert await send("/rooms/999999999/messages") == refused
        named = b'{"room": "nowhere-at-all", "content": "x"}'
        assert await send("/messages", named) == refused
    stored = (await ila.get(where)).json()
    assert len(stored) == (2 if status == 201 else 0)
