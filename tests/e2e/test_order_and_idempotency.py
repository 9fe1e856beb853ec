"""`client_id`, `seq` and `version` with concurrent senders (contract §2, §3)."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tests.clients import Frame, Person, Socket, fresh, opened
from tests.conftest import Register

SENDERS = 50
EACH = 4
CHANGES = {"message", "edit", "delete", "reaction", "pin"}


async def history(person: Person, room_id: int) -> list[Frame]:
    """Returns all messages of a room, oldest first."""
    pages: list[Frame] = []
    while True:
        after = pages[-1]["seq"] if pages else 0
        answer = await person.get(f"/rooms/{room_id}/messages", after=after, limit=200)
        assert answer.status_code == 200, answer.text
        page: list[Frame] = answer.json()
        pages += page
        if len(page) < 200:
            return pages


def as_rest(frame: Frame) -> Frame:
    """Returns a message frame in the shape of a REST answer."""
    members = {key: value for key, value in frame.items() if key not in ("type", "message")}
    return members | {"content": frame["message"]}


async def send_for_ack(socket: Socket, **frame: Any) -> Frame:
    await socket.send(type="message", **frame)
    return await socket.receive_type("ack")


async def test_client_id_sent_concurrently_by_two_sockets_makes_one_message(
    person: Register,
) -> None:
    ila, kaushal = await person(), await person()
    room = fresh("twice")
    first, second, watcher = ila.public(room), ila.public(room), kaushal.public(room)
    async with opened(first, second, watcher) as (ready, *_):
        for number in range(10):
            sent = {"message": f"once {number}", "client_id": f"id-{number}"}
            acks = await asyncio.gather(send_for_ack(first, **sent), send_for_ack(second, **sent))
            assert sorted(ack["duplicate"] for ack in acks) == [False, True]
            for member in ("id", "seq", "version", "room_id", "client_id"):
                assert acks[0][member] == acks[1][member], member
            assert acks[0]["seq"] == number + 1
        received = [frame for frame in await watcher.ping() if frame["type"] == "message"]
        assert [frame["message"] for frame in received] == [f"once {n}" for n in range(10)]
        stored = await history(ila, ready["room"]["id"])
        assert [message["seq"] for message in stored] == list(range(1, 11))


async def test_client_id_sent_concurrently_by_rest_and_socket_makes_one_message(
    person: Register,
) -> None:
    ila = await person()
    room = fresh("mixed")
    socket = ila.public(room)
    async with opened(socket) as (ready,):
        path = f"/rooms/{ready['room']['id']}/messages"
        for number in range(10):
            client_id = f"id-{number}"
            ack, answer = await asyncio.gather(
                send_for_ack(socket, message="once", client_id=client_id),
                ila.post(path, {"content": "once", "client_id": client_id}),
            )
            assert answer.status_code in (200, 201), answer.text
            assert ack["duplicate"] is (answer.status_code == 201)
            assert answer.json()["id"] == ack["id"]
        received = [frame for frame in await socket.ping() if frame["type"] == "message"]
        # The wait for the ack dropped the `message` frames before it.
        assert len({frame["id"] for frame in received}) == len(received)
        assert len(await history(ila, ready["room"]["id"])) == 10


async def test_client_id_is_scoped_to_sender_and_room(
    person: Register,
) -> None:
    ila, kaushal = await person(), await person()
    one, other = fresh("one"), fresh("other")
    sockets = ila.public(one), kaushal.public(one), ila.public(other)
    async with opened(*sockets):
        acks = [await send_for_ack(socket, message="a", client_id="a") for socket in sockets]
        assert [ack["duplicate"] for ack in acks] == [False, False, False]
        assert len({ack["id"] for ack in acks}) == 3


async def test_client_id_has_1_to_64_printable_ascii_characters(person: Register) -> None:
    ila = await person()
    printable = "".join(map(chr, range(0x20, 0x7F)))
    socket = ila.public(fresh("printable"))
    async with opened(socket) as (ready,):
        path = f"/rooms/{ready['room']['id']}/messages"
        for client_id in (printable[:64], printable[-64:], " "):
            body = {"content": "once", "client_id": client_id}
            made = await ila.post(path, body)
            assert (made.status_code, made.json()["client_id"]) == (201, client_id)
            assert (await ila.post(path, body)).status_code == 200
            again = await send_for_ack(socket, message="once", client_id=client_id)
            assert (again["id"], again["duplicate"]) == (made.json()["id"], True)
        for bad in ("", "x" * 65, "é", "a\n", "\x7f"):
            answer = await ila.post(path, {"content": "once", "client_id": bad})
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), bad
        assert len(await history(ila, ready["room"]["id"])) == 3


async def test_client_id_reused_for_another_text_or_reply_is_rejected(person: Register) -> None:
    ila = await person()
    socket = ila.public(fresh("reused"))
    async with opened(socket) as (ready,):
        path = f"/rooms/{ready['room']['id']}/messages"
        first = await send_for_ack(socket, message="one", client_id="a")
        await socket.send(type="message", message="two", client_id="a", ref="again")
        error = await socket.receive_type("error")
        assert (error["code"], error["ref"]) == ("client_id_reused", "again")
        for body in (
            {"content": "two", "client_id": "a"},
            {"content": "one", "client_id": "a", "reply_to": first["id"]},
        ):
            answer = await ila.post(path, body)
            assert (answer.status_code, answer.json()["code"]) == (409, "client_id_reused")
        # Trimming makes the texts equal, so this is a repeat.
        answer = await ila.post(path, {"content": " one ", "client_id": "a"})
        assert (answer.status_code, answer.json()["id"]) == (200, first["id"])
        assert len(await history(ila, ready["room"]["id"])) == 1


async def test_repeated_client_id_returns_the_current_message(person: Register) -> None:
    ila, kaushal = await person(), await person()
    socket = ila.public(fresh("now"))
    async with opened(socket) as (ready,):
        path = f"/rooms/{ready['room']['id']}/messages"
        body = {"content": "first", "client_id": "a"}
        made = (await ila.post(path, body)).json()
        await ila.patch(f"{path}/{made['id']}", {"content": "second"})
        await kaushal.put(f"{path}/{made['id']}/reactions/👍")
        answer = await ila.post(path, body)
        assert answer.status_code == 200
        now = answer.json()
        assert (now["id"], now["seq"], now["content"], now["version"]) == (
            made["id"],
            made["seq"],
            "second",
            3,
        )
        assert now["edited_at"] is not None
        assert now["reactions"] == [{"emoji": "👍", "count": 1, "users": [kaushal.id]}]
        again = await send_for_ack(socket, message="first", client_id="a")
        assert (again["duplicate"], again["version"], again["seq"]) == (True, 3, made["seq"])
        # The new text differs from the first one.
        assert (await ila.post(path, body | {"content": "second"})).status_code == 409

        assert (await ila.delete(f"{path}/{made['id']}")).status_code == 204
        answer = await ila.post(path, body)
        assert answer.status_code == 200
        assert (answer.json()["deleted"], answer.json()["content"]) == (True, "")
        assert answer.json()["version"] == 4
        ack = await send_for_ack(socket, message="first", client_id="a")
        assert (ack["duplicate"], ack["version"]) == (True, 4)


async def test_fifty_concurrent_senders_get_gapless_seqs_in_the_order_seen(
    person: Register,
) -> None:
    people = await asyncio.gather(*(person() for _ in range(SENDERS)))
    room = fresh("large")
    sockets = [one.public(room) for one in people]
    total = SENDERS * EACH
    async with opened(*sockets) as readies:
        room_id = readies[0]["room"]["id"]

        async def talk(one: Person, socket: Socket) -> None:
            for number in range(EACH):
                text = f"{one.username} {number}"
                if number % 2:
                    answer = await one.post(f"/rooms/{room_id}/messages", {"content": text})
                    assert answer.status_code == 201, answer.text
                else:
                    await socket.send(type="message", message=text, client_id=str(number))

        async def listen(socket: Socket) -> list[Frame]:
            received: list[Frame] = []
            while len(received) < total:
                received.append(await socket.receive_type("message", within=30))
            return received

        receiver = [asyncio.create_task(listen(socket)) for socket in sockets]
        await asyncio.gather(*(talk(*pair) for pair in zip(people, sockets, strict=True)))
        received = await asyncio.gather(*receiver)
        for socket in sockets:
            assert not [f for f in await socket.ping() if f["type"] in CHANGES]
        stored = await history(people[0], room_id)

    assert [message["seq"] for message in stored] == list(range(1, total + 1))
    assert [message["version"] for message in stored] == list(range(1, total + 1))
    for frames in received:
        assert [as_rest(frame) for frame in frames] == stored
    for one in people:
        own = [message["content"] for message in stored if message["sender"] == one.id]
        assert sorted(own) == [f"{one.username} {number}" for number in range(EACH)]


def rebuilt(frames: Sequence[Frame]) -> list[Frame]:
    """Builds a client's final history: each frame replaces the message's state."""
    states = {frame["id"]: as_rest(frame) for frame in frames if frame["type"] in CHANGES}
    return sorted(states.values(), key=lambda message: int(message["seq"]))


async def test_interleaved_changes_reach_every_socket_in_version_order(
    person: Register,
) -> None:
    people = await asyncio.gather(*(person() for _ in range(8)))
    room = fresh("changes")
    sockets = [one.public(room) for one in people]
    async with opened(*sockets) as readies:
        room_id = readies[0]["room"]["id"]
        path = f"/rooms/{room_id}/messages"

        async def take_part(one: Person, socket: Socket) -> None:
            others: list[int] = []
            for number in range(6):
                answer = await one.post(path, {"content": f"{number}"})
                made = answer.json()["id"]
                others.append(made)
                await socket.send(type="message", message=f"by socket {number}")
                assert (await one.put(f"{path}/{made}/reactions/🎉")).status_code == 200
                edited = await one.patch(f"{path}/{others[0]}", {"content": f"edited {number}"})
                assert edited.status_code == 200, edited.text
                if number % 3 == 2:
                    assert (await one.delete(f"{path}/{made}")).status_code == 204
                if number % 2:
                    gone = await one.delete(f"{path}/{others[-2]}/reactions/🎉")
                    assert gone.status_code == 200, gone.text

        await asyncio.gather(*(take_part(*pair) for pair in zip(people, sockets, strict=True)))
        version = (await people[0].get(f"/rooms/{room_id}")).json()["version"]

        async def receive_all(socket: Socket) -> list[Frame]:
            frames: list[Frame] = []
            while not frames or frames[-1]["version"] < version:
                frame = await socket.receive()
                if frame["type"] in CHANGES:
                    frames.append(frame)
            return frames

        received = await asyncio.gather(*(receive_all(socket) for socket in sockets))
        stored = await history(people[0], room_id)

    # Messages, reactions, edits, deletes; the third removed reaction went with its message.
    changes_each = 12 + 6 + 6 + 2 + 2
    assert version == len(people) * changes_each
    for frames in received:
        versions = [frame["version"] for frame in frames]
        assert all(one < following for one, following in pairwise(versions))
        assert rebuilt(frames) == stored
        messages = [frame["id"] for frame in frames if frame["type"] == "message"]
        assert len(messages) == len(set(messages)) == len(people) * 12


async def test_change_without_effect_uses_no_version(person: Register) -> None:
    ila, kaushal = await person(), await person()
    socket = ila.public(fresh("nothing"))
    async with opened(socket) as (ready,):
        path = f"/rooms/{ready['room']['id']}/messages"
        made = (await ila.post(path, {"content": "a"})).json()["id"]
        await kaushal.put(f"{path}/{made}/reactions/👍")
        before = (await ila.get(f"/rooms/{ready['room']['id']}")).json()["version"]
        assert before == 2
        assert (await kaushal.put(f"{path}/{made}/reactions/👍")).status_code == 200
        assert (await kaushal.delete(f"{path}/{made}/reactions/🎉")).status_code == 200
        assert (await ila.post(f"/rooms/{ready['room']['id']}/read", {"seq": 1})).status_code == 200
        assert (await ila.patch(f"/rooms/{ready['room']['id']}", {"title": "x"})).status_code == 403
        after = (await ila.get(f"/rooms/{ready['room']['id']}")).json()["version"]
        assert after == before
        frames = await socket.ping()
        assert [f["version"] for f in frames if f["type"] in CHANGES] == [1, 2]
