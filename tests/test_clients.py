"""A failed wait reports the expected frame and the frames that came."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from .clients import Socket
from .frame_timeout import MAX_FRAMES_SHOWN, FrameTimeout

WITHIN = 0.05


@pytest_asyncio.fixture
async def url() -> AsyncIterator[str]:
    """Serves as many `typing` frames as the path says, then closes.

    It closes after a client's frame.
    """

    async def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        count = int(connection.request.path.strip("/"))
        for number in range(count):
            await connection.send(json.dumps({"type": "typing", "number": number}))
        await connection.recv()

    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


async def test_timeout_names_the_expected_frame_and_the_received_frames(url: str) -> None:
    async with Socket(f"{url}/2") as socket:
        with pytest.raises(FrameTimeout) as failed:
            await socket.receive_type("message", WITHIN)
    assert str(failed.value) == (
        "no 'message' frame within 0.05 s; received 2 frame(s):\n"
        '{"type": "typing", "number": 0}\n{"type": "typing", "number": 1}'
    )


async def test_timeout_without_a_frame_says_so(url: str) -> None:
    async with Socket(f"{url}/0") as socket:
        with pytest.raises(TimeoutError, match=r"^no frame within 0\.05 s; received no frame$"):
            await socket.receive(WITHIN)


async def test_timeout_shows_only_the_last_of_many_frames(url: str) -> None:
    async with Socket(f"{url}/50") as socket:
        with pytest.raises(FrameTimeout, match=r"received 50 frame\(s\), the last 20:") as failed:
            await socket.receive_until("message", 0.5)
    shown = str(failed.value).splitlines()[1:]
    assert len(shown) == MAX_FRAMES_SHOWN
    assert json.loads(shown[-1])["number"] == 49


async def test_timeout_waiting_for_a_close_shows_the_received_frames(url: str) -> None:
    async with Socket(f"{url}/1") as socket:
        with pytest.raises(
            FrameTimeout, match=r"no close by the server within 0\.05 s; received 1"
        ):
            await socket.closed(WITHIN)


async def test_close_during_a_wait_names_the_expected_frame(url: str) -> None:
    async with Socket(f"{url}/1") as socket:
        await socket.send(type="ping")
        with pytest.raises(ConnectionClosed) as failed:
            await socket.receive_type("message")
    (note,) = failed.value.__notes__
    assert note.startswith("while waiting for 'message' frame; received 1 frame(s):")
