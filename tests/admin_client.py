"""Drives the admin pages as a member of staff."""

from typing import Any

from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client

from accounts.models import User

from .factories import make_user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def staff(*permissions: str) -> Client:
    """Returns a client with permissions: `staff("view_room", "delete_room")`."""
    user = make_user(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return signed_in(user)


def chosen(action: str, *rows: Model | int, confirmed: bool = True) -> dict[str, Any]:
    """Returns the form of an admin action on rows of a list."""
    ids = [row.pk if isinstance(row, Model) else row for row in rows]
    return {"action": action, "_selected_action": ids} | ({"post": "yes"} if confirmed else {})


def notices(answer: object) -> list[str]:
    """Returns the messages that the next page shows, oldest first."""
    assert isinstance(answer, HttpResponse)
    return [str(message) for message in get_messages(answer.wsgi_request)]  # type: ignore[attr-defined]
