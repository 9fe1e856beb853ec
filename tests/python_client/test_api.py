"""The REST methods of the Python client, against a real server."""

from .conftest import SignUp


async def test_rooms_and_members_are_managed_by_rest(sign_up: SignUp, room_name: str) -> None:
    ila, kaushal = await sign_up(), await sign_up()
    name = (await kaushal.api.me()).username
    room = await ila.api.create_room(room_name, kind="group", title="Family")
    assert await ila.api.add_members(room.id, [name]) == [name]
    assert (await ila.api.change_role(room.id, name, "admin")).role == "admin"
    assert (await kaushal.api.change_room(room.id, topic="Weekend")).topic == "Weekend"
    assert (await kaushal.api.mute(room.id)).muted
    assert [one.id for one in await kaushal.api.my_rooms()] == [room.id]
    await kaushal.api.leave(room.id)
    assert [one.username for one in await ila.api.members(room.id)] == [
        (await ila.api.me()).username
    ]
    await ila.api.delete_room(room.id)
    assert await ila.api.my_rooms() == []


async def test_profile_pins_and_receipts_are_read_by_rest(sign_up: SignUp, room_name: str) -> None:
    ila = await sign_up()
    assert (await ila.api.change_me(display_name="Ila P.")).display_name == "Ila P."
    await ila.api.create_room(room_name, kind="group")
    async with ila.group(room_name) as room:
        sent = await room.send("Saturday at ten?")
        assert sent.id is not None
        await room.pin(sent.id)
        assert [one.id for one in await ila.api.pins(room.id)] == [sent.id]
        assert [one.read_seq for one in await ila.api.receipts(room.id)] == [1]
