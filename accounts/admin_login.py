"""Limits logins to the admin like logins to the API."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from typing_extensions import override

from .auth import network_of, request_address
from .hashing import slot
from .kernel.errors import Busy, RateLimited
from .login import consume_login_rate
from .models import User
from .selectors import login_key


class LimitedBackend(ModelBackend):
    """Counts admin logins, so that passwords of staff cannot be guessed."""

    @override
    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **others: Any,
    ) -> User | None:
        network = network_of(request_address(request)) if request is not None else None
        try:
            consume_login_rate(network, login_key(username or ""))
            with slot():
                return super().authenticate(request, username, password, **others)
        except (RateLimited, Busy) as error:
            raise PermissionDenied from error
