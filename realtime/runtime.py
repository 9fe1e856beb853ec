"""The parts of this process that belong together, started with the first socket."""

import asyncio
import logging
import multiprocessing
from contextvars import Context

from django.conf import settings

from accounts.kernel.rate_limits import buckets, share_limits
from rooms.presence import provide

from .checks import HINT, NO_LAYER
from .cluster.broadcaster import Broadcaster
from .cluster.connection_limits import ConnectionCounter
from .cluster.last_seen import LastSeen
from .cluster.leases import Leases
from .cluster.presence import Presence
from .cluster.rate_limits import ClusterRateLimiter
from .cluster.redis_client import RedisClients
from .delivery.hub import hub
from .delivery.repair import Repair
from .lifecycle import shutdown

log = logging.getLogger(__name__)

repair = Repair(hub)
fanout = Broadcaster(hub)
tally = ConnectionCounter()
hosts = RedisClients()
leases = Leases(hosts, tally.told)
tally.share(leases)
presence = Presence(hub, fanout, leases)
last_seen = LastSeen()
shared_rates = ClusterRateLimiter(hosts, buckets)
share_limits(shared_rates)
provide(presence.online)


def run_on(loop: asyncio.AbstractEventLoop) -> None:
    """Binds the hub to the loop and starts the repair there; nothing happens the second time."""
    if hub.bind(loop):
        # In a context of their own: what their tasks log for ever is not of the first socket.
        Context().run(_start)
        shutdown.take_over(loop)
        if multiprocessing.parent_process() is not None and not settings.REDIS_URLS:
            log.warning("%s %s", NO_LAYER, HINT)


def _start() -> None:
    repair.start()
    fanout.start()
    hosts.start()
    leases.start()
    presence.start()
    shared_rates.start()
