"""Serves one Ninja operation per request: one ORM query, no sign-in, no rules."""

from datetime import datetime
from typing import Any

from django.contrib.auth.hashers import check_password
from django.db.models import F
from django.http import HttpRequest
from django.urls import path
from ninja import NinjaAPI, Schema, Status

from .models import Message, Post, Room, User

api = NinjaAPI(docs_url=None, openapi_url=None)


class MessageOut(Schema):
    id: int
    seq: int
    version: int
    room_id: int
    sender: int
    username: str
    content: str
    created_at: datetime
    edited_at: datetime | None
    deleted: bool
    reply_to: int | None
    client_id: str | None
    reactions: list[Any]

    @staticmethod
    def resolve_sender(row: Any) -> Any:
        return row.sender_id

    @staticmethod
    def resolve_username(row: Any) -> Any:
        return row.sender.username


class RoomOut(Schema):
    id: int
    name: str | None
    kind: str
    title: str
    topic: str
    created_by: int | None
    created_at: datetime
    member_count: int
    last_seq: int
    version: int
    role: str
    last_read_seq: int
    unread: int
    muted: bool

    @staticmethod
    def resolve_created_by(row: Any) -> Any:
        return row.created_by_id


class PostIn(Schema):
    content: str


class PostOut(Schema):
    id: int
    room_id: int
    sender_id: int
    content: str
    created_at: datetime


class LoginIn(Schema):
    username: str
    password: str


class UserOut(Schema):
    id: int
    username: str
    email: str


@api.get("/empty")
def empty(request: HttpRequest) -> dict[str, str]:
    return {"status": "ok"}


@api.get("/rooms/{room_id}/messages", response=list[MessageOut])
def history(request: HttpRequest, room_id: int, before: int, limit: int) -> list[Message]:
    rows = Message.objects.select_related("sender").filter(room_id=room_id, seq__lt=before)
    return list(rows.order_by("-seq")[:limit])


@api.get("/rooms/of/{user_id}", response=list[RoomOut])
def rooms(request: HttpRequest, user_id: int, limit: int) -> list[Room]:
    found = Room.objects.filter(member__user_id=user_id).annotate(
        role=F("member__role"),
        last_read_seq=F("member__last_read_seq"),
        unread=F("last_seq") - F("member__last_read_seq"),
        muted=F("member__muted"),
    )
    return list(found.order_by("-active_at", "-pk")[:limit])


@api.post("/rooms/{room_id}/messages", response={201: PostOut})
def send(request: HttpRequest, room_id: int, body: PostIn) -> Status[Post]:
    return Status(201, Post.objects.create(room_id=room_id, sender_id=1, content=body.content))


@api.post("/login", response=UserOut)
def login(request: HttpRequest, body: LoginIn) -> Status[User]:
    user = User.objects.get(username_key=body.username)
    return Status(200 if check_password(body.password, user.password) else 401, user)


@api.get("/users", response=list[UserOut])
def users(request: HttpRequest, q: str, limit: int) -> list[User]:
    found = User.objects.filter(username_key__gte=q, username_key__lt=q + "\U0010ffff")
    return list(found.order_by("username_key")[:limit])


urlpatterns = [path("api/", api.urls)]
