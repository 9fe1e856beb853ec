"""Who is here now: in this process by its own sockets, over all processes by their leases.

A user comes with their first socket in a room and goes with the last one, whichever processes these
are on. While Redis is away, and for good without it, each process knows its own sockets only. A
departure that Redis did not answer for is told a little later: it may have paused for a moment, and
nobody shall be said to have left who is still here on another process.
"""

import asyncio
from collections.abc import Collection, Mapping
from concurrent.futures import TimeoutError as TooLate
from itertools import islice
from typing import Any, NamedTuple

from django.conf import settings

from accounts.kernel.metrics import count_refusal
from accounts.kernel.rate_limits import Rate, buckets
from realtime.delivery.hub import Hub
from realtime.delivery.local_room import LocalRoom
from realtime.delivery.subscriber import Subscriber
from realtime.protocol import Exited, Joined, encode

from .broadcaster import Broadcaster
from .lease_scripts import MAX_NAMED
from .leases import Leases, answered
from .redis_client import ANSWER_TIMEOUT, Answer

EXIT_CONFIRMATION_DELAY = 3.0
"""Seconds in which every process finds a Redis that is back and tells it whom it holds."""
MAX_EXIT_DELAY = 30.0
"""Seconds that an `exit` waits at most when its user comes and goes too often."""


class Arrival(NamedTuple):
    """The room as a newcomer finds it. `first`: they had no socket there before."""

    first: bool
    people: int
    names: list[str]


class Presence:
    def __init__(self, hub: Hub, fanout: Broadcaster, leases: Leases) -> None:
        self._hub = hub
        self._fanout = fanout
        self._leases = leases
        self._loop: asyncio.AbstractEventLoop | None = None
        # Departures that nobody was told of yet, by room and user: at most one a socket that was
        # open here EXIT_CONFIRMATION_DELAY ago.
        self._unsure: dict[tuple[int, int], asyncio.TimerHandle] = {}
        leases.people = self._people
        leases.on_gone = self._publish_exit
        leases.on_back = self._publish_join
        hub.on_departure = self.departs

    def start(self) -> None:
        """On the loop of the sockets."""
        self._loop = asyncio.get_running_loop()

    async def arrives(self, here: LocalRoom, subscriber: Subscriber) -> Arrival:
        """Counts in a socket that was attached just now."""
        user_id, name = subscriber.caller.user_id, subscriber.caller.username
        never_gone = self._drop_unsure(here.id, user_id)
        first = here.users[user_id] == 1 and not never_gone
        # Whoever was first told the room, and whoever is last tells it, ready or not.
        subscriber.announced = not first
        found = None
        if self._leases.active:
            entered = self._leases.enter(here.id, user_id, name)
            # At once, before the answer to a departure can come: not when this goes on.
            entered.add_done_callback(lambda answer: _note_others(subscriber, answer.result()))
            found = await answered(entered)
        if found is None:
            return Arrival(first, len(here.users), list(islice(here.names.values(), MAX_NAMED)))
        is_first, here.online_total, names = found
        return Arrival(bool(is_first) and not never_gone, here.online_total, names)

    def announce(self, here: LocalRoom, subscriber: Subscriber) -> None:
        """Tells the room of a user's first socket, the joiner too."""
        here.note_sent("join", subscriber.caller.user_id)
        text = encode(Joined(username=subscriber.caller.username))
        if here.announces:
            self._fanout.say(here.id, text)
        else:
            subscriber.say(text)

    def departs(self, here: LocalRoom, subscriber: Subscriber) -> None:
        """Counts out a user's last socket here; the room is told when it was the last anywhere."""
        if not self._leases.active:
            # Not ready any more when the whole process goes down.
            if subscriber.ready:
                self._exit(here, subscriber, len(here.users))
            return
        left = self._leases.leave(here.id, subscriber.caller.user_id)
        left.add_done_callback(lambda answer: self._left(here, subscriber, answer.result()))

    def _left(self, here: LocalRoom, subscriber: Subscriber, answer: list[int] | None) -> None:
        last, here.online_total = answer or (0, len(here.users))
        if not subscriber.announced:
            return
        if last:
            self._exit(here, subscriber, here.online_total)
        elif answer is None:
            self._ask_later(here, subscriber, EXIT_CONFIRMATION_DELAY)

    def _exit(self, here: LocalRoom, subscriber: Subscriber, left: int) -> None:
        """Tells the room at once, or later when this user comes and goes in a loop.

        A user who returns before that is told of neither way: the room never saw them leave. So the
        announcements of `join` are bounded as well, for each but the first follows an `exit`.
        """
        wait = _spend_exit(here.id, subscriber.caller.user_id)
        if wait > 0:
            self._ask_later(here, subscriber, min(wait, MAX_EXIT_DELAY))
        else:
            self._publish_exit(here.id, subscriber.caller.username, left)

    def _ask_later(self, here: LocalRoom, subscriber: Subscriber, delay: float) -> None:
        user_id = subscriber.caller.user_id
        self._drop_unsure(here.id, user_id)  # they left before, and came and left again
        asking = asyncio.get_running_loop().call_later(delay, self._ask, here, subscriber)
        self._unsure[here.id, user_id] = asking

    def _ask(self, here: LocalRoom, subscriber: Subscriber) -> None:
        """Whether they are held elsewhere, unless they came back here before we knew."""
        user_id, name = subscriber.caller.user_id, subscriber.caller.username
        del self._unsure[here.id, user_id]
        now = self._hub.rooms.get(here.id)
        if now is not None and user_id in now.users:
            return
        _spend_exit(here.id, user_id)
        if not self._leases.active:
            self._publish_exit(here.id, name, len(now.users) if now is not None else 0)
            return

        def tell(answer: Answer) -> None:
            # While Redis is still away each process tells those here.
            if answer.result() in {None, 1}:
                self._publish_exit(here.id, name, len(here.users))

        self._leases.may_publish_exit(here.id, user_id).add_done_callback(tell)

    def _drop_unsure(self, room_id: int, user_id: int) -> bool:
        """Asks no more after a departure; True when they left a moment ago and nobody was told."""
        asking = self._unsure.pop((room_id, user_id), None)
        if asking is not None:
            asking.cancel()
        return asking is not None

    def _publish_join(self, room_id: int, username: str, people: int) -> None:
        self._tell(room_id, Joined(username=username), people)

    def _publish_exit(self, room_id: int, username: str, left: int) -> None:
        self._tell(room_id, Exited(username=username), left)

    def _tell(self, room_id: int, what: Joined | Exited, people: int) -> None:
        most: int | None = settings.CHAT_PRESENCE_MAX_USERS
        if most is None or people <= most:
            self._fanout.say(room_id, encode(what))

    def online(self, room_id: int, user_ids: Collection[int]) -> set[int]:
        """Which of these users have a socket in the room. For threads, not for the loop."""
        here = self._hub.rooms.get(room_id)
        found = {one for one in user_ids if one in here.users} if here else set()
        missing = set(user_ids) - found
        if not self._leases.active or self._loop is None or not missing:
            return found
        asked = asyncio.run_coroutine_threadsafe(self._leases.online(room_id, missing), self._loop)
        try:
            return found | asked.result(ANSWER_TIMEOUT * 2)
        except TooLate:
            return found

    def _people(self) -> Mapping[int, Mapping[int, str]]:
        """Usernames by room and user id: who is here by sockets of this process."""
        return {here.id: here.names for here in self._hub.rooms.values()}


def _spend_exit(room_id: int, user_id: int) -> float:
    """Returns the seconds until one more `exit` of this user may be announced in this room."""
    rate: Rate | None = settings.CHAT_PRESENCE_RATE
    if rate is None:
        return 0.0
    wait = buckets.consume("CHAT_PRESENCE_RATE", (room_id, user_id), rate)
    if wait > 0:
        count_refusal("CHAT_PRESENCE_RATE")
    return wait


def _note_others(subscriber: Subscriber, answer: list[Any] | None) -> None:
    if answer is not None and not answer[0]:
        subscriber.announced = True
