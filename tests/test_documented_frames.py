"""The comparison of frames with the AsyncAPI document finds what differs."""

import json
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from config.asyncapi.examples import CLIENT, SERVER

from .documented_frames import Watch

PING = {"type": "ping"}
INVALID = {"type": "error", "code": "invalid", "message": "seq: Field required"}
ACK = SERVER["Ack"]["Stored"]
TYPING = SERVER["TypingOut"]["Typing"]
TYPING_IN_ROOM = SERVER["TypingOutInRoom"]["Typing"]


class Peer:
    """A server that answers each frame with the frames of the test."""

    def __init__(self) -> None:
        self.answers: list[object] = [{"type": "pong"}]
        self.port = 0

    async def handle(self, socket: ServerConnection) -> None:
        async for _ in socket:
            for answer in self.answers:
                await socket.send(json.dumps(answer))
            await socket.send("last")

    async def exchange(self, path: str, sent: object) -> None:
        async with connect(f"ws://127.0.0.1:{self.port}{path}", proxy=None) as client:
            await client.send(sent if isinstance(sent, bytes) else json.dumps(sent))
            await until_last(client)


async def until_last(client: ClientConnection) -> None:
    while await client.recv() != "last":
        pass


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    async with serve(peer.handle, "127.0.0.1", 0) as server:
        (listening,) = server.sockets
        peer.port = listening.getsockname()[1]
        yield peer


def problems_of(watch: Watch) -> list[str]:
    """Returns the problems of a test, except our peer's `last`, which is no frame."""
    found = watch.take_problems(ignore_sent=False)
    return [problem for problem in found if not problem.endswith("is not JSON: last")]


@pytest.mark.parametrize(
    ("path", "answer", "problem"),
    [
        ("/ws/chat/sports/", ACK, None),
        ("/ws/chat/sports/", ACK | {"unknown": 1}, "unknown"),
        ("/ws/chat/sports/", ACK | {"seq": "12"}, "not of type"),
        ("/ws/chat/sports/", {**ACK, "type": "nack"}, "no frame of type 'nack'"),
        ("/ws/chat/sports/", INVALID | {"code": "no_such_code"}, "no_such_code"),
        ("/ws/chat/sports/", TYPING, None),
        ("/ws/chat/sports/", TYPING_IN_ROOM, "room_id"),
        ("/ws/events/", TYPING_IN_ROOM, None),
        ("/ws/events/", TYPING, "room_id"),
        ("/ws/events/", [1], "is not an object"),
        ("/elsewhere/", [1], None),
    ],
)
async def test_received_frame_that_is_not_documented_is_a_problem(
    peer: Peer, watched_sockets: Watch, path: str, answer: object, problem: str | None
) -> None:
    peer.answers = [answer]
    await peer.exchange(path, PING)
    found = problems_of(watched_sockets)
    assert len(found) == (problem is not None), found
    assert all(str(problem) in one for one in found)


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/ws/chat/sports/", {"type": "read"}),
        ("/ws/chat/sports/", {"type": "shout"}),
        ("/ws/chat/sports/", {"type": "typing", "typng": True}),
        ("/ws/chat/sports/", {"message": "Hey", "room_id": 1}),
        ("/ws/events/", {"message": "Hey"}),
        ("/ws/events/", {"message": "Hey", "room_id": 1, "receiver": 2}),
        ("/ws/private/ila/", ["ping"]),
        ("/ws/private/ila/", b"binary"),
    ],
)
async def test_sent_frame_that_is_not_documented_must_be_refused(
    peer: Peer, watched_sockets: Watch, path: str, sent: object
) -> None:
    await peer.exchange(path, sent)
    assert len(problems_of(watched_sockets)) == 1
    peer.answers = [INVALID]
    await peer.exchange(path, sent)
    assert problems_of(watched_sockets) == []


@pytest.mark.parametrize("name", CLIENT)
async def test_client_examples_are_documented(
    peer: Peer, watched_sockets: Watch, name: str
) -> None:
    in_room = name.removesuffix("AsContent").removesuffix("WithoutType")
    on_events = in_room in {"Follow", "Unfollow", "ResumeRooms"} or "Room" in in_room
    for frame in CLIENT[name].values():
        await peer.exchange("/ws/events/" if on_events else "/ws/chat/sports/", frame)
    assert problems_of(watched_sockets) == []
