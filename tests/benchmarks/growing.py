"""Scenarios of what one grows into: PostgreSQL, Redis, several processes, ten thousand rooms."""

import time
from dataclasses import replace
from statistics import quantiles

from .bench import MANY_ROOMS, Bench
from .load import Load
from .scenarios import until_idle
from .systems import DEAD_REDIS, POSTGRESQL, PRODUCT, REDIS, Room, Running, System, acknowledged

ON_POSTGRES = System(PRODUCT, "uvicorn", POSTGRESQL)
GROWN = System(PRODUCT, "uvicorn", POSTGRESQL, REDIS)
TWO = System(PRODUCT, "uvicorn", POSTGRESQL, REDIS, processes=2)
BEREFT = System(PRODUCT, "uvicorn", POSTGRESQL, DEAD_REDIS)

SPREAD_ROOMS = [Room(f"spread{number}", 20) for number in range(100)]
SPREAD_RATE = 500
PROCESSES = (1, 2, 4)
SATURATED = "100 rooms × 20 over processes, closed loop"
STEADY = f"100 rooms × 20 over processes, {SPREAD_RATE} messages/s"
SERVER = "the server"

CROSSING = "100 messages/s over two processes"
STORING = "100 rooms × 10, by database"
REDIS_GONE = "100 rooms × 10, with and without Redis"
REPAIR_SECONDS = 20
"""One interval of uvicorn's pings: each socket has its share of them in it."""


def cost_of(part: str) -> str:
    return f"CPU of {part}, µs a delivery"


def spread(bench: Bench) -> None:
    """Rooms of 20, their members dealt to 1, 2 and 4 processes: CPU of all these a delivery."""
    systems = bench.own(*(replace(GROWN, processes=n) for n in PROCESSES))
    rooms = SPREAD_ROOMS[:20] if bench.quick else SPREAD_ROOMS

    def measure(one: Running, load: Load) -> None:
        before = _cpu(one)
        answer = load.closed(bench.seconds / 4, bench.seconds)
        _note_costs(bench, SATURATED, one, before, answer["all_deliveries"])
        rate = answer["deliveries"] / answer["seconds"]
        system = replace(GROWN, name=one.system.name)
        bench.add(SATURATED, "deliveries/s", system, rate, at=one.system.processes)
        bench.note_load(one, answer)
        before = _cpu(one)
        answer = load.paced(SPREAD_RATE, int(SPREAD_RATE * bench.seconds))
        _note_costs(bench, STEADY, one, before, answer["deliveries"])

    with bench.side_by_side(systems, rooms) as started:
        bench.compare(started, rooms, measure, acknowledged)


def _cpu(one: Running) -> dict[str, float]:
    return {SERVER: one.cpu(), **one.helpers_cpu()}


def _note_costs(
    bench: Bench, work: str, one: Running, before: dict[str, float], deliveries: int
) -> None:
    for name, seconds in _cpu(one).items():
        cost = (seconds - before[name]) / max(deliveries, 1) * 1e6
        system = replace(GROWN, name=one.system.name)
        bench.add(work, cost_of(name), system, cost, at=one.system.processes)


def crossing(bench: Bench) -> None:
    """A sender and a listener on one process: how much later one on another process hears."""
    room = Room("crossing", 3)
    rate = 100

    def measure(one: Running, load: Load) -> None:
        load.paced(rate, max(int(rate * bench.seconds), 50))
        there, here = _heard_by(load, 1), _heard_by(load, 2)
        added = [(there[sent] - here[sent]) / 1e6 for sent in here.keys() & there.keys()]
        marks = quantiles(added, n=100, method="inclusive")
        bench.add(CROSSING, "ms later on the other process, p50", TWO, marks[49])
        bench.add(CROSSING, "ms later on the other process, p99", TWO, marks[98])
        own = quantiles((after / 1e6 for after in here.values()), n=100, method="inclusive")
        bench.add(CROSSING, "ms until heard on the sender's process, p50", TWO, own[49])

    with bench.side_by_side([TWO], [room]) as started:
        bench.compare(started, [room], measure, acknowledged)


def _heard_by(load: Load, client: int) -> dict[int, int]:
    """Nanoseconds until heard, by when it was sent. Clients 0, the sender, and 2 are neighbours."""
    return {one.sent: one.after for one in load.hearings() if one.client == client}


def databases(bench: Bench) -> None:
    """`many_rooms` on PostgreSQL, on SQLite, and with a transaction for each message."""
    peers = [System("standard-orm", "uvicorn", POSTGRESQL)] if "standard-orm" in bench.peers else []

    def measure(one: Running, load: Load) -> None:
        bench.closed(STORING, "answers", one, load)

    systems = [System(PRODUCT, "uvicorn"), ON_POSTGRES, *peers]
    with bench.side_by_side(systems, MANY_ROOMS) as started:
        bench.compare(started, MANY_ROOMS, measure, acknowledged)


def redis_gone(bench: Bench) -> None:
    """`many_rooms` with a Redis that lives, and with one that is killed when all are signed in."""

    def kill(one: Running) -> None:
        if one.system.redis == DEAD_REDIS:
            one.helpers.pop("Redis").kill()

    def measure(one: Running, load: Load) -> None:
        bench.closed(REDIS_GONE, "answers", one, load)

    with bench.side_by_side([GROWN, BEREFT], MANY_ROOMS) as started:
        bench.compare(started, MANY_ROOMS, measure, acknowledged, kill)


def repair_work(rooms: int = 10_000, seconds: int = REPAIR_SECONDS) -> str:
    return f"{rooms:,} open rooms, idle for {seconds} s"


def repair(bench: Bench) -> None:
    """10,000 idle sockets in as many rooms, then in one: what the look at open rooms costs."""
    count, seconds = (300, 2) if bench.quick else (10_000, REPAIR_SECONDS)
    alone = [Room(f"alone{number}", 1) for number in range(count)]
    crowd = [Room("crowd", count)]
    work = repair_work(count, seconds)
    for system in (System(PRODUCT, "uvicorn"), ON_POSTGRES):
        with bench.serving(system, [*alone, *crowd]) as one:
            bench.say(system.database)
            together = _idle_shares(one, crowd, seconds)
            apart = _idle_shares(one, alone, seconds)
        for name, share in apart.items():
            bench.add(work, f"% of a core, {name}", system, share)
            bench.add(work, f"% of a core, {name}, all in one room", system, together[name])
        cost = sum(apart.values()) - sum(together.values())
        bench.add(work, "% of a core more than in one room, in all", system, cost)


def _idle_shares(one: Running, rooms: list[Room], seconds: float) -> dict[str, float]:
    """Percent of a core that server and database use while all sockets of these rooms are idle."""
    with one.load(rooms) as load:
        answer = load.open(within=180)
        if answer["lost"]:
            raise RuntimeError(f"{one.system} did not let in all: {answer}")
        until_idle(one)
        # Who was last seen when is written up to two seconds after they came.
        time.sleep(3)
        before, start = _cpu(one), time.monotonic()
        time.sleep(seconds)
        elapsed = time.monotonic() - start
        after = _cpu(one)
    until_idle(one)
    return {name: (after[name] - before[name]) / elapsed * 100 for name in after}
