"""Scenarios: sign-in under load, compression, single messages, workers."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import product

from .load import Load
from .runner import DOORS, LATENCY_MEMBERS, MANY_ROOMS, Runner, big_room
from .scale_out import SERVER, SPREAD_RATE, SPREAD_ROOMS, cost_of
from .scenarios import until_idle
from .systems import (
    POSTGRESQL,
    PRODUCT,
    REDIS,
    WORKERS,
    Room,
    Running,
    System,
    acknowledged,
    acknowledged_in_room,
    over_events,
)

BUSY_RATE = 25
BUSY_IN_FLIGHT = 8
BUSY = f"signing in, {BUSY_IN_FLIGHT} at a time, {BUSY_RATE} messages/s × {LATENCY_MEMBERS}"
P99_QUIET, P99_BUSY = "p99 ms without sign-ins", "p99 ms with sign-ins"
SIGN_INS = "sign-ins/s"

EVENTS = "100 rooms × 10 on sockets of all rooms"
EVENTS_BIG = f"one room × {LATENCY_MEMBERS} on sockets of all rooms"

DEFLATE_RATE = 50
DEFLATE = f"{DEFLATE_RATE} messages/s × 200, clients offer compression"
COMPRESSED = "% of sockets compressed"
DELIVERY_COST = "CPU of the server, µs a delivery"

LONE = "a room of one, one message at a time"
FIFTY = "a room of 50, one message at a time"
LONE_MANY = "100 rooms × 10, one message at a time in each"
CPU_COST, WALL_COST = "CPU, ms a message", "ms a message"
ANSWERS = "answers/s"

STEADY_WORKERS = f"100 rooms × 20 under `make serve WORKERS=n`, {SPREAD_RATE} messages/s"


def signin_busy(runner: Runner) -> None:
    """Members sign in, 8 at a time, while 25 messages a second flow in a room of 200."""
    seconds = 4 if runner.quick else 10
    started = runner.fleet(runner.systems(peers=()))
    for one in started:
        # The first authentication after a while is also written to the session's row.
        with one.load(DOORS) as load:
            load.open()
        until_idle(one)
    with ExitStack() as stack:
        rooms = [stack.enter_context(one.load([big_room(LATENCY_MEMBERS)])) for one in started]
        for load in rooms:
            load.open()
            # The first messages of a room are slower: caches are cold.
            load.paced(BUSY_RATE, BUSY_RATE)
        for _ in range(runner.rounds):
            for one, load in zip(started, rooms, strict=True):
                _sign_in_while_messages_flow(runner, one, load, seconds)


def _sign_in_while_messages_flow(runner: Runner, one: Running, room: Load, seconds: int) -> None:
    messages = BUSY_RATE * seconds
    quiet = room.paced(BUSY_RATE, messages)
    # More than can come in: sign-ins end with the last message.
    doors = one.load(DOORS * seconds, in_flight=BUSY_IN_FLIGHT)
    with doors, ThreadPoolExecutor(1) as pool:
        flow = pool.submit(room.paced, BUSY_RATE, messages)
        before, start = one.cpu(), time.monotonic()
        answer = doors.open(within=seconds)
        elapsed, spent = time.monotonic() - start, one.cpu() - before
        busy = flow.result()
    runner.add(
        BUSY,
        SIGN_INS,
        one.system,
        answer["entered"] / elapsed,
        answer["entered"] / max(spent, 0.01),
    )
    runner.add(BUSY, P99_QUIET, one.system, quiet["p99"] * 1000)
    runner.add(BUSY, P99_BUSY, one.system, busy["p99"] * 1000)
    until_idle(one)


def events(runner: Runner) -> None:
    """As many_rooms and fanout, each member with a socket of all rooms."""
    started = runner.fleet([System(PRODUCT, server) for server in runner.servers])
    sockets = [over_events(one) for one in started]

    def many(one: Running, load: Load) -> None:
        runner.closed(EVENTS, "answers", one, load)

    def big(one: Running, load: Load) -> None:
        runner.closed(EVENTS_BIG, "deliveries", one, load)

    runner.compare(sockets, MANY_ROOMS, many, acknowledged_in_room)
    runner.compare(sockets, [big_room(LATENCY_MEMBERS)], big, acknowledged_in_room)


def deflate(runner: Runner) -> None:
    """Servers without options, clients that offer permessage-deflate as browsers do."""
    room = Room("deflate", 200)
    systems = runner.own(*(System(PRODUCT, f"plain {server}") for server in runner.servers))
    with runner.side_by_side(systems, [room]) as started, ExitStack() as stack:
        loads = [(one, stack.enter_context(one.load(offers_compression=True))) for one in started]
        for one, load in loads:
            opened = load.open()
            share = opened["compressed"] / max(opened["entered"], 1) * 100
            runner.add(DEFLATE, COMPRESSED, one.system, share)
        for _, (one, load) in product(range(runner.rounds), loads):
            before = one.cpu()
            answer = load.paced(DEFLATE_RATE, max(int(DEFLATE_RATE * runner.seconds), 100))
            cost = (one.cpu() - before) / max(answer["deliveries"], 1) * 1e6
            runner.add(DEFLATE, DELIVERY_COST, one.system, cost)


def lone(runner: Runner) -> None:
    """One sender in a room of one, in one of 50, and in each of 100 rooms of 10."""
    small, middle = [Room("lone", 1)], [Room("fifty", 50)]

    def cost(one: Running, load: Load) -> None:
        before = one.cpu()
        answer = load.closed(runner.seconds / 4, runner.seconds)
        spent = one.cpu() - before
        runner.add(LONE, CPU_COST, one.system, spent / max(answer["all_answers"], 1) * 1000)
        wall = answer["seconds"] / max(answer["answers"], 1) * 1000
        runner.add(LONE, WALL_COST, one.system, wall)
        runner.note_load(one, answer)

    def fifty(one: Running, load: Load) -> None:
        runner.closed(FIFTY, "answers", one, load)

    def many(one: Running, load: Load) -> None:
        runner.closed(LONE_MANY, "answers", one, load)

    systems = runner.systems(peers=("raw", "socketio-insert"))
    with runner.side_by_side(systems, [*small, *middle, *MANY_ROOMS]) as started:
        runner.compare(started, small, cost, acknowledged)
        runner.compare(started, middle, fifty, acknowledged)
        runner.compare(started, MANY_ROOMS, many, acknowledged)


def on_workers(processes: int = 1) -> System:
    return System(PRODUCT, WORKERS, POSTGRESQL, REDIS, processes)


def spread_workers(runner: Runner) -> None:
    """500 messages a second under `make serve` with 1 and 2 workers on one port."""
    rooms = SPREAD_ROOMS[:20] if runner.quick else SPREAD_ROOMS
    seconds = max(runner.seconds, 1.0)

    def measure(one: Running, load: Load) -> None:
        before = {SERVER: one.cpu(), **one.helpers_cpu()}
        answer = load.paced(SPREAD_RATE, int(SPREAD_RATE * seconds))
        after = {SERVER: one.cpu(), **one.helpers_cpu()}
        system = System(one.system.name, WORKERS, POSTGRESQL, REDIS)
        for name, spent in after.items():
            cost = (spent - before[name]) / max(answer["deliveries"], 1) * 1e6
            runner.add(STEADY_WORKERS, cost_of(name), system, cost, at=one.system.processes)

    with runner.side_by_side(runner.own(on_workers(1), on_workers(2)), rooms) as started:
        runner.compare(started, rooms, measure, acknowledged)
