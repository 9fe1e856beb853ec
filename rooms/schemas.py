"""Defines the schemas of rooms, without Django: frames contain RoomOut, too."""

from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, StringConstraints

from accounts.kernel.display_text import display_text
from accounts.kernel.fields import Answer, Body, Name, NameInPath, Text, Timestamp, UserRef, example

Title = Annotated[
    Text,
    StringConstraints(max_length=200, strip_whitespace=True),
    AfterValidator(display_text(200)),
]
Topic = Annotated[
    Text,
    StringConstraints(max_length=1000, strip_whitespace=True),
    AfterValidator(display_text(1000, lines=True)),
]
KindName = Literal["public", "group", "private"]
NamedKind = Literal["public", "group"]
RoleName = Literal["owner", "admin", "member"]
UserRefs = Annotated[list[UserRef], Field(max_length=1000)]


class RoomIn(Body):
    model_config = example({"name": "sports", "kind": "public", "title": "All about sports"})
    name: Name
    kind: Annotated[NamedKind, Field(description="public by default")] = "public"
    title: Annotated[Title, Field(description="Empty by default; may change")] = ""
    topic: Annotated[Topic, Field(description="Empty by default; may change")] = ""
    members: Annotated[UserRefs, Field(description="Usernames or ids, besides the caller")] = []


class RoomWithMembersIn(Body):
    model_config = example({"name": "friends", "members": ["ila", "kaushal"]})
    name: Name
    members: Annotated[list[NameInPath], Field(max_length=1000)]


class RoomChangeIn(Body):
    model_config = example({"title": "Friends", "topic": "Where do we go on Saturday?"})
    title: Title | None = None
    topic: Topic | None = None


class MembersIn(Body):
    model_config = example({"members": ["kaushal", 3]})
    members: UserRefs


class RoleIn(Body):
    model_config = example({"role": "admin"})
    role: RoleName


ROOM_EXAMPLE = {
    "id": 1,
    "name": "sports",
    "kind": "public",
    "title": "All about sports",
    "topic": "",
    "created_by": 1,
    "created_at": "2026-01-31T18:20:05.123Z",
    "member_count": 2,
    "last_seq": 12,
    "version": 14,
}
GROUP_EXAMPLE = ROOM_EXAMPLE | {"id": 2, "name": "friends", "kind": "group", "title": ""}
MEMBERS_EXAMPLE = ["ila", "kaushal"]
PRIVATE_ROOM_EXAMPLE = ROOM_EXAMPLE | {
    "id": 3,
    "name": None,
    "kind": "private",
    "title": "",
    "members": MEMBERS_EXAMPLE,
}


class RoomOut(Answer):
    """A room, for every user who may see it.

    Only a private room has `members`, the pair.
    """

    model_config = example(ROOM_EXAMPLE)
    id: int
    name: str | None
    kind: KindName
    title: str
    topic: str
    created_by: int | None = Field(validation_alias=AliasChoices("created_by_id", "created_by"))
    created_at: Timestamp
    member_count: int
    last_seq: int
    version: int
    members: list[str] | None = Field(
        None,
        validation_alias=AliasChoices("pair_names", "members"),
        exclude_if=lambda names: names is None,
    )


class PrivateRoomOut(RoomOut):
    """A private room: no name, and `members` are the two usernames."""

    model_config = example(PRIVATE_ROOM_EXAMPLE)
    members: list[str] = Field(validation_alias="pair_names")


class RoomWithMembersOut(RoomOut):
    """A new group room; `members` are all usernames."""

    model_config = example(
        GROUP_EXAMPLE | {"last_seq": 0, "version": 0, "members": MEMBERS_EXAMPLE}
    )
    members: list[str] = Field()


class MemberOut(Answer):
    model_config = example(
        {
            "id": 2,
            "username": "kaushal",
            "role": "admin",
            "online": False,
            "last_seen": "2026-01-31T19:02:41.007Z",
            "joined_at": "2026-01-31T18:21:00.000Z",
        }
    )
    id: int
    username: str
    role: RoleName
    online: bool
    last_seen: Timestamp | None
    joined_at: Timestamp


class ReceiptOut(Answer):
    """How far a member has read, and how far a client of theirs has received."""

    model_config = example(
        {"user_id": 2, "username": "kaushal", "read_seq": 11, "delivered_seq": 12}
    )
    user_id: int
    username: str
    read_seq: int
    delivered_seq: int


class AddedOut(Answer):
    model_config = example(
        {"room": GROUP_EXAMPLE, "added_members": ["kaushal"], "all_members": MEMBERS_EXAMPLE}
    )
    room: RoomOut
    added_members: list[str]
    all_members: list[str]


class RemovedOut(Answer):
    model_config = example({"version": 14})
    version: int
