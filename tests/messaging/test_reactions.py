"""Reactions: counts, shown users and limits."""

from collections.abc import Iterable
from random import Random

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.auth import Caller
from accounts.kernel.errors import Forbidden
from messaging import reactions
from messaging.errors import MessageDeleted, TooManyReactions
from messaging.models import Reaction
from rooms.membership import remove_member
from rooms.models import Member, Room
from tests.factories import make_caller, make_member, make_room, store_message
from tests.messaging.service_calls import delete, react, unreact

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unlimited")]


def make_members(room: Room, people: Iterable[Caller]) -> None:
    for person in people:
        make_member(room, person.user_id)


def test_reactions_are_counted_and_list_their_users(
    ila: Caller, friend: Caller, room: Room
) -> None:
    message = store_message(ila, room)
    react(friend, message)
    react(ila, message)
    shown = react(ila, message, "🎉").reactions
    assert sorted(shown, key=lambda one: -one["count"]) == [
        {"emoji": "👍", "count": 2, "users": [friend.user_id, ila.user_id]},
        {"emoji": "🎉", "count": 1, "users": [ila.user_id]},
    ]
    shown = unreact(friend, message).reactions
    assert {one["emoji"]: one["users"] for one in shown} == {
        "👍": [ila.user_id],
        "🎉": [ila.user_id],
    }


def test_reacting_joins_a_public_room(ila: Caller, friend: Caller) -> None:
    public = make_room(owner=[ila.user_id])
    message = store_message(ila, public)
    store_message(ila, public)
    assert react(friend, message).version == 3
    react(friend, message, "🎉")
    member = Member.objects.get(room=public, user_id=friend.user_id)
    public.refresh_from_db()
    assert (public.member_count, public.version, member.last_read_seq) == (2, 4, 2)


def test_rejected_reaction_joins_no_room(ila: Caller, friend: Caller) -> None:
    public = make_room(owner=[ila.user_id])
    message = store_message(ila, public)
    delete(ila, message)
    with pytest.raises(MessageDeleted):
        react(friend, message)
    remove_member(user_id=ila.user_id, room_id=public.pk, username="friend")
    with pytest.raises(Forbidden):
        react(friend, message)
    assert not Member.objects.filter(room=public, user_id=friend.user_id).exists()


def test_reaction_is_removed_only_by_its_user(ila: Caller, friend: Caller, room: Room) -> None:
    message = store_message(ila, room)
    react(friend, message)
    assert unreact(ila, message).reactions[0]["users"] == [friend.user_id]


def test_reaction_lists_the_first_users_and_counts_all(
    room: Room, ila: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stored list always equals a recount of all rows."""
    monkeypatch.setattr(reactions, "MAX_SHOWN_REACTORS", 3)
    message, people, chance = store_message(ila, room), [make_caller() for _ in range(6)], Random(5)
    make_members(room, people)
    most = 0
    for _ in range(150):
        change = chance.choice((react, react, unreact))
        shown = change(chance.choice(people), message, chance.choice("👍🎉")).reactions
        rows = Reaction.objects.order_by("pk").values_list("emoji", "user_id")
        users = {emoji: [user for one, user in rows if one == emoji] for emoji, _ in rows}
        assert shown == [
            {"emoji": emoji, "count": len(users[emoji]), "users": users[emoji][:3]}
            for emoji in sorted(users)
        ]
        most = max([most, *(one["count"] for one in shown)])
    assert most > 3


def test_reaction_query_count_does_not_grow_with_reactions(room: Room, ila: Caller) -> None:
    message = store_message(ila, room)
    asked = []
    for number in range(20):
        with CaptureQueriesContext(connection) as queries:
            react(ila, message, str(number))
        with CaptureQueriesContext(connection) as more:
            unreact(ila, message, str(number))
        react(ila, message, str(number))
        asked.append((len(queries), len(more)))
    assert set(asked) == {asked[0]}
    assert max(asked[0]) <= 10


def test_message_holds_at_most_fifty_different_reactions(
    ila: Caller, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reactions, "MAX_REACTION_KINDS", 2)
    message = store_message(ila, room)
    react(ila, message, "1")
    react(ila, message, "2")
    with pytest.raises(TooManyReactions):
        react(ila, message, "3")
    assert react(ila, message, "2").version == 3
