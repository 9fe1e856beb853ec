"""Scenarios with one process and SQLite. Each adds its rows to the results."""

import time
from statistics import median

import httpx

from .load import Load
from .runner import DOORS, LATENCY_MEMBERS, MANY_ROOMS, NODE, Runner, big_room
from .systems import PRODUCT, Room, Running, System, acknowledged

PAGE = 50
SIGN_INS = "signing in"
IDLE = "idle sockets × 1,000"
ACKNOWLEDGED = "100 rooms × 10"
LIVELY = "one room × 200, 20 of them senders"


def fanout_work(members: int) -> str:
    return f"one room × {members:,}"


def strict_work(work: str) -> str:
    return f"{work}, strict"


def fanout(runner: Runner) -> None:
    """One sender sends the next message when it has the last.

    Strict: when all have it.
    """
    for members in runner.members:
        work = fanout_work(members)

        def measure(one: Running, load: Load, work: str = work) -> None:
            runner.closed(work, "deliveries", one, load)
            runner.closed(strict_work(work), "deliveries", one, load, strict=True)

        runner.compare(runner.fleet(runner.systems()), [big_room(members)], measure)


def many_rooms(runner: Runner) -> None:
    """One sender in each of many rooms sends the next after the acknowledgement."""

    def measure(one: Running, load: Load) -> None:
        runner.closed(ACKNOWLEDGED, "answers", one, load)

    systems = runner.systems(peers=("raw", "standard", "standard-orm", *NODE))
    runner.compare(runner.fleet(systems), MANY_ROOMS, measure, acknowledged)


def lively(runner: Runner) -> None:
    """Twenty of 200 members send, each the next message after its acknowledgement."""

    def measure(one: Running, load: Load) -> None:
        runner.closed(LIVELY, "deliveries", one, load)

    rooms = [Room("lively", 200, senders=20)]
    # Peers without acknowledgements cannot take part: a sender would continue on any message.
    with runner.side_by_side(runner.systems(peers=NODE), rooms) as started:
        runner.compare(started, rooms, measure, acknowledged)


def latency(runner: Runner) -> None:
    """25 messages a second in a room of 200: time until each member has each."""
    rate, members = 25, LATENCY_MEMBERS
    # With 100 messages, p99 would be the single slowest one: one moment of the disk.
    messages = int(rate * runner.seconds) if runner.quick else max(250, int(rate * runner.seconds))

    def measure(one: Running, load: Load) -> None:
        answer = load.paced(rate, messages)
        for what in ("p50", "p99"):
            runner.add(f"25 messages/s × {members}", f"{what} ms", one.system, answer[what] * 1000)

    systems = runner.systems(peers=("raw", "standard", *NODE))
    runner.compare(runner.fleet(systems), [big_room(members)], measure)


def signin(runner: Runner) -> None:
    """Many users connect to group rooms of 50 and authenticate, 48 at a time."""
    doors = DOORS[:4] if runner.quick else DOORS
    started = runner.fleet(runner.systems(peers=("raw", "standard")))
    for one in started:
        # The first authentication after a while is also written to the session's row.
        with one.load(doors) as load:
            load.open()
        until_idle(one)
    for _ in range(runner.rounds):
        for one in started:
            before = one.cpu()
            with one.load(doors) as load:
                answer = load.open()
            rate = answer["entered"] / answer["seconds"]
            per_cpu = answer["entered"] / max(one.cpu() - before, 0.01)
            runner.add(SIGN_INS, "sign-ins/s", one.system, rate, per_cpu)
            until_idle(one)


def memory(runner: Runner) -> None:
    """Measures the memory of idle sockets: growth over the first 1,000."""
    rooms = [Room("first", 50), *DOORS]
    for system in runner.systems(peers=() if runner.quick else ("raw", "standard", *NODE)):
        with runner.side_by_side([system], rooms) as started:
            for one in started:
                runner.add(IDLE, "KB a socket", system, _growth(one, rooms) / 1000)


def _growth(one: Running, rooms: list[Room]) -> float:
    """Returns bytes for each socket in all but the first room."""
    with one.load(rooms[:1]) as load:
        # One-time allocations with the first clients are not counted.
        load.open()
        before = one.memory()
        with one.load(rooms[1:]) as others:
            entered: int = others.open()["entered"]
            until_idle(one)
            return (one.memory() - before) / entered


def hold(runner: Runner) -> None:
    """10,000 sockets stay for a minute; then all receive one message."""
    people, each, seconds = (200, 5, 3) if runner.quick else (1000, 10, 60)
    work = f"idle sockets × {people * each:,}, held {seconds} s"
    rooms = [Room("big", people, sockets_each=each)]
    with runner.serving(System(PRODUCT, "uvicorn"), rooms) as one:
        before = one.memory()
        with one.load() as load:
            opened = load.open(within=180)
            until_idle(one)
            grown = one.memory() - before
            time.sleep(seconds)
            answer = load.paced(1, 1, patience=10)
        add = runner.add
        add(work, "sockets lost", one.system, opened["lost"] + answer["lost"])
        add(work, "sockets that received the message", one.system, answer["deliveries"])
        add(work, "ms until the last received it", one.system, answer["max"] * 1000)
        add(work, "KB a socket", one.system, grown / opened["entered"] / 1000)


def paging(runner: Runner) -> None:
    """Reads pages of history at every depth of a huge room and of a small one."""
    sizes = {"small": 1000, "huge": 100_000 if runner.quick else 1_000_000}
    rooms = [Room(name, 2, messages=size) for name, size in sizes.items()]
    with runner.serving(System(PRODUCT, "uvicorn"), rooms) as one:
        for _ in range(runner.rounds):
            spent = _page_times(one, sizes)
            for name, size in sizes.items():
                what = f"ms a page of {size:,} messages"
                runner.add("history", what, one.system, median(spent[name]) * 1000)


def _page_times(one: Running, sizes: dict[str, int]) -> dict[str, list[float]]:
    spent: dict[str, list[float]] = {name: [] for name in sizes}
    with httpx.Client(base_url=f"http://127.0.0.1:{one.port}/api/history", timeout=20) as client:
        for step in range(100):
            for name, size in sizes.items():
                before = max(PAGE + 1, round(size * (1 - step / 100)) + 1)
                start = time.perf_counter()
                page = client.get(
                    f"/{name}",
                    params={"before": before, "limit": PAGE},
                    headers={"Authorization": f"Bearer {one.tokens[name][0]}"},
                )
                spent[name].append(time.perf_counter() - start)
                if len(page.raise_for_status().json()) != PAGE:
                    raise RuntimeError(f"No page before {before} of {name}")
    return spent


def generator(runner: Runner) -> None:
    """Throughput of the load generator without a server's limit."""

    def measure(one: Running, load: Load) -> None:
        answer = load.closed(runner.seconds / 4, runner.seconds)
        for what, seconds in (("", answer["seconds"]), (" of its CPU time", answer["busy"])):
            rate = answer["deliveries"] / max(seconds, 0.001)
            runner.add("load generator alone", f"deliveries/s{what}", one.system, rate)

    runner.compare(
        runner.fleet([System("blaster", "sockets")]), [big_room(LATENCY_MEMBERS)], measure
    )


def until_idle(one: Running, within: float = 20) -> None:
    """Waits until the server has finished connecting or disconnecting clients."""
    deadline = time.monotonic() + within
    before = one.cpu()
    while time.monotonic() < deadline:
        time.sleep(0.3)
        now = one.cpu()
        if now - before < 0.02:
            return
        before = now
