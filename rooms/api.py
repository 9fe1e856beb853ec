"""Serves rooms over HTTP (contract §2).

`/my-rooms` needs messages: see `messaging/api.py`.
"""

from typing import Annotated, Any

from django.http import HttpResponse
from ninja import Path, Query, Router, Status

from accounts.auth import Bearer, Request
from accounts.kernel.errors import Forbidden, NoSuchUser, Refusals
from accounts.kernel.fields import NameInPath, PathId, SearchText, answers
from accounts.kernel.pagination import Cursor, Limit, keyset_page, write_links
from accounts.selectors import find_user

from . import membership, selectors, services
from .errors import (
    REMOVED,
    LastOwner,
    NoSuchMember,
    NoSuchRoom,
    NotAMember,
    RoomExists,
    RoomTooLarge,
    unknown_users,
)
from .models import Member, Role, Room
from .online_lookup import online_in
from .receipt_list import receipts_in
from .room_search import search_rooms
from .schemas import (
    AddedOut,
    KindName,
    MemberOut,
    MembersIn,
    PrivateRoomOut,
    ReceiptOut,
    RemovedOut,
    RoleIn,
    RoomChangeIn,
    RoomIn,
    RoomOut,
    RoomWithMembersIn,
    RoomWithMembersOut,
)

router = Router(tags=["Rooms"], auth=Bearer())

RoomId = Annotated[PathId, Path(example=1, description="`id` of a room")]
Username = Annotated[NameInPath, Path(example="kaushal", description="Username of the other user")]


@router.get("/rooms", response=answers({200: list[RoomOut]}, 401, 422))
def list_rooms(
    request: Request,
    response: HttpResponse,
    q: Annotated[SearchText, Query("", description="Start of a name or title")] = "",
    kind: Annotated[KindName | None, Query(None, description="Only this kind")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> list[Room]:
    """List all public rooms and your own.

    `q` keeps those whose name or title starts with it, in the order of that name or title. Your own
    rooms with unread counts are at `/api/my-rooms`.
    """
    user_id = request.auth.user_id
    if q:
        page = search_rooms(user_id, q, kind=kind, cursor=cursor, limit=limit)
    else:
        rooms = Room.objects.select_related("low", "high")
        walks = selectors.listed_rooms(user_id, kind=kind)
        page = keyset_page(rooms, ["pk"], cursor=cursor, limit=limit, walks=walks)
    write_links(request, response, page.links)
    return page


@router.post("/rooms", response=answers({201: RoomOut}, 400, 401, 409, 422, 429))
def create_room(request: Request, body: RoomIn) -> Status[Room]:
    """Create a public or a group room.

    You become its owner. Everyone may read and join a public room; only members see a group.
    The name never changes, because it is part of URLs; the title may change.
    """
    room = services.create_room(
        user_id=request.auth.user_id,
        name=body.name,
        kind=body.kind,
        title=body.title,
        topic=body.topic,
        members=body.members,
    )
    return Status(201, room)


@router.post(
    "/rooms/with-members", response=answers({201: RoomWithMembersOut}, 400, 401, 409, 422, 429)
)
def create_room_with_members(
    request: Request, body: RoomWithMembersIn
) -> Status[RoomWithMembersOut]:
    """Create a group room with its members.

    You become its owner and need not name yourself. With an unknown name nothing is created.
    """
    room = services.create_room(
        user_id=request.auth.user_id, name=body.name, kind="group", members=body.members
    )
    shown = RoomOut.model_validate(room).model_dump()
    answer = RoomWithMembersOut(**shown | {"members": selectors.member_names(room)})
    return Status(201, answer)


@router.get("/rooms/{room_id}", response=answers({200: RoomOut}, 401, 404, 422))
def read_room(request: Request, room_id: RoomId) -> Room:
    """Read one room.

    A room that you may not see answers 404, like a room that does not exist.
    """
    return selectors.room_access(request.auth.user_id, room_id).room


@router.patch("/rooms/{room_id}", response=answers({200: RoomOut}, 400, 401, 403, 404, 422))
def change_room(request: Request, room_id: RoomId, body: RoomChangeIn) -> Room:
    """Change the title or the topic of a room.

    For owners and admins. Omitted members stay unchanged.
    """
    return services.change_room(
        user_id=request.auth.user_id, room_id=room_id, title=body.title, topic=body.topic
    )


@router.delete("/rooms/{room_id}", response=answers({204: None}, 401, 403, 404, 422))
def delete_room(request: Request, room_id: RoomId) -> Status[None]:
    """Delete a room.

    For owners. Its messages can no longer be read, and open sockets close with 4404.
    """
    services.delete_room(user_id=request.auth.user_id, room_id=room_id)
    return Status(204, None)


@router.post("/rooms/{room_id}/join", response=answers({200: RoomOut}, 401, 403, 404, 422))
def join_room(request: Request, room_id: RoomId) -> Room:
    """Join a public room.

    Members find the room in `/api/my-rooms`. Sending a message joins, too.
    """
    return membership.join_room(user_id=request.auth.user_id, room_id=room_id)


@router.post("/rooms/{room_id}/leave", response=answers({204: None}, 401, 403, 404, 409, 422))
def leave_room(request: Request, room_id: RoomId) -> Status[None]:
    """Leave a public or a group room.

    Your open sockets there close with 1000. The last owner of a group first makes another
    member owner, or deletes the room.
    """
    membership.leave_room(user_id=request.auth.user_id, room_id=room_id)
    return Status(204, None)


@router.get(
    "/rooms/{room_id}/members", response=answers({200: list[MemberOut]}, 401, 403, 404, 422)
)
def list_members(
    request: Request,
    response: HttpResponse,
    room_id: RoomId,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> list[dict[str, Any]]:
    """List the members of a room in the order of joining.

    `online` is true for members with an open socket in this room or on `/ws/events/`.
    """
    access = selectors.room_access(request.auth.user_id, room_id)
    access.check_may_read()
    page = keyset_page(selectors.members_of(access.room), ["pk"], cursor=cursor, limit=limit)
    write_links(request, response, page.links)
    online = online_in(room_id, [member.user_id for member in page])
    return [_member_out(member, online=member.user_id in online) for member in page]


@router.get(
    "/rooms/{room_id}/receipts",
    response=answers({200: list[ReceiptOut]}, 401, 403, 404, 409, 422),
)
def list_receipts(request: Request, room_id: RoomId) -> list[dict[str, Any]]:
    """List how far the members of a room have read and received.

    For members of rooms of at most 100 members. Users who do not share receipts are not listed, and
    get an empty list.
    """
    return receipts_in(selectors.room_access(request.auth.user_id, room_id))


def _member_out(member: Member, *, online: bool) -> dict[str, Any]:
    return {
        "id": member.user_id,
        "username": member.user.username,
        "role": member.role,
        "online": online,
        "last_seen": member.user.last_seen,
        "joined_at": member.joined_at,
    }


@router.post(
    "/rooms/{room_id}/add-members",
    response=answers({200: AddedOut}, 400, 401, 403, 404, 422),
)
def add_members(request: Request, room_id: RoomId, body: MembersIn) -> dict[str, Any]:
    """Add members to a room.

    For owners and admins. A string is a username, an integer an id. With an unknown user no member
    is added. Adding a banned user lifts the ban.
    """
    room, added, everyone = membership.add_members(
        user_id=request.auth.user_id, room_id=room_id, people=body.members
    )
    return {"room": room, "added_members": added, "all_members": everyone}


@router.patch(
    "/rooms/{room_id}/members/{username}",
    response=answers({200: MemberOut}, 400, 401, 403, 404, 409, 422),
)
def change_role(
    request: Request, room_id: RoomId, username: Username, body: RoleIn
) -> dict[str, Any]:
    """Change the role of a member.

    For owners. A group always keeps one owner.
    """
    member = membership.change_role(
        user_id=request.auth.user_id, room_id=room_id, username=username, role=Role(body.role)
    )
    online = online_in(room_id, [member.user_id])
    return _member_out(member, online=member.user_id in online)


@router.delete(
    "/rooms/{room_id}/members/{username}",
    response=answers({200: RemovedOut}, 401, 403, 404, 422),
)
def remove_member(request: Request, room_id: RoomId, username: Username) -> dict[str, int]:
    """Remove a member from a room.

    For owners and admins. No change of the room after `version` reaches the removed user. From a
    public room any user can be removed, member or not: the removal is also a ban.
    """
    version = membership.remove_member(
        user_id=request.auth.user_id, room_id=room_id, username=username
    )
    return {"version": version}


@router.post(
    "/private/{username}", response=answers({200: PrivateRoomOut}, 401, 403, 404, 422, 429)
)
def open_private_room(request: Request, username: Username) -> Room:
    """Open the private room with another user.

    The room is created if missing, so this is safe to repeat. Its messages are at
    `/api/rooms/{room_id}/messages`.
    """
    return services.open_private_room(user_id=request.auth.user_id, other=find_user(username))


UNKNOWN_USERS = unknown_users(["nobody"])
REFUSALS: Refusals = {
    create_room: [RoomExists(), UNKNOWN_USERS],
    create_room_with_members: [RoomExists(), UNKNOWN_USERS],
    read_room: [NoSuchRoom()],
    change_room: [NoSuchRoom(), Forbidden()],
    delete_room: [NoSuchRoom(), Forbidden("Only an owner may delete a room")],
    join_room: [NoSuchRoom(), Forbidden(REMOVED)],
    leave_room: [
        NoSuchRoom(),
        NotAMember(),
        Forbidden("A private room cannot be left"),
        LastOwner(),
    ],
    list_members: [NoSuchRoom(), Forbidden(REMOVED)],
    list_receipts: [NoSuchRoom(), NotAMember(), Forbidden(REMOVED), RoomTooLarge()],
    add_members: [NoSuchRoom(), Forbidden(), UNKNOWN_USERS],
    change_role: [
        NoSuchRoom(),
        NoSuchMember(),
        Forbidden("Only an owner may change roles"),
        LastOwner(),
    ],
    remove_member: [
        NoSuchRoom(),
        NoSuchMember(),
        Forbidden("Only an owner may remove owners and admins"),
    ],
    open_private_room: [NoSuchUser(), Forbidden("You cannot open a private room with yourself")],
}
