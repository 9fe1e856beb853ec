"""Rooms over HTTP (contract §2). `/my-rooms` needs messages and stands in `messaging/api.py`."""

from typing import Annotated, Any

from django.http import HttpResponse
from ninja import Path, Query, Router, Status

from accounts.auth import Bearer, Request
from accounts.pagination import Cursor, Limit, keyset_page, write_links
from accounts.schemas import NameInPath, PathId, SearchText, answers
from accounts.selectors import find_user

from . import selectors, services
from .models import Member, Role, Room
from .presence import online_in
from .schemas import (
    AddedOut,
    KindName,
    MemberOut,
    MembersIn,
    RemovedOut,
    RoleIn,
    RoomChangeIn,
    RoomIn,
    RoomOut,
    RoomWithMembersIn,
    RoomWithMembersOut,
)

router = Router(tags=["Rooms"], auth=Bearer())

RoomId = Annotated[PathId, Path()]
Username = Annotated[NameInPath, Path()]


@router.get("/rooms", response=answers({200: list[RoomOut]}, 401, 422))
def list_rooms(
    request: Request,
    response: HttpResponse,
    q: Annotated[SearchText, Query("", description="Start of a name or title")] = "",
    kind: Annotated[KindName | None, Query(None)] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> list[Room]:
    """All public rooms and the caller's own."""
    rooms = Room.objects.select_related("low", "high")
    walks = selectors.find_rooms(request.auth.user_id, text=q, kind=kind)
    page = keyset_page(rooms, ["pk"], cursor=cursor, limit=limit, walks=walks)
    write_links(request, response, page.links)
    return page


@router.post("/rooms", response=answers({201: RoomOut}, 400, 401, 409, 422, 429))
def create_room(request: Request, body: RoomIn) -> Status[Room]:
    """Make a public or group room. The caller owns it."""
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
    """Make a group room with members. With an unknown name nothing is made."""
    room = services.create_room(
        user_id=request.auth.user_id, name=body.name, kind="group", members=body.members
    )
    answer = RoomWithMembersOut.model_validate(room)
    answer.members = selectors.member_names(room)
    return Status(201, answer)


@router.get("/rooms/{room_id}", response=answers({200: RoomOut}, 401, 404, 422))
def read_room(request: Request, room_id: RoomId) -> Room:
    """One room that the caller may see."""
    return selectors.standing(request.auth.user_id, room_id).room


@router.patch("/rooms/{room_id}", response=answers({200: RoomOut}, 400, 401, 403, 404, 422))
def change_room(request: Request, room_id: RoomId, body: RoomChangeIn) -> Room:
    """Change title or topic, as an owner or admin."""
    return services.change_room(
        user_id=request.auth.user_id, room_id=room_id, title=body.title, topic=body.topic
    )


@router.delete("/rooms/{room_id}", response=answers({204: None}, 401, 403, 404, 422))
def delete_room(request: Request, room_id: RoomId) -> Status[None]:
    """Delete a room, as its owner. Open sockets close with 4404."""
    services.delete_room(user_id=request.auth.user_id, room_id=room_id)
    return Status(204, None)


@router.post("/rooms/{room_id}/join", response=answers({200: RoomOut}, 401, 403, 404, 422))
def join_room(request: Request, room_id: RoomId) -> Room:
    """Become a member of a public room."""
    return services.join_room(user_id=request.auth.user_id, room_id=room_id)


@router.post("/rooms/{room_id}/leave", response=answers({204: None}, 401, 403, 404, 409, 422))
def leave_room(request: Request, room_id: RoomId) -> Status[None]:
    """Leave a public or group room; the caller's sockets there close with 1000."""
    services.leave_room(user_id=request.auth.user_id, room_id=room_id)
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
    """Who belongs to the room, in the order of joining, and who is there now."""
    here = selectors.standing(request.auth.user_id, room_id)
    here.check_may_read()
    page = keyset_page(selectors.members_of(here.room), ["pk"], cursor=cursor, limit=limit)
    write_links(request, response, page.links)
    online = online_in(room_id, [member.user_id for member in page])
    return [_member_out(member, online=member.user_id in online) for member in page]


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
    """Add people by username or id, as an owner or admin."""
    room, added, everyone = services.add_members(
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
    """Make a member an owner, an admin or a plain member, as an owner."""
    member = services.change_role(
        user_id=request.auth.user_id, room_id=room_id, username=username, role=Role(body.role)
    )
    online = online_in(room_id, [member.user_id])
    return _member_out(member, online=member.user_id in online)


@router.delete(
    "/rooms/{room_id}/members/{username}",
    response=answers({200: RemovedOut}, 401, 403, 404, 422),
)
def remove_member(request: Request, room_id: RoomId, username: Username) -> dict[str, int]:
    """Remove somebody. Nothing of the room later than `version` reaches them.

    From a public room anybody, also one who has left or never joined: they are banned from it.
    """
    version = services.remove_member(
        user_id=request.auth.user_id, room_id=room_id, username=username
    )
    return {"version": version}


@router.post("/private/{username}", response=answers({200: RoomOut}, 401, 403, 404, 422, 429))
def open_private_room(request: Request, username: Username) -> Room:
    """The caller's private room with somebody, made when missing."""
    return services.open_private_room(user_id=request.auth.user_id, other=find_user(username))
