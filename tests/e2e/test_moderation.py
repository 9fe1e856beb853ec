"""Staff use the admin's forms in a browser, and open sockets receive the effects."""

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.clients import PASSWORD, Person, fresh, opened
from tests.conftest import Register
from tests.servers import Server, manage

HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


class Browser:
    """Keeps cookies and submits displayed forms, with their CSRF token."""

    def __init__(self, http: str) -> None:
        self.http = httpx.AsyncClient(
            base_url=f"{http}/admin", follow_redirects=True, timeout=20, verify=False
        )

    async def get(self, path: str) -> str:
        answer = await self.http.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        return answer.text

    async def submit(self, path: str, **fields: str | list[str]) -> str:
        """Opens a page and submits its form with these fields; returns the next page."""
        return await self.send(path, await self.get(path), **fields)

    async def send(self, path: str, page: str, **fields: str | list[str]) -> str:
        main = page[page.index('id="main"') :]  # the logout form stands before it
        if 'id="content-start"' in main:
            main = main[main.index('id="content-start"') :]
        form: dict[str, str | list[str]] = {}
        for name, value in HIDDEN.findall(main):
            known = form.get(name, [])
            form[name] = [*known, html.unescape(value)]
        answer = await self.http.post(path, data=form | fields)
        assert answer.status_code == 200, (path, answer.status_code)
        return answer.text


@asynccontextmanager
async def staff_at(server: Server, person: Person) -> AsyncIterator[Browser]:
    """Makes the user a member of staff and logs in to the admin."""
    command = (
        "from accounts.models import User; "
        f"User.objects.filter(pk={person.id}).update(is_staff=True, is_superuser=True)"
    )
    manage(server.environment, "shell", "--verbosity", "0", "-c", command)
    browser = Browser(server.http)
    async with browser.http:
        page = await browser.submit(
            "/login/?next=/admin/", username=person.username, password=PASSWORD
        )
        assert "Chat administration" in page
        assert "Log out" in page
        yield browser


async def test_open_sockets_receive_admin_actions_of_staff(
    server: Server, person: Register
) -> None:
    ila, maya, boss = await person(), await person(), await person()
    body = {"name": fresh("group"), "members": [maya.username]}
    room = (await ila.post("/rooms/with-members", body)).json()
    sent = (await ila.post(f"/rooms/{room['id']}/messages", {"content": "Not like this"})).json()
    private = (await maya.post(f"/private/{ila.username}")).json()
    group_of_ila, group_of_maya = ila.group(room["name"]), maya.group(room["name"])
    pair = ila.private(maya.username)
    async with (
        staff_at(server, boss) as browser,
        opened(group_of_ila, group_of_maya, pair),
    ):
        # A page of another origin cannot misuse the staff member's cookies.
        path = f"/rooms/room/{room['id']}/do/delete_rooms/"
        assert (await browser.http.post(path, data={"post": "yes"})).status_code == 403
        # A message: from the list, through the confirmation page.
        path = f"/messaging/message/?q=%23{room['id']}"
        choice = {"action": "delete_messages", "_selected_action": str(sent["id"]), "index": "0"}
        asking = await browser.submit(path, **choice)
        assert "Not like this" in asking
        assert "cannot be restored" in asking
        done = await browser.send(path, asking)
        assert "1 message deleted" in done
        assert "Not like this" not in done
        for socket in (group_of_ila, group_of_maya):
            frame = await socket.receive_type("delete")
            assert (frame["id"], frame["message"], frame["deleted"]) == (sent["id"], "", True)
        (style,) = re.findall(r'href="(/static/moderation/admin[^"]*\.css)"', done)
        assert "staff-tools" in (await browser.http.get(server.http + style)).text
        # A member: from the object page, first made owner, then removed.
        members = await browser.get(f"/rooms/member/?q=%23{room['id']}+%40{maya.username}")
        (member,) = set(re.findall(r"/admin/rooms/member/(\d+)/change/", members))
        page = await browser.submit(f"/rooms/member/{member}/do/make_owner/")
        assert "1 member made owner" in page
        roles = {one["username"]: one["role"] for one in await members_of(ila, room["id"])}
        assert roles == {ila.username: "owner", maya.username: "owner"}
        assert "1 member removed" in await browser.submit(
            f"/rooms/member/{member}/do/remove_members/"
        )
        assert await group_of_maya.refused() == (4403, "removed")
        assert [one["username"] for one in await members_of(ila, room["id"])] == [ila.username]
        # Rooms: the group, and the private room, which both users may open again.
        for gone, socket in ((room["id"], group_of_ila), (private["id"], pair)):
            page = await browser.submit(f"/rooms/room/{gone}/do/delete_rooms/")
            assert "1 room deleted" in page
            assert await socket.refused() == (4404, "no_such_room")
        assert (await ila.get(f"/rooms/{private['id']}/messages")).status_code == 404
        async with opened(ila.private(maya.username)) as (ready,):
            assert ready["room"]["id"] != private["id"]
            assert ready["room"]["last_seq"] == 0


async def members_of(person: Person, room_id: int) -> list[dict[str, str]]:
    found: list[dict[str, str]] = (await person.get(f"/rooms/{room_id}/members")).json()
    return found
