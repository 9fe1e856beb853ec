"""Sockets that sign in together are authorised with two queries."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.auth import Caller
from accounts.kernel.errors import Busy, DomainError, SessionEnded, TokenInvalid
from accounts.models import Session
from accounts.tokens import Claims
from realtime.delivery import authorisation as module
from realtime.delivery.authorisation import (
    Authorisation,
    QueuedAuthorisation,
    RoomSearch,
    authorise_together,
)
from rooms import connecting, selectors
from rooms.errors import NotAMember
from rooms.models import Room, RoomKind
from tests.factories import make_caller, make_room
from tests.realtime.wiring import database


def group(name: str) -> RoomSearch:
    return RoomSearch(
        name,
        selectors.rooms_of_members,
        lambda room: room.kind == RoomKind.GROUP,
        lambda caller, wanted: connecting.enter_group_room(user_id=caller.user_id, name=wanted),
    )


def private(username: str) -> RoomSearch:
    return RoomSearch(
        username,
        selectors.rooms_of_pairs,
        lambda room: room.kind == RoomKind.PRIVATE,
        lambda caller, wanted: connecting.enter_private_room(
            user_id=caller.user_id, username=wanted
        ),
    )


def claims_of(caller: Caller) -> Claims:
    return Claims(caller.user_id, caller.session_id, "jti", caller.expires_at)


async def authorised(
    *asked: tuple[Claims, RoomSearch],
) -> list[tuple[Caller, Room] | BaseException]:
    authorisation = Authorisation(database)
    return await asyncio.gather(
        *(authorisation.authorise(*one) for one in asked), return_exceptions=True
    )


def errors(results: list[tuple[Caller, Room] | BaseException]) -> list[type[object] | None]:
    return [type(one) if isinstance(one, BaseException) else None for one in results]


@pytest.mark.django_db
def test_any_number_of_members_costs_two_queries() -> None:
    callers = [make_caller() for _ in range(10)]
    room = make_room(RoomKind.GROUP, member=[one.user_id for one in callers])
    loop = asyncio.new_event_loop()
    batch = [
        QueuedAuthorisation(claims_of(one), group(str(room.name)), loop.create_future())
        for one in callers
    ]
    with CaptureQueriesContext(connection) as queries:
        outcomes = authorise_together(batch)
    assert outcomes == [(one, room) for one in callers]
    assert len(queries) == 2
    loop.close()


@pytest.mark.django_db(transaction=True)
def test_each_socket_of_a_batch_gets_its_own_refusal() -> None:
    member, stranger, ended, inactive = (make_caller() for _ in range(4))
    room = make_room(RoomKind.GROUP, member=[member.user_id, ended.user_id, inactive.user_id])
    Session.objects.filter(pk=ended.session_id).update(ended_at="2026-01-01T00:00:00Z")
    type(Session.objects.get(pk=inactive.session_id).user).objects.filter(
        pk=inactive.user_id
    ).update(is_active=False)
    foreign = replace(claims_of(member), session_id=stranger.session_id)
    asked = [claims_of(one) for one in (member, stranger, ended, inactive)]
    results = asyncio.run(authorised(*((one, group(str(room.name))) for one in [*asked, foreign])))
    assert errors(results) == [None, NotAMember, SessionEnded, SessionEnded, TokenInvalid]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["", "a\x00b", "no such room", "x" * 300])
def test_impossible_name_refuses_its_own_socket_only(name: str) -> None:
    member = make_caller()
    room = make_room(RoomKind.GROUP, member=[member.user_id])
    one = claims_of(member)
    results = asyncio.run(authorised((one, group(name)), (one, group(str(room.name).upper()))))
    assert errors(results) == [NotAMember, None]


@pytest.mark.django_db(transaction=True)
def test_private_room_is_found_from_both_sides_and_created_when_missing() -> None:
    low, high = make_caller(), make_caller()
    for _ in range(2):
        results = asyncio.run(
            authorised(
                (claims_of(low), private(high.username)), (claims_of(high), private(low.username))
            )
        )
        assert errors(results) == [None, None]
    assert Room.objects.filter(kind=RoomKind.PRIVATE).count() == 1


def failing(error: Exception) -> Callable[[object], object]:
    def fail(_: object) -> object:
        raise error

    return fail


@pytest.mark.parametrize("error", [Busy(), ValueError("broken")])
async def test_failed_batch_fails_each_socket_and_the_next_batch_runs(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    authorisation, one = Authorisation(database), (Claims(1, 1, "", 2**31), group("x"))
    monkeypatch.setattr(module, "authenticate_together", failing(error))
    failed = await asyncio.gather(
        *(authorisation.authorise(*one) for _ in range(3)), return_exceptions=True
    )
    assert [type(result) for result in failed] == [type(error)] * 3
    monkeypatch.setattr(module, "authenticate_together", lambda sockets: {one[0]: SessionEnded()})
    monkeypatch.setattr(selectors, "rooms_of_members", dict)
    with pytest.raises(DomainError):
        await authorisation.authorise(one[0], replace(one[1], known=lambda entries: {}))


async def test_sockets_beyond_the_limit_are_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 0)
    with pytest.raises(Busy):
        await Authorisation(database).authorise(Claims(1, 1, "", 2**31), group("x"))
