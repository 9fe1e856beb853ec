"""Counts each REST operation against a rate limit (contract §4).

A view runs after ninja has validated the request, so 429 comes after 422 and before 404
(contract §2).
"""

import functools
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest

from accounts import api as accounts_api
from accounts.auth import network_of, request_address
from accounts.kernel.rate_limits import consume_in_process, consume_locally
from messaging import api as messaging_api
from messaging import changes_api
from messaging.attachments import api as attachments_api
from rooms import api as rooms_api

View = Callable[..., Any]

# Counted in their services, because sockets use them too or they hash a password.
COUNTED_BY_SERVICES: frozenset[View] = frozenset(
    {
        accounts_api.register,
        accounts_api.login,
        rooms_api.create_room,
        rooms_api.create_room_with_members,
        messaging_api.send_to_room,
        messaging_api.send_message,
        messaging_api.send_message_alias,
        changes_api.edit_message,
        changes_api.delete_message,
        changes_api.add_reaction,
        changes_api.remove_reaction,
        attachments_api.upload_attachment,
        changes_api.pin_message,
        changes_api.unpin_message,
    }
)
# Each makes every process reload who may read the room.
MEMBERSHIPS: frozenset[View] = frozenset(
    {
        rooms_api.join_room,
        rooms_api.leave_room,
        rooms_api.add_members,
        rooms_api.change_role,
        rooms_api.remove_member,
    }
)


def count_requests(view: View) -> View:
    """Decorates a view to count its requests before it runs.

    Operations without authentication, or with a token in the body, count per address. Reads count
    in this process only: sharing them through Redis would cost more than the reads.
    """
    if view in COUNTED_BY_SERVICES:
        return view

    @functools.wraps(view)
    def counted(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        caller = getattr(request, "auth", None)
        if caller is None:
            consume_locally("CHAT_REFRESH_RATE", network_of(request_address(request)))
        elif request.method == "GET":
            consume_in_process("CHAT_READ_RATE", caller.user_id)
        else:
            rate = "CHAT_JOIN_RATE" if view in MEMBERSHIPS else "CHAT_WRITE_RATE"
            consume_locally(rate, caller.user_id)
        return view(request, *args, **kwargs)

    return counted
