"""All scenarios by name, in the order in which they are measured and reported."""

from collections.abc import Callable

from . import growing, scenarios, sweeps
from .bench import Bench

SCENARIOS: dict[str, Callable[[Bench], None]] = {
    "fanout": scenarios.fanout,
    "many_rooms": scenarios.many_rooms,
    "signin": scenarios.signin,
    "memory": scenarios.memory,
    "latency": scenarios.latency,
    "paging": scenarios.paging,
    "hold": scenarios.hold,
    "generator": scenarios.generator,
    "databases": growing.databases,
    "spread": growing.spread,
    "crossing": growing.crossing,
    "redis_gone": growing.redis_gone,
    "repair": growing.repair,
    "members": sweeps.members,
    "rooms": sweeps.rooms,
}
