"""Builds and owns the objects of `realtime` in a process that serves sockets.

Every object gets its collaborators in its constructor, and only `Runtime` builds them. Where two
parts depend on each other, it stands between them: the hub and the leases report to it.
"""

import asyncio
import logging
import multiprocessing
from collections.abc import Mapping
from contextvars import Context

from django.conf import settings

from accounts.kernel.rate_limits import buckets
from messaging.attachments.expiry import eraser

from .checks import HINT, NO_LAYER
from .cluster.broadcaster import Broadcaster
from .cluster.connection_limits import ConnectionCounter
from .cluster.last_seen import LastSeen
from .cluster.leases import EVENTS_SOCKETS, Leases
from .cluster.presence import Presence
from .cluster.redis_client import RedisClients
from .cluster.shared_rate_limits import ClusterRateLimiter
from .cluster.user_presence import UserPresence
from .db_threads import DatabaseThreads
from .delivery.admission import AdmissionQueue, RefusalQueue
from .delivery.authorisation import Authorisation
from .delivery.events_socket import EventsSocket
from .delivery.events_subscriptions import EventsSubscriptions
from .delivery.garbage_collection import GarbageCollector
from .delivery.hub import Hub
from .delivery.local_room import LocalRoom
from .delivery.local_state import LocalState
from .delivery.membership_watch import MembershipWatch
from .delivery.recovery import Recovery
from .delivery.repair import Repair
from .delivery.replay_cache import ReplayCache
from .delivery.replay_turns import ReplayTurns
from .delivery.revocation import Revocation
from .delivery.subscriber import Subscriber
from .lifecycle import Lifecycle
from .servers.http_bodies import UnfinishedBodies
from .servers.http_connections import OpenConnections
from .servers.uploads import Uploads

log = logging.getLogger(__name__)


class Runtime:
    """Holds the objects of one process: see `runtime` below."""

    def __init__(self) -> None:
        self.state = LocalState()
        self.database = DatabaseThreads("socket-database", threads=4, max_queued=2000)
        # For the repair, and for the membership watch, which makes one query at a time: the repair
        # runs on time however many calls of clients wait.
        self.background_database = DatabaseThreads("background-database", threads=1, max_queued=200)

        self.hub = Hub(self.state, observer=self)
        self.revocation = Revocation(self.hub, observer=self)
        self.repair = Repair(self.hub, self.revocation, self.background_database)
        self.recovery = Recovery(ReplayCache(self.database), ReplayTurns(), self.database)
        self.garbage_collector = GarbageCollector(self.state.message_flow)
        self.authorisation = Authorisation(self.database)
        self.admission = AdmissionQueue(self.state.message_flow)
        self.refusals = RefusalQueue(self.state.message_flow)

        self.events_subscriptions = EventsSubscriptions(self.hub, self.recovery)
        self.membership_watch = MembershipWatch(
            self.hub, self.events_subscriptions, self.background_database
        )

        self._build_cluster()
        self._build_for_servers()

    def _build_cluster(self) -> None:
        self.broadcaster = Broadcaster(self.hub, self.revocation, self.membership_watch)
        self.redis = RedisClients()
        self.leases = Leases(self.redis, holder=self)
        self.presence = Presence(self.hub, self.broadcaster, self.leases)
        self.user_presence = UserPresence(self.hub, self.broadcaster, self.leases, self.database)
        self.connections = ConnectionCounter(self.leases)
        self.rate_limiter = ClusterRateLimiter(self.redis, buckets)
        self.last_seen = LastSeen(self.database)

    def _build_for_servers(self) -> None:
        self.open_connections = OpenConnections()
        self.unfinished_bodies = UnfinishedBodies()
        self.uploads = Uploads()
        self.lifecycle = Lifecycle(self.hub)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Starts all tasks on the loop of the sockets. Later calls do nothing."""
        if not self.hub.bind(loop):
            return
        # In an empty context: their log lines must not carry that of the first socket.
        Context().run(self._start_tasks)
        self.lifecycle.take_over(loop)
        if multiprocessing.parent_process() is not None and not settings.REDIS_URLS:
            log.warning("%s %s", NO_LAYER, HINT)

    def _start_tasks(self) -> None:
        self.repair.start()
        self.membership_watch.start()
        self.garbage_collector.start()
        self.broadcaster.start()
        self.redis.start()
        self.leases.start()
        self.presence.start()
        self.rate_limiter.start()
        eraser.start()

    # HubObserver

    def room_opened(self, room: LocalRoom) -> None:
        self.broadcaster.room_opened_or_closed(room.id)
        self.repair.check_opened(room)

    def room_closed(self, room: LocalRoom) -> None:
        self.broadcaster.room_opened_or_closed(room.id)

    def repair_needed(self, room: LocalRoom) -> None:
        self.repair.request_repair(room)

    def user_left(self, room: LocalRoom, subscriber: Subscriber) -> None:
        self.presence.leave(room, subscriber)

    def events_socket_opened(self, socket: EventsSocket) -> None:
        self.broadcaster.user_opened_or_closed(socket.caller.user_id)

    def events_socket_closed(self, socket: EventsSocket) -> None:
        self.broadcaster.user_opened_or_closed(socket.caller.user_id)
        self.user_presence.leave(socket.caller, announce=socket.ready)

    # LeaseHolder

    def held_counts(self) -> Mapping[str, int]:
        return self.connections.reported()

    def held_users(self) -> Mapping[int, Mapping[int, str]]:
        return {**self.presence.held_users(), EVENTS_SOCKETS: self.user_presence.held_users()}

    def user_expired(self, room_id: int, username: str, online_total: int) -> None:
        if room_id == EVENTS_SOCKETS:
            self.user_presence.user_expired(username)
        else:
            self.presence.user_expired(room_id, username, online_total)

    def user_restored(self, room_id: int, username: str, online_total: int) -> None:
        if room_id == EVENTS_SOCKETS:
            self.user_presence.user_restored(username)
        else:
            self.presence.user_restored(room_id, username, online_total)


runtime = Runtime()
# Named by settings, because the packages that need them import no sockets.
cluster_limits = runtime.rate_limiter
online_lookup = runtime.presence.online
