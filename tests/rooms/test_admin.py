"""Admin pages of rooms, members and bans: actions and refusals."""

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.kernel import moderation
from accounts.kernel.errors import Busy, Forbidden
from accounts.models import User
from rooms import connecting, membership, services
from rooms.errors import LastOwner, NoSuchRoom
from rooms.events import MemberRemoved, RoomDeleted
from rooms.models import Ban, Member, Role, Room, RoomKind
from tests.admin_client import chosen, notices, signed_in, staff
from tests.factories import (
    collect_events,
    commits,
    make_caller,
    make_private_room,
    make_room,
    make_user,
    store_message,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unlimited")]

ROOMS, MEMBERS, BANS = "/admin/rooms/room/", "/admin/rooms/member/", "/admin/rooms/ban/"


@pytest.fixture
def boss() -> User:
    return make_user("boss", is_staff=True, is_superuser=True)


@pytest.fixture
def root(boss: User) -> Client:
    return signed_in(boss)


@pytest.fixture
def ila() -> User:
    return make_user("ila")


@pytest.fixture
def maya() -> User:
    return make_user("maya")


@pytest.fixture
def group(ila: User, maya: User) -> Room:
    return make_room(RoomKind.GROUP, name="friends", owner=[ila.pk], member=[maya.pk])


def member_of(room: Room, user: User) -> Member:
    return Member.objects.get(room=room, user=user)


# Deleting rooms


@commits
def test_every_kind_of_room_is_deleted_through_the_service(
    root: Client, boss: User, group: Room, ila: User, maya: User
) -> None:
    public, private = make_room(name="sports"), make_private_room(ila.pk, maya)
    rows = chosen("delete_rooms", group, public, private)
    with collect_events() as events:
        answer = root.post(ROOMS, rows)
    assert notices(answer) == ["3 rooms deleted"]
    assert {event.room_id for event in events if isinstance(event, RoomDeleted)} == {
        group.pk,
        public.pk,
        private.pk,
    }
    for room in Room.objects.all():
        assert room.deleted_at is not None
        assert (room.access_epoch, room.member_count) == (1, 0)
    assert not Member.objects.exists()
    logged = LogEntry.objects.order_by("pk").values_list("user_id", "object_id", "change_message")
    assert sorted(logged) == sorted(
        (boss.pk, str(room.pk), f"{name}: deleted")
        for room, name in (
            (group, f"friends (#{group.pk})"),
            (public, f"sports (#{public.pk})"),
            (private, f"private room {private.pk}"),
        )
    )


@commits
def test_deleting_a_room_twice_is_harmless(root: Client, group: Room) -> None:
    page = f"{ROOMS}{group.pk}/do/delete_rooms/"
    with collect_events() as events:
        assert notices(root.post(page)) == ["1 room deleted"]
        assert "Nothing to change for 1 room" in notices(root.post(page))
        assert notices(root.post(ROOMS, chosen("delete_rooms", group)))[-1].startswith(
            "Nothing to change"
        )
    assert len(events) == 1
    assert LogEntry.objects.count() == 1


def test_private_room_can_be_opened_again_after_staff_deleted_it(
    root: Client, ila: User, maya: User
) -> None:
    old = make_private_room(ila.pk, maya)
    root.post(f"{ROOMS}{old.pk}/do/delete_rooms/")
    new = services.open_private_room(user_id=maya.pk, other=ila)
    assert new.pk != old.pk
    assert new.deleted_at is None
    assert connecting.enter_private_room(user_id=ila.pk, username="maya") == new
    assert services.open_private_room(user_id=ila.pk, other=maya) == new


def test_confirmation_lists_the_effects_and_changes_nothing(root: Client, group: Room) -> None:
    for answer in (
        root.get(f"{ROOMS}{group.pk}/do/delete_rooms/"),
        root.post(ROOMS, chosen("delete_rooms", group, confirmed=False)),
    ):
        page = answer.content.decode()
        assert answer.status_code == 200
        assert "friends (group): 2 members, 0 messages" in page
        assert "cannot be restored" in page
    group.refresh_from_db()
    assert group.deleted_at is None
    assert not LogEntry.objects.exists()


@commits
def test_viewing_pages_changes_nothing(root: Client, group: Room, maya: User) -> None:
    ban = membership.ban_user(
        user_id=User.objects.get(username="boss").pk,
        room_id=make_room(name="sports").pk,
        username="maya",
    )
    member = member_of(group, maya)
    with collect_events() as events:
        for page in (
            *(f"{ROOMS}{group.pk}/do/{name}/" for name in ("delete_rooms", "nothing")),
            *(f"{MEMBERS}{member.pk}/do/{name}/" for name in ("remove_members", "make_owner")),
            f"{BANS}{ban.pk}/do/lift_bans/",
            f"{ROOMS}?action=delete_rooms&_selected_action={group.pk}&post=yes",
        ):
            root.get(page)
    assert events == []
    assert member_of(group, maya).role == Role.MEMBER
    assert Ban.objects.filter(pk=ban.pk).exists()
    assert not Room.objects.exclude(deleted_at=None).exists()
    assert not LogEntry.objects.exists()


# Members


@commits
def test_staff_remove_a_member_from_a_group(root: Client, group: Room, maya: User) -> None:
    with collect_events() as events:
        answer = root.post(f"{MEMBERS}{member_of(group, maya).pk}/do/remove_members/")
    assert (answer.status_code, notices(answer)) == (302, ["1 member removed"])
    assert events == [MemberRemoved(group.pk, maya.pk, 1)]
    assert not Member.objects.filter(room=group, user=maya).exists()
    assert not Ban.objects.exists(), "a group needs none"
    (entry,) = LogEntry.objects.all()
    assert (entry.object_id, entry.change_message) == (str(group.pk), "maya in friends: removed")
    history = root.get(f"{ROOMS}{group.pk}/history/").content.decode()
    assert "maya in friends: removed" in history


def test_removal_from_a_public_room_is_a_ban(root: Client, maya: User) -> None:
    room = make_room(member=[maya.pk])
    root.post(MEMBERS, chosen("remove_members", member_of(room, maya)))
    assert Ban.objects.filter(room=room, user=maya).exists()
    with pytest.raises(Forbidden):
        membership.join_room(user_id=maya.pk, room_id=room.pk)


def test_last_owner_of_a_group_cannot_be_removed_or_demoted(
    root: Client, group: Room, ila: User, maya: User
) -> None:
    owner = member_of(group, ila)
    for action in ("remove_members", "make_member", "make_admin"):
        *_, text = notices(root.post(MEMBERS, chosen(action, owner)))
        assert text.startswith("Refused for ila in friends. This is the last owner of the group")
    assert member_of(group, ila).role == Role.OWNER
    assert not LogEntry.objects.exists()
    root.post(MEMBERS, chosen("make_owner", member_of(group, maya), confirmed=False))
    assert notices(root.post(MEMBERS, chosen("remove_members", owner)))[-1] == "1 member removed"
    assert member_of(group, maya).role == Role.OWNER


def test_members_of_a_private_room_cannot_be_removed(root: Client, ila: User, maya: User) -> None:
    room = make_private_room(ila.pk, maya)
    member = member_of(room, maya)
    for action in ("remove_members", "make_owner"):
        *_, text = notices(root.post(MEMBERS, chosen(action, member)))
        assert "Not available in a private room" in text
    page = root.get(f"{MEMBERS}{member.pk}/change/").content.decode()
    assert "/do/" not in page, "no button for what is refused"


def test_refused_rows_do_not_stop_the_others(
    root: Client, group: Room, ila: User, maya: User
) -> None:
    private = make_private_room(ila.pk, maya)
    rows = [member_of(group, maya), member_of(group, ila), member_of(private, ila)]
    texts = notices(root.post(MEMBERS, chosen("remove_members", *rows)))
    assert texts[0] == "1 member removed"
    assert len(texts) == 3
    assert Member.objects.filter(room=group).count() == 1


def test_rows_deleted_meanwhile_are_reported(root: Client, group: Room, maya: User) -> None:
    member = member_of(group, maya)
    page = f"{MEMBERS}{member.pk}/do/remove_members/"
    root.post(page)
    assert notices(root.post(page))[-1] == f"Member {member.pk} no longer exists"
    texts = notices(root.post(MEMBERS, chosen("remove_members", member)))
    assert texts[-1] == "Nothing to do: the selected rows no longer exist"


def test_action_is_limited_to_a_number_of_rows(
    root: Client, group: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moderation, "MAX_ROWS", 1)
    form = chosen("remove_members") | {"_selected_action": [0], "select_across": "1"}
    (text,) = notices(root.post(MEMBERS, form))
    assert text == "At most 1 rows at once: nothing was changed"
    assert Member.objects.filter(room=group).count() == 2


def test_busy_database_shows_a_message_and_no_error_page(
    root: Client, group: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(**_: object) -> None:
        raise Busy

    monkeypatch.setattr(services, "delete_room", busy)
    (text,) = notices(root.post(ROOMS, chosen("delete_rooms", group)))
    assert text == f"Refused for friends (#{group.pk}). The server is busy: try again shortly"
    monkeypatch.setattr(services, "change_room", busy)
    room = make_room()
    answer = root.post(f"{ROOMS}{room.pk}/change/", {"title": "New", "topic": ""})
    assert (answer.status_code, notices(answer)[-1]) == (
        302,
        "The server is busy: try again shortly",
    )
    room.refresh_from_db()
    assert room.title == ""


def test_invalid_ids_are_a_bad_request(root: Client) -> None:
    for pk in ("x", "-1", str(2**70), ""):
        form = chosen("delete_rooms") | {"_selected_action": [pk]}
        assert root.post(ROOMS, form).status_code == 400, pk
        assert root.get(f"{ROOMS}{pk or 'x'}/do/delete_rooms/").status_code == 302, pk


# Bans


@commits
def test_banned_user_can_return_after_the_ban_is_lifted(
    root: Client, boss: User, maya: User
) -> None:
    room = make_room(name="sports", member=[maya.pk])
    page = root.get(f"{ROOMS}{room.pk}/change/").content.decode()
    address = f"{BANS}add/?room=%23{room.pk}"
    assert address in page
    assert f'value="#{room.pk}"' in root.get(address).content.decode()
    with collect_events() as events:
        answer = root.post(f"{BANS}add/", {"room": "Sports", "user": "@MAYA"})
    assert (answer.status_code, notices(answer)) == (302, ["Banned maya from sports"])
    assert events == [MemberRemoved(room.pk, maya.pk, 1)]
    ban = Ban.objects.get(room=room, user=maya)
    (entry,) = LogEntry.objects.all()
    assert (entry.object_id, entry.change_message) == (str(room.pk), "maya in sports: banned")
    root.post(f"{BANS}add/", {"room": "sports", "user": "maya"})
    assert Ban.objects.count() == 1, "twice is harmless"
    with pytest.raises(Forbidden):
        membership.join_room(user_id=maya.pk, room_id=room.pk)
    assert notices(root.post(BANS, chosen("lift_bans", ban, confirmed=False)))[-1] == "1 ban lifted"
    membership.join_room(user_id=maya.pk, room_id=room.pk)
    assert LogEntry.objects.latest("pk").change_message == "Ban of maya in sports: lifted"


def test_impossible_ban_is_rejected_with_a_reason(root: Client, group: Room) -> None:
    make_room(name="sports")
    for room, user, text in (
        ("nowhere", "maya", "Room not found"),
        ("#0", "maya", "Room not found"),
        ("sports", "unknown", "User not found"),
        ("sports", "boss", "Use leave to remove yourself"),
        ("friends", "maya", "Only public rooms have bans"),
        (" ", " ", "This field is required"),
    ):
        answer = root.post(f"{BANS}add/", {"room": room, "user": user}, follow=True)
        assert text in answer.content.decode(), text
    assert not Ban.objects.exists()
    assert not LogEntry.objects.exists()
    assert group.members.count() == 2


# Permissions


@commits
@pytest.mark.parametrize(
    ("action", "permission", "look"),
    [
        ("delete_rooms", "delete_room", "view_room"),
        ("remove_members", "delete_member", "view_member"),
        ("make_owner", "change_member", "view_member"),
        ("lift_bans", "delete_ban", "view_ban"),
    ],
)
def test_each_action_requires_its_permission(
    group: Room, maya: User, boss: User, action: str, permission: str, look: str
) -> None:
    public = make_room(name="sports")
    ban = membership.ban_user(user_id=boss.pk, room_id=public.pk, username="maya")
    lists = {"view_room": ROOMS, "view_member": MEMBERS, "view_ban": BANS}
    rows = {"view_room": group, "view_member": member_of(group, maya), "view_ban": ban}
    page, row = lists[look], rows[look]
    without = staff(look, "change_room")
    for answer in (without.get(page), without.get(f"{page}{row.pk}/change/")):
        assert answer.status_code == 200
        assert action not in answer.content.decode(), "neither action nor button"
    do = f"{page}{row.pk}/do/{action}/"
    with collect_events() as events:
        assert without.post(page, chosen(action, row)).status_code == 403
        assert without.post(do, {"post": "yes"}).status_code == 403
        assert without.get(do).status_code == 403
        if not permission.startswith("change_"):  # the change permission includes viewing
            assert staff(permission).post(do, {"post": "yes"}).status_code == 403
        assert signed_in(maya).post(do, {"post": "yes"}).status_code == 302, "to the login"
    assert events == []
    allowed = staff(look, permission)
    for answer in (allowed.get(page), allowed.get(f"{page}{row.pk}/change/")):
        assert action in answer.content.decode()
    assert allowed.post(do, {"post": "yes"}).status_code == 302
    assert LogEntry.objects.count() == 1


def test_banning_requires_its_permission(group: Room) -> None:
    room = make_room(name="sports")
    without = staff("view_ban", "view_room", "change_room")
    assert "/ban/add/" not in without.get(f"{ROOMS}{room.pk}/change/").content.decode()
    form = {"room": "sports", "user": "maya"}
    assert without.post(f"{BANS}add/", form).status_code == 403
    assert staff("view_ban", "add_ban").post(f"{BANS}add/", form).status_code == 302
    assert Ban.objects.count() == 1


def test_services_check_the_permission_themselves(group: Room, boss: User) -> None:
    """An already open page or a missing check above the service does not help."""
    plain, ordinary = make_user(is_staff=True), make_user()
    former = make_user(is_staff=False, is_superuser=True)
    locked = make_user(is_staff=True, is_superuser=True, is_active=False)
    for user in (plain, ordinary, former, locked):
        who = {"user_id": user.pk, "room_id": group.pk}
        for call in (
            lambda who=who: services.delete_room(**who, as_staff=True),
            lambda who=who: membership.remove_member(**who, username="maya", as_staff=True),
            lambda who=who: membership.change_role(
                **who, username="maya", role=Role.OWNER, as_staff=True
            ),
            lambda who=who: membership.ban_user(**who, username="maya"),
            lambda who=who: membership.lift_ban(**who, banned_id=1),
        ):
            with pytest.raises(Forbidden, match="Only staff with the permission rooms"):
                call()
    with pytest.raises(NoSuchRoom):
        services.delete_room(user_id=boss.pk, room_id=group.pk)  # as a non-member
    with pytest.raises(LastOwner):
        membership.remove_member(user_id=boss.pk, room_id=group.pk, username="ila", as_staff=True)


# Lists and searches


def test_rooms_are_searched_by_prefix_of_name_or_title(
    root: Client, group: Room, ila: User, maya: User
) -> None:
    sports = make_room(name="sports", member=[maya.pk])
    titled = make_room(name="other")
    titled.title = "Sporting life of the town"
    titled.save()
    private = make_private_room(ila.pk, maya)

    def found(search: str) -> list[int]:
        answer = root.get(ROOMS, {"q": search})
        return [row.pk for row in answer.context["cl"].result_list]

    assert found("SPOR") == [titled.pk, sports.pk]
    assert found("sporting life") == [titled.pk]
    assert found("@maya") == [private.pk, sports.pk, group.pk]
    assert found("spor @maya") == [sports.pk]
    assert found(f"#{group.pk}") == found("frien") == [group.pk]
    for nothing in ("orts", "#x", "@unknown", "%", "_"):
        assert found(nothing) == [], nothing


def test_room_page_links_to_its_messages_members_and_bans(root: Client, group: Room) -> None:
    public = make_room()
    for room, lists in (
        (public, (MEMBERS, BANS, "/admin/messaging/message/")),
        (group, (MEMBERS,)),
    ):
        page = root.get(f"{ROOMS}{room.pk}/change/").content.decode()
        for address in lists:
            assert f"{address}?q=%23{room.pk}" in page
    assert f"{BANS}?q" not in root.get(f"{ROOMS}{group.pk}/change/").content.decode()


def test_query_count_does_not_depend_on_row_count(root: Client, ila: User) -> None:
    def cost() -> list[int]:
        counts = []
        for page in (ROOMS, f"{ROOMS}?q=room", MEMBERS, BANS, "/admin/admin/logentry/"):
            with CaptureQueriesContext(connection) as queries:
                assert root.get(page).status_code == 200
            counts.append(len(queries))
        return counts

    def more() -> None:
        other = make_user()
        room = make_room(member=[ila.pk])
        store_message(make_caller(), room)
        make_private_room(ila.pk, other)
        root.post(f"{BANS}add/", {"room": room.name or "", "user": other.username})

    more()
    before = cost()
    for _ in range(5):
        more()
    assert cost() == before
    assert max(before) <= 10


def test_prefix_searches_never_scan_a_whole_table(root: Client) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("reads SQLite's plans")
    make_room(name="sports")
    with CaptureQueriesContext(connection) as queries:
        root.get(ROOMS, {"q": "spor"})
        root.get(MEMBERS, {"q": "spor @il"})
        root.get("/admin/accounts/user/", {"q": "il"})
    asked = [one["sql"] for one in queries if one["sql"].startswith("SELECT")]
    beginnings = [sql for sql in asked if '_key" >=' in sql]
    assert len(beginnings) == 7
    with connection.cursor() as cursor:
        for sql in beginnings:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            plan = " ".join(row[3] for row in cursor.fetchall())
            assert "SCAN" not in plan, (plan, sql)
