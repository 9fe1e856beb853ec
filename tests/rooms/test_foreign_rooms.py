"""A group of others answers as a missing room: same words, same queries."""

import json
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import tokens
from accounts.auth import Caller
from accounts.models import Session
from messaging.writer.read_markers import MarkRead
from rooms.models import Room, RoomKind
from tests.factories import (
    draft,
    make_caller,
    make_private_room,
    make_room,
    make_user,
    store_message,
    store_now,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unlimited")]

BY_ID = [
    ("GET", "/rooms/{id}", None),
    ("PATCH", "/rooms/{id}", {"title": "x"}),
    ("DELETE", "/rooms/{id}", None),
    ("POST", "/rooms/{id}/join", None),
    ("POST", "/rooms/{id}/leave", None),
    ("GET", "/rooms/{id}/members", None),
    ("POST", "/rooms/{id}/add-members", {"members": ["ila"]}),
    ("PATCH", "/rooms/{id}/members/ila", {"role": "admin"}),
    ("DELETE", "/rooms/{id}/members/ila", None),
    ("GET", "/rooms/{id}/messages", None),
    ("GET", "/messages/{id}", None),
    ("PATCH", "/rooms/{id}/messages/{message}", {"content": "x"}),
    ("DELETE", "/rooms/{id}/messages/{message}", None),
    ("PUT", "/rooms/{id}/messages/{message}/reactions/%F0%9F%91%8D", None),
    ("DELETE", "/rooms/{id}/messages/{message}/reactions/%F0%9F%91%8D", None),
]


@pytest.fixture
def ila() -> Caller:
    return make_caller(make_user("ila"))


@pytest.fixture
def stranger() -> Caller:
    return make_caller()


def asked(caller: Caller, method: str, path: str, body: Any) -> tuple[int, bytes, list[str]]:
    """Status and body of an answer, and the statements that it took."""
    token = tokens.mint(Session.objects.get(pk=caller.session_id)).access
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = Client().generic(
            method,
            f"/api{path}",
            data=b"" if body is None else json.dumps(body).encode(),
            content_type="application/json",
            headers={"Authorization": f"Bearer {token}"},
        )
    statements = [query["sql"] for query in queries.captured_queries]
    # Without ids and times, which differ.
    return answer.status_code, answer.content, [re.sub(r"\d+", "", sql) for sql in statements]


@pytest.mark.parametrize(("method", "path", "body"), BY_ID)
def test_a_foreign_room_answers_by_id_as_a_missing_one(
    ila: Caller, stranger: Caller, method: str, path: str, body: Any
) -> None:
    group = make_room(RoomKind.GROUP, owner=[ila.user_id])
    private = make_private_room(ila.user_id, make_user())
    message = store_message(ila, group)
    missing, *foreign = (
        asked(stranger, method, path.format(id=pk, message=message.id), body)
        for pk in (999_999, group.pk, private.pk)
    )
    assert foreign == [missing, missing]
    assert missing[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("GET", "/history/{name}", None), ("POST", "/messages", {"room": "{name}", "content": "x"})],
)
def test_a_foreign_room_answers_by_name_as_a_missing_one(
    ila: Caller, stranger: Caller, method: str, path: str, body: dict[str, str] | None
) -> None:
    room = make_room(RoomKind.GROUP, name="friends", owner=[ila.user_id])
    store_message(ila, room)

    def ask(name: str) -> tuple[int, bytes, list[str]]:
        named = body and {key: value.format(name=name) for key, value in body.items()}
        status, content, statements = asked(stranger, method, path.format(name=name), named)
        return status, content, [sql.replace(name, "") for sql in statements]

    ask("nowhere")  # the first send of a minute also notes the use of the session
    assert ask("friends") == ask("nowhere")
    assert ask("friends")[0] == 404


@pytest.mark.parametrize("what", ["message", "mark"])
def test_the_writer_asks_as_much_about_a_foreign_room_as_about_a_missing_one(
    ila: Caller, stranger: Caller, what: str
) -> None:
    room = make_room(RoomKind.GROUP, owner=[ila.user_id])
    store_message(ila, room)

    def statements(pk: int) -> tuple[list[object], int]:
        where = Room(pk=pk)
        mark = MarkRead(stranger.user_id, stranger.username, pk, 1)
        executed: list[str] = []
        raw = connection.connection
        if connection.vendor == "sqlite":
            raw.set_trace_callback(executed.append)
        try:
            outcomes = store_now(draft(stranger, where) if what == "message" else mark)
        finally:
            if connection.vendor == "sqlite":
                raw.set_trace_callback(None)
        return [type(outcome) for outcome in outcomes], len(executed)

    assert statements(room.pk) == statements(999_999)
