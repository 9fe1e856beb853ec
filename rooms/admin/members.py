"""Admin of members: lists, roles, removal."""

from collections.abc import Callable
from typing import ClassVar

from django.contrib import admin
from django.http import HttpRequest
from typing_extensions import override

from accounts.kernel.admin import ReadOnlyAdmin
from accounts.kernel.moderation import Link, StaffAction, link_to, related
from rooms import membership
from rooms.models import Member, Role, RoomKind

from .links import room_name
from .search import SearchableAdmin


def _remove_member(staff_id: int, member: Member) -> bool:
    membership.remove_member(
        user_id=staff_id, room_id=member.room_id, username=member.user.username, as_staff=True
    )
    return True


def _role_setter(role: Role) -> Callable[[int, Member], bool]:
    def perform(staff_id: int, member: Member) -> bool:
        if member.role == role:
            return False
        membership.change_role(
            user_id=staff_id,
            room_id=member.room_id,
            username=member.user.username,
            role=role,
            as_staff=True,
        )
        return True

    return perform


def _role_action(role: Role, label: str, effect: str) -> StaffAction[Member]:
    return StaffAction(
        name=f"make_{role.value}",
        button=label,
        list_label=f"{label} of the room",
        permission="rooms.change_member",
        effect=effect,
        done=f"made {role.value}",
        perform=_role_setter(role),
        confirm=False,
        applies=lambda member: member.room.kind != RoomKind.PRIVATE and member.role != role,
        log_on=lambda member: member.room,
    )


@admin.register(Member)
class MemberAdmin(SearchableAdmin[Member], ReadOnlyAdmin[Member]):
    list_display = ("id", "in_room", "person", "role", "read_up_to", "muted", "joined_at")
    list_select_related = ("room", "room__low", "room__high", "user")
    fields = ("room", "user", "role", "last_read_seq", "muted", "joined_at")
    staff_actions = (
        StaffAction[Member](
            name="remove_members",
            button="Remove from the room",
            list_label="Remove from the room",
            permission="rooms.delete_member",
            effect="They lose the room at once and their connections to it are closed. In a public "
            "room this is also a ban, which can be lifted. To a group an owner or admin can add "
            "them again. Their messages stay. The last owner of a group cannot be removed.",
            done="removed",
            perform=_remove_member,
            applies=lambda member: member.room.kind != RoomKind.PRIVATE,
            log_on=lambda member: member.room,
        ),
        _role_action(
            Role.OWNER,
            "Make owner",
            "An owner changes roles, removes any member and may delete the room. A room may have "
            "several.",
        ),
        _role_action(
            Role.ADMIN,
            "Make admin",
            "An admin adds and removes plain members, deletes messages and changes title and "
            "topic.",
        ),
        _role_action(
            Role.MEMBER,
            "Make plain member",
            "A plain member reads and writes. The last owner of a group stays owner.",
        ),
    )
    column_help: ClassVar = {
        "Room": "The link leads to the room.",
        "Person": "The link leads to the account.",
        "Role": "Owner: may do everything in the room. Admin: manages members and messages. "
        "Member: reads and writes.",
        "Read up to": "The number of the last message that this user has read.",
        "Muted": "This user wants no notifications from the room.",
    }
    field_labels: ClassVar = {"user": "Person", "last_read_seq": "Read up to message number"}
    field_help: ClassVar = {
        "role": column_help["Role"],
        "muted": column_help["Muted"],
    }

    @admin.display(description="room")
    def in_room(self, member: Member) -> str:
        return link_to(member.room, room_name(member.room))

    @admin.display(description="person")
    def person(self, member: Member) -> str:
        return link_to(member.user, member.user.username)

    @admin.display(description="read up to")
    def read_up_to(self, member: Member) -> int:
        return member.last_read_seq

    @override
    def describe(self, row: Member) -> str:
        return f"{row.user.username}, {row.role} of {room_name(row.room)}"

    @override
    def name_of(self, row: Member) -> str:
        return f"{row.user.username} in {row.room}"

    @override
    def related_links(self, request: HttpRequest, row: Member) -> list[Link]:
        search = f"#{row.room_id} @{row.user.username}"
        return related(request, "Messages of this member", "messaging.message", search)
