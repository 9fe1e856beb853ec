"""Scenarios with PostgreSQL, Redis, several processes and ten thousand rooms."""

import time
from dataclasses import replace
from statistics import quantiles

from .load import Load
from .runner import MANY_ROOMS, Runner
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
"""One interval of uvicorn's pings, so that each socket's share of them is included."""


def cost_of(part: str) -> str:
    return f"CPU of {part}, µs a delivery"


def spread(runner: Runner) -> None:
    """Spreads members of rooms over 1, 2 and 4 processes: CPU per delivery."""
    systems = runner.own(*(replace(GROWN, processes=n) for n in PROCESSES))
    rooms = SPREAD_ROOMS[:20] if runner.quick else SPREAD_ROOMS

    def measure(one: Running, load: Load) -> None:
        before = _cpu(one)
        answer = load.closed(runner.seconds / 4, runner.seconds)
        _note_costs(runner, SATURATED, one, before, answer["all_deliveries"])
        rate = answer["deliveries"] / answer["seconds"]
        system = replace(GROWN, name=one.system.name)
        runner.add(SATURATED, "deliveries/s", system, rate, at=one.system.processes)
        runner.note_load(one, answer)
        before = _cpu(one)
        answer = load.paced(SPREAD_RATE, int(SPREAD_RATE * runner.seconds))
        _note_costs(runner, STEADY, one, before, answer["deliveries"])

    with runner.side_by_side(systems, rooms) as started:
        runner.compare(started, rooms, measure, acknowledged)


def _cpu(one: Running) -> dict[str, float]:
    return {SERVER: one.cpu(), **one.helpers_cpu()}


def _note_costs(
    runner: Runner, work: str, one: Running, before: dict[str, float], deliveries: int
) -> None:
    for name, seconds in _cpu(one).items():
        cost = (seconds - before[name]) / max(deliveries, 1) * 1e6
        system = replace(GROWN, name=one.system.name)
        runner.add(work, cost_of(name), system, cost, at=one.system.processes)


def crossing(runner: Runner) -> None:
    """Measures how much later a receiver on another process has a message."""
    room = Room("crossing", 3)
    rate = 100

    def measure(one: Running, load: Load) -> None:
        load.paced(rate, max(int(rate * runner.seconds), 50))
        far, near = _heard_by(load, 1), _heard_by(load, 2)
        added = [(far[sent] - near[sent]) / 1e6 for sent in near.keys() & far.keys()]
        marks = quantiles(added, n=100, method="inclusive")
        runner.add(CROSSING, "ms later on the other process, p50", TWO, marks[49])
        runner.add(CROSSING, "ms later on the other process, p99", TWO, marks[98])
        own = quantiles((after / 1e6 for after in near.values()), n=100, method="inclusive")
        runner.add(CROSSING, "ms until received on the sender's process, p50", TWO, own[49])

    with runner.side_by_side([TWO], [room]) as started:
        runner.compare(started, [room], measure, acknowledged)


def _heard_by(load: Load, client: int) -> dict[int, int]:
    """Maps send time to nanoseconds until delivery.

    Sender (0) and client 2 share a process.
    """
    return {one.sent: one.after for one in load.receipts() if one.client == client}


def databases(runner: Runner) -> None:
    """`many_rooms` on PostgreSQL, on SQLite, and with a transaction for each message."""
    peers = (
        [System("standard-orm", "uvicorn", POSTGRESQL)] if "standard-orm" in runner.peers else []
    )

    def measure(one: Running, load: Load) -> None:
        runner.closed(STORING, "answers", one, load)

    systems = [System(PRODUCT, "uvicorn"), ON_POSTGRES, *peers]
    with runner.side_by_side(systems, MANY_ROOMS) as started:
        runner.compare(started, MANY_ROOMS, measure, acknowledged)


def redis_gone(runner: Runner) -> None:
    """Runs `many_rooms` with a running Redis, and with one killed after connecting."""

    def kill(one: Running) -> None:
        if one.system.redis == DEAD_REDIS:
            one.helpers.pop("Redis").kill()

    def measure(one: Running, load: Load) -> None:
        runner.closed(REDIS_GONE, "answers", one, load)

    with runner.side_by_side([GROWN, BEREFT], MANY_ROOMS) as started:
        runner.compare(started, MANY_ROOMS, measure, acknowledged, kill)


def repair_work(rooms: int = 10_000, seconds: int = REPAIR_SECONDS) -> str:
    return f"{rooms:,} open rooms, idle for {seconds} s"


def repair(runner: Runner) -> None:
    """Measures the repair's checks: 10,000 idle sockets in as many rooms, then one."""
    count, seconds = (300, 2) if runner.quick else (10_000, REPAIR_SECONDS)
    alone = [Room(f"alone{number}", 1) for number in range(count)]
    one_room = [Room("big", count)]
    work = repair_work(count, seconds)
    for system in (System(PRODUCT, "uvicorn"), ON_POSTGRES):
        with runner.serving(system, [*alone, *one_room]) as one:
            runner.print_line(system.database)
            together = _idle_shares(one, one_room, seconds)
            apart = _idle_shares(one, alone, seconds)
        for name, share in apart.items():
            runner.add(work, f"% of a core, {name}", system, share)
            runner.add(work, f"% of a core, {name}, all in one room", system, together[name])
        cost = sum(apart.values()) - sum(together.values())
        runner.add(work, "% of a core more than in one room, in all", system, cost)


def _idle_shares(one: Running, rooms: list[Room], seconds: float) -> dict[str, float]:
    """Returns percent of a core of server and database with idle sockets."""
    with one.load(rooms) as load:
        answer = load.open(within=180)
        if answer["lost"]:
            raise RuntimeError(f"{one.system} did not let in all: {answer}")
        until_idle(one)
        # `last_seen` is written up to two seconds after clients connect.
        time.sleep(3)
        before, start = _cpu(one), time.monotonic()
        time.sleep(seconds)
        elapsed = time.monotonic() - start
        after = _cpu(one)
    until_idle(one)
    return {name: (after[name] - before[name]) / elapsed * 100 for name in after}
