"""Changes of messages: permissions, versions and replays."""

from collections.abc import Callable, Iterable
from random import Random
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.auth import Caller
from accounts.kernel.errors import Forbidden
from messaging import services
from messaging.errors import MessageDeleted, NoSuchMessage, SenderMismatch, TooManyReactions
from messaging.events import MessageEdited, MessageErased, MessageState, ReactionsChanged
from messaging.models import Message, Reaction
from messaging.schemas import MessageOut
from messaging.selectors import changes_since, history
from rooms.errors import NoSuchRoom
from rooms.membership import remove_member
from rooms.models import Member, Room, RoomKind
from rooms.selectors import room_access
from tests.factories import (
    at_once,
    commits,
    draft,
    make_member,
    make_room,
    make_sign_in,
    make_user,
    published,
    say,
    store_now,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unlimited")]


def edit(caller: Caller, message: MessageState, content: str) -> MessageState:
    return services.edit_message(
        caller=caller, room_id=message.room_id, message_id=message.id, content=content
    )


def delete(caller: Caller, message: MessageState) -> None:
    services.delete_message(caller=caller, room_id=message.room_id, message_id=message.id)


def react(caller: Caller, message: MessageState, emoji: str = "👍") -> MessageState:
    return services.add_reaction(
        caller=caller, room_id=message.room_id, message_id=message.id, emoji=emoji
    )


def unreact(caller: Caller, message: MessageState, emoji: str = "👍") -> MessageState:
    return services.remove_reaction(
        caller=caller, room_id=message.room_id, message_id=message.id, emoji=emoji
    )


def make_members(room: Room, people: Iterable[Caller]) -> None:
    for person in people:
        make_member(room, person.user_id)


def replayed(room: Room, since: int) -> list[tuple[str, int, int]]:
    room.refresh_from_db()
    return [
        (change.kind, change.message.seq, change.message.version)
        for change in changes_since(room, since, limit=100)
    ]


# Versions


def test_every_change_adds_one_version_and_no_seq(ila: Caller, friend: Caller, room: Room) -> None:
    one, two = say(ila, room), say(friend, room)
    versions = [
        edit(ila, one, "better").version,
        react(friend, one).version,
        unreact(friend, one).version,
        react(ila, two).version,
    ]
    delete(friend, two)
    room.refresh_from_db()
    assert versions == [3, 4, 5, 6]
    assert (room.last_seq, room.version) == (2, 7)


def test_change_without_effect_adds_no_version(ila: Caller, room: Room) -> None:
    message = say(ila, room, "Hey")
    edit(ila, message, "  Hey ")
    unreact(ila, message)
    react(ila, message)
    assert react(ila, message).version == 2
    delete(ila, message)
    delete(ila, message)
    assert unreact(ila, message).version == 3
    room.refresh_from_db()
    assert room.version == 3


@commits
def test_concurrent_changes_add_one_version_each(ila: Caller, friend: Caller, room: Room) -> None:
    message = say(ila, room)
    calls: list[Callable[[], object]] = [
        lambda: edit(ila, message, "better"),
        lambda: react(ila, message),
        lambda: react(friend, message),
        lambda: store_now(draft(friend, room)),
        lambda: store_now(draft(ila, room)),
    ]
    outcomes = at_once(*calls)
    assert not [one for one in outcomes if isinstance(one, Exception)]
    room.refresh_from_db()
    assert (room.last_seq, room.version) == (3, 6)


@commits
def test_each_change_is_published_once_after_its_commit(ila: Caller, room: Room) -> None:
    message = say(ila, room)
    with published() as events:
        edited = edit(ila, message, "better")
        react(ila, message)
        delete(ila, message)
        delete(ila, message)
    assert [type(event) for event in events] == [MessageEdited, ReactionsChanged, MessageErased]
    assert events[0] == MessageEdited(edited)


# Editing


def test_edit_keeps_seq_and_timestamp_and_sets_edited_at(ila: Caller, room: Room) -> None:
    message = say(ila, room, "Hey")
    edited = edit(ila, message, " Hey you ")
    assert (edited.content, edited.seq, edited.timestamp) == ("Hey you", 1, message.timestamp)
    assert edited.edited_at is not None
    shown = MessageOut.model_validate(edited).model_dump()
    assert shown == vars(history_of(room, ila)[0])


def test_only_the_author_edits_a_message(ila: Caller, friend: Caller, room: Room) -> None:
    with pytest.raises(Forbidden):
        edit(ila, say(friend, room), "mine now")


def test_deleted_message_cannot_be_edited_or_reacted_to(ila: Caller, room: Room) -> None:
    message = say(ila, room)
    delete(ila, message)
    with pytest.raises(MessageDeleted):
        edit(ila, message, "again")
    with pytest.raises(MessageDeleted):
        react(ila, message)


def test_edit_permission_is_checked_before_state(ila: Caller, friend: Caller, room: Room) -> None:
    message = say(ila, room)
    delete(ila, message)
    with pytest.raises(Forbidden):
        edit(friend, message, "again")


def test_message_is_found_only_in_its_own_room(ila: Caller, room: Room) -> None:
    message = say(ila, room)
    elsewhere = make_room(owner=[ila.user_id])
    with pytest.raises(NoSuchMessage):
        services.edit_message(caller=ila, room_id=elsewhere.pk, message_id=message.id, content="x")


def test_removed_member_cannot_change_messages(ila: Caller, friend: Caller) -> None:
    group = make_room(RoomKind.GROUP, owner=[ila.user_id], member=[friend.user_id])
    public = make_room(owner=[ila.user_id], member=[friend.user_id])
    for where, refusal in ((group, NoSuchRoom), (public, Forbidden)):
        message = say(friend, where)
        remove_member(user_id=ila.user_id, room_id=where.pk, username="friend")
        with pytest.raises(refusal):
            edit(friend, message, "x")
        with pytest.raises(refusal):
            delete(friend, message)
        with pytest.raises(refusal):
            react(friend, message)


# Deleting


def test_tombstone_keeps_only_its_place(ila: Caller, room: Room) -> None:
    quoted = say(ila, room)
    message = say(ila, room, "secret", reply_to=quoted.id, client_id="one")
    react(ila, message)
    delete(ila, message)
    tombstone = history_of(room, ila)[1]
    assert (tombstone.seq, tombstone.deleted, tombstone.content) == (2, True, "")
    assert (tombstone.reply_to, tombstone.reactions) == (None, [])
    assert not Reaction.objects.exists()


@pytest.mark.parametrize(("role", "allowed"), [("owner", True), ("admin", True), ("member", False)])
def test_owners_and_admins_delete_messages_of_others(role: str, allowed: bool) -> None:
    author, caller = make_sign_in(), make_sign_in()
    room = make_room(RoomKind.GROUP, owner=[author.user_id])
    make_member(room, caller.user_id)
    Member.objects.filter(user_id=caller.user_id).update(role=role)
    message = say(author, room)
    try:
        delete(caller, message)
    except Forbidden:
        assert not allowed
    assert Message.objects.get().deleted == allowed


def test_staff_delete_only_messages_of_public_rooms(ila: Caller) -> None:
    staff = make_sign_in(make_user(is_staff=True))
    group = make_room(RoomKind.GROUP, owner=[ila.user_id], member=[staff.user_id])
    delete(staff, say(ila, make_room()))
    with pytest.raises(Forbidden):
        delete(staff, say(ila, group))
    assert list(Message.objects.values_list("deleted", flat=True).order_by("pk")) == [True, False]


# Reactions


def test_reactions_are_counted_and_list_their_users(
    ila: Caller, friend: Caller, room: Room
) -> None:
    message = say(ila, room)
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
    message = say(ila, public)
    say(ila, public)
    assert react(friend, message).version == 3
    react(friend, message, "🎉")
    member = Member.objects.get(room=public, user_id=friend.user_id)
    public.refresh_from_db()
    assert (public.member_count, public.version, member.last_read_seq) == (2, 4, 2)


def test_rejected_reaction_joins_no_room(ila: Caller, friend: Caller) -> None:
    public = make_room(owner=[ila.user_id])
    message = say(ila, public)
    delete(ila, message)
    with pytest.raises(MessageDeleted):
        react(friend, message)
    remove_member(user_id=ila.user_id, room_id=public.pk, username="friend")
    with pytest.raises(Forbidden):
        react(friend, message)
    assert not Member.objects.filter(room=public, user_id=friend.user_id).exists()


def test_reaction_is_removed_only_by_its_user(ila: Caller, friend: Caller, room: Room) -> None:
    message = say(ila, room)
    react(friend, message)
    assert unreact(ila, message).reactions[0]["users"] == [friend.user_id]


def test_reaction_lists_the_first_users_and_counts_all(
    room: Room, ila: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stored list always equals a recount of all rows."""
    monkeypatch.setattr(services, "MAX_SHOWN_REACTORS", 3)
    message, people, chance = say(ila, room), [make_sign_in() for _ in range(6)], Random(5)
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
    message = say(ila, room)
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
    monkeypatch.setattr(services, "MAX_REACTION_KINDS", 2)
    message = say(ila, room)
    react(ila, message, "1")
    react(ila, message, "2")
    with pytest.raises(TooManyReactions):
        react(ila, message, "3")
    assert react(ila, message, "2").version == 3


# Replays


def test_new_message_is_replayed_in_its_current_state(ila: Caller, room: Room) -> None:
    message = say(ila, room, "Hey")
    edit(ila, message, "Hey you")
    (change,) = changes_since(room, 0, limit=10)
    assert (change.kind, change.message.content, change.message.version) == (
        "message",
        "Hey you",
        2,
    )


def test_older_message_is_replayed_as_its_latest_change(
    ila: Caller, friend: Caller, room: Room
) -> None:
    one, two, three, _ = [say(ila, room) for _ in range(4)]
    edit(ila, one, "better")
    react(friend, two)
    delete(ila, three)
    assert replayed(room, 4) == [("edit", 1, 5), ("reaction", 2, 6), ("delete", 3, 7)]


def test_superseded_change_is_not_replayed(ila: Caller, room: Room) -> None:
    message = say(ila, room)
    edit(ila, message, "better")
    react(ila, message)
    assert replayed(room, 1) == [("reaction", 1, 3)]
    assert replayed(room, 2) == [("reaction", 1, 3)]
    assert replayed(room, 3) == []


def test_new_deleted_message_is_replayed_as_message(ila: Caller, room: Room) -> None:
    delete(ila, say(ila, room))
    (change,) = changes_since(room, 0, limit=10)
    assert (change.kind, change.message.deleted, change.message.content) == ("message", True, "")


def test_changes_come_in_version_order_up_to_the_limit(ila: Caller, room: Room) -> None:
    messages = [say(ila, room) for _ in range(4)]
    edit(ila, messages[0], "better")
    assert replayed(room, 0) == [
        ("message", 2, 2),
        ("message", 3, 3),
        ("message", 4, 4),
        ("message", 1, 5),
    ]
    assert [change.message.version for change in changes_since(room, 1, limit=2)] == [2, 3]


def test_changes_of_other_rooms_are_not_replayed(ila: Caller, room: Room) -> None:
    say(ila, make_room())
    assert replayed(room, 0) == []


# Pages of history


def history_of(
    room: Room, caller: Caller, *, before: int | None = None, after: int | None = None
) -> list[SimpleNamespace]:
    here = room_access(caller.user_id, room.pk)
    page = history(here, before=before, after=after, limit=3)
    return [SimpleNamespace(**message) for message in page.messages]


@pytest.mark.parametrize(
    ("before", "after", "seqs"),
    [
        (None, None, [5, 6, 7]),
        (5, None, [2, 3, 4]),
        (2, None, [1]),
        (1, None, []),
        (None, 0, [1, 2, 3]),
        (None, 6, [7]),
        (None, 7, []),
        (6, 4, [5]),
        (7, 2, [3, 4, 5]),
    ],
)
def test_page_runs_from_old_to_new(
    ila: Caller, room: Room, before: int | None, after: int | None, seqs: list[int]
) -> None:
    store_now(*[draft(ila, room) for _ in range(7)])
    assert [one.seq for one in history_of(room, ila, before=before, after=after)] == seqs


def test_links_lead_from_page_to_page(ila: Caller, room: Room) -> None:
    store_now(*[draft(ila, room) for _ in range(7)])
    here = room_access(ila.user_id, room.pk)
    newest = history(here, before=None, after=None, limit=3)
    assert newest.links == {"prev": {"before": 5, "limit": 3}}
    middle = history(here, before=5, after=None, limit=3)
    assert middle.links == {"next": {"after": 4, "limit": 3}, "prev": {"before": 2, "limit": 3}}
    oldest = history(here, before=2, after=None, limit=3)
    assert oldest.links == {"next": {"after": 1, "limit": 3}}


# Claimed usernames


def test_username_must_be_the_senders_own(ila: Caller) -> None:
    services.check_sender(ila, None)
    services.check_sender(ila, "ILA")
    with pytest.raises(SenderMismatch):
        services.check_sender(ila, "friend")
