"""Rooms are searched by prefix of name or title."""

import itertools

import pytest

from accounts.kernel.errors import Invalid
from accounts.kernel.names import name_key
from accounts.kernel.pagination import Page, cursor_after
from rooms.models import Member, Room, RoomKind
from rooms.room_search import search_rooms
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def new_room(name: str, title: str = "", kind: str = RoomKind.PUBLIC, member: int = 0) -> Room:
    room = Room.objects.create(kind=kind, name=name, name_key=name_key(name), title=title)
    if member:
        Member.objects.create(room=room, user_id=member)
    return room


def page_of(
    text: str, user_id: int = 0, kind: str | None = None, cursor: str | None = None, limit: int = 50
) -> Page[Room]:
    return search_rooms(user_id, text, kind=kind, cursor=cursor, limit=limit)


def found(text: str, user_id: int = 0, kind: str | None = None) -> list[str | None]:
    return [room.name for room in page_of(text, user_id, kind)]


def matching_key(room: Room, text: str) -> str:
    """Returns the key by which a room is found, that of the name if both match."""
    return next(key for key in (room.name_key or "", room.title_key) if key.startswith(text))


def test_groups_are_found_by_their_members_only() -> None:
    member, other = make_user("ila"), make_user("other")
    new_room("sports", member=other.pk)
    new_room("spa", "All about water", RoomKind.GROUP, member.pk)
    new_room("friends", "Sports, too", RoomKind.GROUP, member.pk)
    assert found("SP", member.pk) == ["spa", "sports", "friends"]
    assert found("sp", other.pk) == ["sports"]
    assert found("sp", member.pk, RoomKind.GROUP) == ["spa", "friends"]
    assert found("sp", member.pk, RoomKind.PUBLIC) == ["sports"]
    assert found("sp", member.pk, RoomKind.PRIVATE) == []


def test_deleted_rooms_are_not_found() -> None:
    room = new_room("sports")
    room.deleted_at = room.created_at
    room.save()
    assert found("s") == []


@pytest.mark.parametrize("sign", ["%", "_", "*", "[a-z]", "\\", "?"])
def test_pattern_characters_are_matched_literally(sign: str) -> None:
    new_room("plain", "Plain")
    new_room("signed", f"{sign}name")
    assert found(sign) == ["signed"]


def test_changed_title_replaces_the_old_one_in_search() -> None:
    room = new_room("sports", "Before")
    room.title = "After"
    room.save()
    assert (found("after"), found("before"), found("sp")) == (["sports"], [], ["sports"])


@pytest.mark.parametrize("text", ["a", "ab", "aba", "b"])
def test_pages_list_each_room_once_in_the_order_of_the_name_that_matches(text: str) -> None:
    user = make_user("ila")
    names, titles = ["a", "b", "ab", "aba", "ba", "c"], ["", "A", "Ab", "Aba x", "B", "c"]
    kinds = itertools.cycle([RoomKind.PUBLIC, RoomKind.GROUP, RoomKind.PUBLIC])
    for number, (start, title) in enumerate(itertools.product(names, titles)):
        new_room(f"{start}.{number}", title, next(kinds), user.pk)
    keys = {
        room.pk: (matching_key(room, text), room.pk)
        for room in Room.objects.all()
        if room.title_key.startswith(text) or (room.name_key or "").startswith(text)
    }
    expected = sorted(keys, key=keys.__getitem__)
    assert expected
    for limit in (2, 5, 50):
        pages = [page_of(text, user.pk, limit=limit)]
        while "next" in pages[-1].links:
            cursor = pages[-1].links["next"]["cursor"]
            pages.append(page_of(text, user.pk, cursor=cursor, limit=limit))
        assert [room.pk for page in pages for room in page] == expected
        for before, here in itertools.pairwise(pages):
            back = page_of(text, user.pk, cursor=here.links["prev"]["cursor"], limit=limit)
            assert list(back) == list(before)


def test_page_after_a_title_with_joiners_is_found() -> None:
    for number, title in enumerate(["Family 👨‍👩‍👧", "Family می‌خواهم", "Family plain"]):
        new_room(f"room{number}", title)
    found, cursor = set[int](), None
    while True:
        page = page_of("fam", cursor=cursor, limit=1)
        found |= {room.pk for room in page}
        if "next" not in page.links:
            break
        cursor = page.links["next"]["cursor"]
    assert len(found) == 3


@pytest.mark.parametrize("kind", [None, RoomKind.GROUP])
def test_a_cursor_of_another_list_is_refused(kind: str | None) -> None:
    with pytest.raises(Invalid):
        page_of("a", kind=kind, cursor=cursor_after(1))
