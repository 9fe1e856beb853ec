"""Lists all scenarios by name, in the order of measuring and reporting.

Scenarios that share a fleet come first, so that it starts once.
"""

from collections.abc import Callable

from . import rest, scale_out, scenarios, sockets, sweeps
from .runner import Runner
from .search import search
from .upload import upload

SCENARIOS: dict[str, Callable[[Runner], None]] = {
    "fanout": scenarios.fanout,
    "many_rooms": scenarios.many_rooms,
    "events": sockets.events,
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
    "databases": scale_out.databases,
    "spread": scale_out.spread,
    "spread_workers": sockets.spread_workers,
    "crossing": scale_out.crossing,
    "redis_gone": scale_out.redis_gone,
    "repair": scale_out.repair,
    "members": sweeps.members,
    "rooms": sweeps.rooms,
    "rest": rest.rest,
    "search": search,
    "upload": upload,
}
