"""Who is here now: in this process by its own sockets, over all processes by their leases.

A user comes with their first socket in a room and goes with the last one, whichever processes these
are on. While Redis is away, and for good without it, each process knows its own sockets only.
"""

import asyncio
from collections.abc import Collection, Mapping
from concurrent.futures import TimeoutError as TooLate
from itertools import islice
from typing import Any, NamedTuple

from django.conf import settings

from .fanout import Fanout
from .hub import Hub
from .leases import MOST_NAMED, Leases, answered
from .listener import Listener
from .open_room import OpenRoom
from .protocol import Exited, Joined, encode
from .redis_hosts import ANSWER_WITHIN


class Arrival(NamedTuple):
    """The room as a newcomer finds it. `first`: they had no socket there before."""

    first: bool
    people: int
    names: list[str]


class Presence:
    def __init__(self, hub: Hub, fanout: Fanout, leases: Leases) -> None:
        self._hub = hub
        self._fanout = fanout
        self._leases = leases
        self._loop: asyncio.AbstractEventLoop | None = None
        leases.people = self._people
        leases.on_gone = self._tell_exit
        hub.on_departure = self.departs

    def start(self) -> None:
        """On the loop of the sockets."""
        self._loop = asyncio.get_running_loop()

    async def arrives(self, here: OpenRoom, listener: Listener) -> Arrival:
        """Counts in a socket that was attached just now."""
        user_id, name = listener.caller.user_id, listener.caller.username
        first = here.users[user_id] == 1
        # Whoever was first told the room, and whoever is last tells it, ready or not.
        listener.announced = not first
        found = None
        if self._leases.active:
            entered = self._leases.enter(here.id, user_id, name)
            # At once, before the answer to a departure can come: not when this goes on.
            entered.add_done_callback(lambda answer: _note_others(listener, answer.result()))
            found = await answered(entered)
        if found is None:
            return Arrival(first, len(here.users), list(islice(here.names.values(), MOST_NAMED)))
        is_first, here.crowd, names = found
        return Arrival(bool(is_first), here.crowd, names)

    def announce(self, here: OpenRoom, listener: Listener) -> None:
        """Tells the room of a user's first socket, the joiner too."""
        here.may_say("join", listener.caller.user_id, 0)
        text = encode(Joined(username=listener.caller.username))
        if here.announces:
            self._fanout.say(here.id, text)
        else:
            listener.say(text)

    def departs(self, here: OpenRoom, listener: Listener) -> None:
        """Counts out a user's last socket here; the room is told when it was the last anywhere."""
        if not self._leases.active:
            # Not ready any more when the whole process goes down.
            if listener.ready:
                self._tell_exit(here.id, listener.caller.username, len(here.users))
            return
        left = self._leases.leave(here.id, listener.caller.user_id)
        left.add_done_callback(lambda answer: self._left(here, listener, answer.result()))

    def _left(self, here: OpenRoom, listener: Listener, answer: list[int] | None) -> None:
        last, here.crowd = answer or (1, len(here.users))
        if last and listener.announced:
            self._tell_exit(here.id, listener.caller.username, here.crowd)

    def _tell_exit(self, room_id: int, username: str, left: int) -> None:
        most: int | None = settings.CHAT_ANNOUNCE_UP_TO
        if most is None or left <= most:
            self._fanout.say(room_id, encode(Exited(username=username)))

    def online(self, room_id: int, user_ids: Collection[int]) -> set[int]:
        """Which of these users have a socket in the room. For threads, not for the loop."""
        here = self._hub.rooms.get(room_id)
        found = {one for one in user_ids if one in here.users} if here else set()
        missing = set(user_ids) - found
        if not self._leases.active or self._loop is None or not missing:
            return found
        asked = asyncio.run_coroutine_threadsafe(self._leases.online(room_id, missing), self._loop)
        try:
            return found | asked.result(ANSWER_WITHIN * 2)
        except TooLate:
            return found

    def _people(self) -> Mapping[int, Mapping[int, str]]:
        """Usernames by room and user id: who is here by sockets of this process."""
        return {here.id: here.names for here in self._hub.rooms.values()}


def _note_others(listener: Listener, answer: list[Any] | None) -> None:
    if answer is not None and not answer[0]:
        listener.announced = True
