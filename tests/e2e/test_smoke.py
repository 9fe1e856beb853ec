from tests.conftest import Register


async def test_two_people_talk_in_a_public_room(person: Register) -> None:
    ila, kaushal = await person(), await person()
    async with ila.public("smoke") as first, kaushal.public("smoke") as second:
        print(await first.hear("ready"))
        await second.hear("ready")
        await first.send(type="message", message=" Hey ", client_id="a", ref="1")
        print(await second.hear("message"))
        print(await first.ping())
        r = await ila.post("/messages", {"room": "smoke", "content": "by rest"})
        print(r.status_code, r.text)
        print(await second.hear("message"))
        print((await ila.get("/my-rooms")).text)
        print((await ila.get("/history/smoke/")).text)
        await first.send(type="exit")
        print(await first.closed())
        print(await second.hear("exit"))
