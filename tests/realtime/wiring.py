"""Builds parts of `realtime` for tests, as `Runtime` builds them for a process."""

from collections.abc import Mapping

from realtime.cluster.leases import Leases
from realtime.cluster.redis_client import RedisClients
from realtime.db_threads import DatabaseThreads
from realtime.delivery.events_socket import EventsSocket
from realtime.delivery.events_subscriptions import EventsSubscriptions
from realtime.delivery.hub import Hub
from realtime.delivery.local_room import LocalRoom
from realtime.delivery.local_state import LocalState
from realtime.delivery.membership_watch import MembershipWatch
from realtime.delivery.recovery import Recovery
from realtime.delivery.replay_cache import ReplayCache
from realtime.delivery.replay_turns import ReplayTurns
from realtime.delivery.revocation import Revocation
from realtime.delivery.send_queue import SendQueue
from realtime.delivery.subscriber import Subscriber
from realtime.servers.interface import Connection

state = LocalState()
"""Shared by all parts that these functions build."""
database = DatabaseThreads("test-database", threads=2, max_queued=1000)


class Observer:
    """A HubObserver that records its calls."""

    def __init__(self) -> None:
        self.opened: list[LocalRoom] = []
        self.closed: list[LocalRoom] = []
        self.to_repair: list[LocalRoom] = []
        self.left: list[tuple[LocalRoom, Subscriber]] = []

    def room_opened(self, room: LocalRoom) -> None:
        self.opened.append(room)

    def room_closed(self, room: LocalRoom) -> None:
        self.closed.append(room)

    def repair_needed(self, room: LocalRoom) -> None:
        self.to_repair.append(room)

    def user_left(self, room: LocalRoom, subscriber: Subscriber) -> None:
        self.left.append((room, subscriber))

    def events_socket_opened(self, socket: EventsSocket) -> None:
        """Ignored."""

    def events_socket_closed(self, socket: EventsSocket) -> None:
        """Ignored."""


class Holder:
    """A LeaseHolder without leases."""

    def held_counts(self) -> Mapping[str, int]:
        return {}

    def held_users(self) -> Mapping[int, Mapping[int, str]]:
        return {}

    def user_expired(self, room_id: int, username: str, online_total: int) -> None:
        """Ignored."""

    def user_restored(self, room_id: int, username: str, online_total: int) -> None:
        """Ignored."""


def local_room(room_id: int = 1, version: int = 0, access_epoch: int = 0) -> LocalRoom:
    return LocalRoom(room_id, version, access_epoch, state)


def send_queue(connection: Connection) -> SendQueue:
    return SendQueue(connection, state)


def make_hub(observer: Observer | None = None) -> Hub:
    return Hub(state, observer or Observer())


def make_revocation(hub: Hub) -> Revocation:
    return Revocation(hub, Observer())


def make_recovery() -> Recovery:
    return Recovery(ReplayCache(database), ReplayTurns(), database)


def local_leases() -> Leases:
    """Leases without Redis: inactive."""
    return Leases(RedisClients(), Holder())


def make_watch(hub: Hub) -> MembershipWatch:
    return MembershipWatch(hub, EventsSubscriptions(hub, make_recovery()), database)
