"""All scenarios by name, in the order in which they are measured and reported.

Those that share a fleet come first, so that it is started once.
"""

from collections.abc import Callable

from . import growing, scenarios, sockets, sweeps
from .bench import Bench

SCENARIOS: dict[str, Callable[[Bench], None]] = {
    "fanout": scenarios.fanout,
    "many_rooms": scenarios.many_rooms,
    "signin": scenarios.signin,
    "signin_busy": sockets.signin_busy,
    "latency": scenarios.latency,
    "generator": scenarios.generator,
    "lively": scenarios.lively,
    "lone": sockets.lone,
    "deflate": sockets.deflate,
    "memory": scenarios.memory,
    "paging": scenarios.paging,
    "hold": scenarios.hold,
    "databases": growing.databases,
    "spread": growing.spread,
    "spread_workers": sockets.spread_workers,
    "crossing": growing.crossing,
    "redis_gone": growing.redis_gone,
    "repair": growing.repair,
    "members": sweeps.members,
    "rooms": sweeps.rooms,
}
