"""Signing in to the admin: the same limits as signing in to the API."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from .auth import request_address
from .errors import Busy, RateLimited
from .hashing import slot
from .models import User
from .names import name_key
from .rates import spend


class LimitedBackend(ModelBackend):
    """Without it the passwords of staff could be guessed as fast as they can be hashed."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **others: Any,
    ) -> User | None:
        address = request_address(request) if request is not None else None
        try:
            spend("CHAT_LOGIN_RATE", address)
            spend("CHAT_LOGIN_NAME_RATE", (address, name_key(username or "")))
            with slot():
                return super().authenticate(request, username, password, **others)
        except (RateLimited, Busy) as error:
            raise PermissionDenied from error
