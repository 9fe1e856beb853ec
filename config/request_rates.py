"""How often operations of the REST API may be called: each counts against a rate (contract §4).

Ninja has validated the request when a view runs, so a refusal comes after 422 and before 404, as
contract §2 wants.
"""

import functools
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest

from accounts import api as accounts_api
from accounts.auth import network_of, request_address
from accounts.kernel.rate_limits import consume_in_process, consume_locally
from messaging import api as messaging_api
from rooms import api as rooms_api

View = Callable[..., Any]

# Their services count them, because sockets do the same or a password is hashed.
COUNTED_BY_SERVICES: frozenset[View] = frozenset(
    {
        accounts_api.register,
        accounts_api.login,
        rooms_api.create_room,
        rooms_api.create_room_with_members,
        messaging_api.send_to_room,
        messaging_api.send_message,
        messaging_api.send_message_alias,
        messaging_api.edit_message,
        messaging_api.delete_message,
        messaging_api.add_reaction,
        messaging_api.remove_reaction,
    }
)
# Each makes every process look up anew who may read the room.
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
    """Counts each request before the view runs; a decorator of ninja's for all operations.

    A token that is in the body or not needed proves no user, so those count by address. Reads count
    in this process alone: sharing them through Redis would cost more than they do.
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
