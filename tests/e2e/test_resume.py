"""A reconnecting client ends with exactly the history (contract §3, promise 3)."""

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field

from tests.clients import FRAME_TIMEOUT, Frame, Person, Socket, fresh, opened
from tests.conftest import Register

CHANGES = ("edit", "delete", "reaction")
VERSIONED = ("message", *CHANGES)


def as_rest(frame: Frame) -> Frame:
    """Returns a message frame in the shape of a REST answer."""
    members = {key: value for key, value in frame.items() if key not in ("type", "message")}
    return members | {"content": frame["message"]}


def versioned(frames: list[Frame]) -> list[tuple[str, int, int]]:
    """Returns type, seq and version of the versioned frames."""
    return [(f["type"], f["seq"], f["version"]) for f in frames if f["type"] in VERSIONED]


async def history(person: Person, room_id: int) -> list[Frame]:
    pages: list[Frame] = []
    while True:
        after = pages[-1]["seq"] if pages else 0
        answer = await person.get(f"/rooms/{room_id}/messages", after=after, limit=200)
        page: list[Frame] = answer.json()
        pages += page
        if len(page) < 200:
            return pages


async def send_message(person: Person, room_id: int, *texts: str) -> list[int]:
    """Sends the texts one after the other; returns the ids of the messages."""
    ids = []
    for text in texts:
        answer = await person.post(f"/rooms/{room_id}/messages", {"content": text})
        assert answer.status_code == 201, answer.text
        ids.append(answer.json()["id"])
    return ids


async def made(person: Person, name: str) -> int:
    answer = await person.post("/rooms", {"name": name})
    assert answer.status_code == 201, answer.text
    room_id: int = answer.json()["id"]
    return room_id


@dataclass
class Copy:
    """Holds one room as a client keeps it across reconnects.

    `torn`: the last replay or repair was not received completely. There a changed message stands at
    its change: a client that disconnects before that and resumes from its last version receives the
    message by its change. Each frame is the whole state, so nothing is missing.
    """

    version: int = 0
    messages: dict[int, Frame] = field(default_factory=dict)
    replays: int = 0
    torn: bool = True
    jumped: bool = False
    """Whether a live frame skipped a version since the last replay: a repair, which may be cut."""

    def disconnect(self, *, replays: int) -> None:
        """Ends a connection that began after so many replays."""
        self.torn = self.torn or self.jumped or self.replays == replays

    def take(self, frame: Frame) -> None:
        """Applies a frame as a strict client.

        Each message once, and changes of known messages only.
        """
        if frame["type"] == "resumed":
            assert frame["complete"] is True
            assert frame["to"] >= self.version
            self.version = frame["to"]
            self.replays += 1
            self.torn = self.jumped = False
        elif frame["type"] in VERSIONED:
            assert frame["version"] > self.version, f"{frame} after {self.version}"
            self.jumped = self.jumped or frame["version"] > self.version + 1
            self.version = frame["version"]
            if frame["id"] in self.messages:
                assert frame["type"] != "message", f"{frame} twice"
            else:
                assert frame["type"] == "message" or self.torn, f"{frame} of nothing"
            self.messages[frame["id"]] = as_rest(frame)

    async def follow(self, socket: Socket, until: int) -> None:
        """Receives until the version is reached."""
        while self.version < until:
            self.take(await socket.receive())

    def in_order(self) -> list[Frame]:
        return sorted(self.messages.values(), key=lambda message: int(message["seq"]))


async def test_missed_changes_replay_in_version_order_before_resumed_and_live(
    person: Register,
) -> None:
    ila, kaushal = await person(), await person()
    room = fresh("missed")
    room_id = await made(ila, room)
    path = f"/rooms/{room_id}/messages"
    copy = Copy()
    socket = kaushal.public(room, since=0)
    async with opened(socket):
        old = await send_message(ila, room_id, "edited", "deleted", "loved", "left alone")
        await copy.follow(socket, 4)

    await ila.patch(f"{path}/{old[0]}", {"content": "edited once"})  # 5
    new = await send_message(ila, room_id, "new", "new and gone", "new and edited")  # 6, 7, 8
    await ila.delete(f"{path}/{old[1]}")  # 9
    await kaushal.put(f"{path}/{old[2]}/reactions/👍")  # 10
    await ila.patch(f"{path}/{new[2]}", {"content": "new and better"})  # 11
    await ila.delete(f"{path}/{new[1]}")  # 12
    await ila.patch(f"{path}/{old[0]}", {"content": "edited twice"})  # 13

    socket = kaushal.public(room, since=copy.version)
    async with opened(socket) as (ready,):
        assert ready["version"] == ready["room"]["version"] == 13
        replay = await socket.receive_until("resumed")
        assert versioned(replay) == [
            ("message", 5, 6),
            ("delete", 2, 9),
            ("reaction", 3, 10),
            ("message", 7, 11),
            ("message", 6, 12),
            ("edit", 1, 13),
        ]
        by_seq = {frame["seq"]: frame for frame in replay if "seq" in frame}
        assert by_seq[1]["message"] == "edited twice"
        assert by_seq[7]["message"] == "new and better"
        assert by_seq[7]["edited_at"] is not None
        assert (by_seq[6]["message"], by_seq[6]["deleted"]) == ("", True)
        assert (by_seq[2]["message"], by_seq[2]["deleted"]) == ("", True)
        assert by_seq[3]["reactions"] == [{"emoji": "👍", "count": 1, "users": [kaushal.id]}]
        assert replay[-1] == {"type": "resumed", "from": 5, "to": 13, "complete": True}
        for frame in replay:
            copy.take(frame)
        await send_message(ila, room_id, "live")
        await copy.follow(socket, 14)
    assert copy.in_order() == await history(kaushal, room_id)


async def test_connecting_without_since_replays_nothing(person: Register) -> None:
    ila = await person()
    room = fresh("plain")
    await send_message(ila, await made(ila, room), "a", "b")
    socket = ila.public(room)
    async with opened(socket) as (ready,):
        assert ready["version"] == 2
        assert [f["type"] for f in await socket.ping()] == ["join", "pong"]


async def test_up_to_date_client_receives_only_resumed(person: Register) -> None:
    ila = await person()
    room = fresh("nothing")
    await send_message(ila, await made(ila, room), "a", "b")
    socket = ila.public(room, since=2)
    async with opened(socket):
        frames = await socket.receive_until("resumed")
        assert versioned(frames) == []
        assert frames[-1] == {"type": "resumed", "from": 3, "to": 2, "complete": True}


async def test_ready_comes_before_a_long_replay(person: Register) -> None:
    ila = await person()
    room = fresh("first")
    await send_message(ila, await made(ila, room), *"abcdefgh")
    async with ila.public(room, since=0) as socket:
        assert (await socket.receive())["type"] == "ready"
        assert len(versioned(await socket.receive_until("resumed"))) == 8


async def test_resume_frame_replays_on_an_open_socket_and_echoes_ref(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = fresh("open")
    room_id = await made(ila, room)
    path = f"/rooms/{room_id}/messages"
    ids = await send_message(ila, room_id, "one", "two", "three")
    await ila.patch(f"{path}/{ids[0]}", {"content": "uno"})
    socket = kaushal.public(room)
    async with opened(socket):
        await socket.ping()
        await socket.send(type="resume", since=1, ref="r")
        frames = await socket.receive_until("resumed")
        assert versioned(frames) == [("message", 2, 2), ("message", 3, 3), ("edit", 1, 4)]
        assert frames[-1] == {
            "ref": "r",
            "type": "resumed",
            "from": 2,
            "to": 4,
            "complete": True,
        }
        await send_message(ila, room_id, "live")
        assert (await socket.receive_type("message"))["version"] == 5
        await socket.send(type="resume", since=5)
        frame = await socket.receive_type("resumed")
        assert frame == {"type": "resumed", "from": 6, "to": 5, "complete": True}


async def test_since_above_the_version_is_incomplete(person: Register) -> None:
    ila = await person()
    room = fresh("above")
    room_id = await made(ila, room)
    await send_message(ila, room_id, "a", "b")
    for since in (3, 2**31, 2**63, 10**25):
        socket = ila.public(room, since=since)
        async with opened(socket):
            frames = await socket.receive_until("resumed")
            assert versioned(frames) == []
            assert frames[-1]["complete"] is False
            assert frames[-1]["to"] == 2
            await socket.send(type="resume", since=since)
            frames = await socket.receive_until("resumed")
            assert (versioned(frames), frames[-1]["complete"]) == ([], False)
    socket = ila.public(room, since=3)
    async with opened(socket):
        await socket.receive_type("resumed")
        await send_message(ila, room_id, "live")
        assert (await socket.receive_type("message"))["version"] == 3


async def test_invalid_since_is_an_error_and_the_socket_stays_open(
    person: Register,
) -> None:
    ila = await person()
    room = fresh("odd")
    for since in ("", "-1", "abc", "1.5", "٣", "9" * 5000):
        socket = ila.public(room, since=since)
        async with opened(socket):
            error = await socket.receive_type("error")
            assert error["code"] == "invalid"
            assert error["errors"][0]["loc"] == ["since"]
            await socket.ping()


async def test_thousand_changes_are_replayed_and_one_more_is_not(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = fresh("many")
    socket, sender = ila.public(room), kaushal.public(room)
    async with opened(socket, sender) as (ready, _):
        room_id = ready["room"]["id"]
        senders = socket, sender
        for number in range(1000):
            await senders[number % 2].send(type="message", message=f"{number}")
        received: list[Frame] = []
        while not received or received[-1]["version"] < 1000:
            received.append(await socket.receive_type("message"))

    late = kaushal.public(room, since=0)
    async with opened(late):
        frames = await late.receive_until("resumed")
        assert frames[-1] == {"type": "resumed", "from": 1, "to": 1000, "complete": True}
        replayed = [frame for frame in frames if frame["type"] == "message"]
        assert replayed == received
        await send_message(ila, room_id, "one more")
        assert (await late.receive_type("message"))["version"] == 1001

    late = kaushal.public(room, since=0)
    async with opened(late):
        frames = await late.receive_until("resumed")
        assert versioned(frames) == []
        assert (frames[-1]["complete"], frames[-1]["to"]) == (False, 1001)
        await send_message(ila, room_id, "live")
        assert (await late.receive_type("message"))["version"] == 1002
        await late.send(type="resume", since=1)
        assert (await late.receive_type("resumed"))["complete"] is False
        await late.send(type="resume", since=2)
        frames = await late.receive_until("resumed")
        assert (len(versioned(frames)), frames[-1]["complete"]) == (1000, True)


async def test_group_and_private_sockets_resume(person: Register) -> None:
    ila, kaushal = await person(), await person()
    group = fresh("group")
    answer = await ila.post(
        "/rooms/with-members", {"name": group, "members": [ila.username, kaushal.username]}
    )
    private = await ila.post(f"/private/{kaushal.username}")
    sockets = (
        (answer.json()["id"], kaushal.group(group, since=1)),
        (private.json()["id"], kaushal.private(ila.username, since=1)),
    )
    for room_id, socket in sockets:
        ids = await send_message(ila, room_id, "a", "b")
        await ila.delete(f"/rooms/{room_id}/messages/{ids[0]}")
        async with opened(socket):
            frames = await socket.receive_until("resumed")
            assert versioned(frames) == [("message", 2, 2), ("delete", 1, 3)]


async def churn(person: Person, room_id: int, count: int, chance: random.Random) -> None:
    """Sends, edits, deletes and reacts without a pause."""
    path = f"/rooms/{room_id}/messages"
    ids: list[int] = []
    for number in range(count):
        ids += await send_message(person, room_id, f"{person.username} {number}")
        some = chance.choice(ids)
        match number % 4:
            case 0:
                await person.patch(f"{path}/{some}", {"content": f"edited {number}"})
            case 1:
                await person.put(f"{path}/{some}/reactions/🎉")
            case 2:
                await person.delete(f"{path}/{some}/reactions/🎉")
            case _ if number % 8 == 3:
                await person.delete(f"{path}/{some}")


async def come_and_go(
    copy: Copy, person: Person, room: str, chance: random.Random, enough: asyncio.Event
) -> None:
    """Connects with `since`, receives a few frames and disconnects, repeatedly."""
    while not enough.is_set():
        replays = copy.replays
        async with person.public(room, since=copy.version) as socket:
            await socket.receive_type("ready")
            with suppress(TimeoutError):
                for _ in range(chance.randrange(2, 25)):
                    copy.take(await socket.receive(within=0.3))
            copy.disconnect(replays=replays)
            # Frames in flight are lost, as on a phone that enters a tunnel.
            if chance.random() < 0.5:
                socket.connection.transport.abort()


async def test_reconnecting_clients_under_load_lose_and_duplicate_no_message(
    person: Register,
) -> None:
    senders = [await person() for _ in range(3)]
    readers = [await person() for _ in range(4)]
    room = fresh("hammer")
    room_id = await made(senders[0], room)
    copies = [Copy() for _ in readers]
    enough = asyncio.Event()
    reading = [
        asyncio.create_task(come_and_go(copy, reader, room, random.Random(number), enough))
        for number, (copy, reader) in enumerate(zip(copies, readers, strict=True))
    ]
    sending = [
        churn(sender, room_id, 40, random.Random(number)) for number, sender in enumerate(senders)
    ]
    await asyncio.gather(*sending)
    enough.set()
    await asyncio.gather(*reading)

    stored = await history(senders[0], room_id)
    version = (await senders[0].get(f"/rooms/{room_id}")).json()["version"]
    assert [message["seq"] for message in stored] == list(range(1, 121))
    for copy, reader in zip(copies, readers, strict=True):
        assert copy.replays > 5
        socket = reader.public(room, since=copy.version)
        async with opened(socket):
            for frame in await socket.receive_until("resumed"):
                copy.take(frame)
        assert copy.version == version
        assert copy.in_order() == stored


async def test_resume_frames_under_load_leave_no_gap_before_the_live_frames(
    person: Register,
) -> None:
    ila, kaushal = await person(), await person()
    room = fresh("live")
    room_id = await made(ila, room)
    states: dict[int, Frame] = {}
    reached = to = replays = 0
    socket = kaushal.public(room)

    def take(frame: Frame) -> None:
        nonlocal reached, to, replays
        if frame["type"] == "resumed":
            assert frame["complete"] is True
            # Frames before the replay are in it: it never ends behind them.
            assert frame["to"] >= to
            reached, to, replays = max(reached, frame["to"]), frame["to"], replays + 1
        elif frame["type"] in VERSIONED:
            reached = max(reached, frame["version"])
            states[frame["id"]] = as_rest(frame)

    async def ask_again_and_again() -> None:
        while True:
            # Sometimes from the current version, sometimes from far behind.
            await socket.send(type="resume", since=max(0, reached - 7 * (replays % 3)))
            await asyncio.sleep(0.03)

    async with opened(socket):
        asking = asyncio.create_task(ask_again_and_again())
        sending = asyncio.create_task(churn(ila, room_id, 80, random.Random(7)))
        while not sending.done():
            take(await socket.receive())
        await sending
        asking.cancel()
        version = (await ila.get(f"/rooms/{room_id}")).json()["version"]
        while reached < version:
            take(await socket.receive())
        for frame in await socket.ping():
            take(frame)
    assert replays > 10
    stored = await history(kaushal, room_id)
    assert sorted(states.values(), key=lambda message: int(message["seq"])) == stored


async def test_repeated_replays_are_rate_limited(person: Register) -> None:
    ila, kaushal = await person(), await person()
    name = fresh("again")
    await send_message(ila, await made(ila, name), "1")
    asking, other = ila.public(name), kaushal.public(name)
    async with opened(asking, other):
        for _ in range(150):
            await asking.send(type="resume", since=0)
        frames = await asking.ping()
        refused = [frame for frame in frames if frame["type"] == "error"]
        assert {frame["code"] for frame in refused} == {"rate_limited"}
        assert all(frame["retry_after"] > 0 for frame in refused)
        assert len([frame for frame in frames if frame["type"] == "resumed"]) >= 100
        assert len(frames) > 2 * 100 + len(refused)
        await other.send(type="resume", since=0)
        await other.receive_type("resumed")


async def use_up_replays(asking: Socket, late: Socket) -> tuple[int, list[Frame]]:
    """Expects `late` to be refused after its user's replays; five a second refill."""
    deadline = time.monotonic() + FRAME_TIMEOUT
    while True:
        for _ in range(120):
            await asking.send(type="resume", since=0)
        await asking.ping()
        async with late:
            first = await late.receive()
            if first["type"] == "error":
                code, rest = await late.closed()
                return code, [first, *rest]
        assert time.monotonic() < deadline, "never refused"


async def test_connecting_without_replay_budget_is_refused_with_retry_after(
    person: Register,
) -> None:
    ila, kaushal = await person(), await person()
    name = fresh("door")
    await send_message(ila, await made(ila, name), "1")
    asking, late = ila.public(name), ila.public(name, since=0)
    async with opened(asking):
        code, (refusal,) = await use_up_replays(asking, late)
        assert (code, refusal["code"]) == (4429, "rate_limited")
        # Other users are not affected, and the user may connect without a replay.
        async with opened(kaushal.public(name, since=0), ila.public(name)):
            pass
        await asyncio.sleep(refusal["retry_after"] + 0.05)
        async with opened(late):
            assert versioned(await late.receive_until("resumed")) == [("message", 1, 1)]
