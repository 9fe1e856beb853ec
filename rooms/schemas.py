"""Shapes of the rooms API. Imports no Django: frames carry RoomOut too."""

from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, StringConstraints

from accounts.display_text import display_text
from accounts.schemas import Answer, Body, Name, NameInPath, Text, Timestamp, Who, example

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
People = Annotated[list[Who], Field(max_length=1000)]


class RoomIn(Body):
    model_config = example({"name": "sports", "kind": "public", "title": "All about sports"})
    name: Name
    kind: NamedKind = "public"
    title: Title = ""
    topic: Topic = ""
    members: People = []


class RoomWithMembersIn(Body):
    model_config = example({"name": "friends", "members": ["ila", "kaushal"]})
    name: Name
    members: Annotated[list[NameInPath], Field(max_length=1000)]


class RoomChangeIn(Body):
    model_config = example({"title": "Friends", "topic": "Where do we go on Saturday?"})
    title: Title | None = None
    topic: Topic | None = None


class MembersIn(Body):
    model_config = example({"members": ["kaushal", 7]})
    members: People


class RoleIn(Body):
    model_config = example({"role": "admin"})
    role: RoleName


class RoomOut(Answer):
    """A room as anyone who may see it sees it; `members`, the pair, is on a private room only."""

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


class RoomWithMembersOut(RoomOut):
    """A group room as its maker sees it at first; `members` are the usernames of all."""


class MemberOut(Answer):
    id: int
    username: str
    role: RoleName
    online: bool
    last_seen: Timestamp | None
    joined_at: Timestamp


class AddedOut(Answer):
    room: RoomOut
    added_members: list[str]
    all_members: list[str]


class RemovedOut(Answer):
    version: int
