"""What is done to one process with its SQLite. Each scenario adds its rows to the results."""

import time
from statistics import median

import httpx

from .bench import DOORS, LATENCY_MEMBERS, MANY_ROOMS, NODE, Bench, big_room
from .load import Load
from .systems import PRODUCT, Room, Running, System, acknowledged

PAGE = 50
SIGN_INS = "signing in"
IDLE = "idle sockets × 1,000"
ACKNOWLEDGED = "100 rooms × 10"
LIVELY = "one room × 200, of whom 20 speak"


def fanout_work(members: int) -> str:
    return f"one room × {members:,}"


def strict_work(work: str) -> str:
    return f"{work}, strict"


def fanout(bench: Bench) -> None:
    """One sender in a room sends the next message when it has the last; strict: when all have."""
    for members in bench.members:
        work = fanout_work(members)

        def measure(one: Running, load: Load, work: str = work) -> None:
            bench.closed(work, "deliveries", one, load)
            bench.closed(strict_work(work), "deliveries", one, load, strict=True)

        bench.compare(bench.fleet(bench.systems()), [big_room(members)], measure)


def many_rooms(bench: Bench) -> None:
    """One sender in each of many rooms sends the next message when the last was acknowledged."""

    def measure(one: Running, load: Load) -> None:
        bench.closed(ACKNOWLEDGED, "answers", one, load)

    systems = bench.systems(peers=("raw", "standard", "standard-orm", *NODE))
    bench.compare(bench.fleet(systems), MANY_ROOMS, measure, acknowledged)


def lively(bench: Bench) -> None:
    """Twenty of a room's 200 speak, each the next when the last was acknowledged."""

    def measure(one: Running, load: Load) -> None:
        bench.closed(LIVELY, "deliveries", one, load)

    rooms = [Room("lively", 200, speakers=20)]
    # The others have no word for the one who spoke: each would go on when it hears anybody.
    with bench.side_by_side(bench.systems(peers=NODE), rooms) as started:
        bench.compare(started, rooms, measure, acknowledged)


def latency(bench: Bench) -> None:
    """25 messages a second in a room of 200: how long until each member has it."""
    rate, members = 25, LATENCY_MEMBERS
    # Of a hundred the slowest one in a hundred is the slowest of all, one moment of the disk.
    messages = int(rate * bench.seconds) if bench.quick else max(250, int(rate * bench.seconds))

    def measure(one: Running, load: Load) -> None:
        answer = load.paced(rate, messages)
        for what in ("p50", "p99"):
            bench.add(f"25 messages/s × {members}", f"{what} ms", one.system, answer[what] * 1000)

    systems = bench.systems(peers=("raw", "standard", *NODE))
    bench.compare(bench.fleet(systems), [big_room(members)], measure)


def signin(bench: Bench) -> None:
    """Many people connect to their group rooms of 50 and sign in, 48 at a time."""
    doors = DOORS[:4] if bench.quick else DOORS
    started = bench.fleet(bench.systems(peers=("raw", "standard")))
    for one in started:
        # The first sign-in of a while is also noted on the session's row.
        with one.load(doors) as load:
            load.open()
        until_idle(one)
    for _ in range(bench.rounds):
        for one in started:
            before = one.cpu()
            with one.load(doors) as load:
                answer = load.open()
            rate = answer["entered"] / answer["seconds"]
            per_cpu = answer["entered"] / max(one.cpu() - before, 0.01)
            bench.add(SIGN_INS, "sign-ins/s", one.system, rate, per_cpu)
            until_idle(one)


def memory(bench: Bench) -> None:
    """What an idle socket costs, in rooms of 50: growth of the process over the first 1,000."""
    rooms = [Room("first", 50), *DOORS]
    for system in bench.systems(peers=() if bench.quick else ("raw", "standard", *NODE)):
        with bench.side_by_side([system], rooms) as started:
            for one in started:
                bench.add(IDLE, "KB a socket", system, _growth(one, rooms) / 1000)


def _growth(one: Running, rooms: list[Room]) -> float:
    """Bytes for each socket in all but the first room."""
    with one.load(rooms[:1]) as load:
        # What is loaded and allocated with the first clients is not theirs.
        load.open()
        before = one.memory()
        with one.load(rooms[1:]) as others:
            entered: int = others.open()["entered"]
            until_idle(one)
            return (one.memory() - before) / entered


def hold(bench: Bench) -> None:
    """10,000 sockets stay for a minute; then one message is heard by all."""
    people, each, seconds = (200, 5, 3) if bench.quick else (1000, 10, 60)
    work = f"idle sockets × {people * each:,}, held {seconds} s"
    rooms = [Room("big", people, sockets_each=each)]
    with bench.serving(System(PRODUCT, "uvicorn"), rooms) as one:
        before = one.memory()
        with one.load() as load:
            opened = load.open(within=180)
            until_idle(one)
            grown = one.memory() - before
            time.sleep(seconds)
            answer = load.paced(1, 1, patience=10)
        add = bench.add
        add(work, "sockets lost", one.system, opened["lost"] + answer["lost"])
        add(work, "sockets that heard the message", one.system, answer["deliveries"])
        add(work, "ms until the last heard it", one.system, answer["max"] * 1000)
        add(work, "KB a socket", one.system, grown / opened["entered"] / 1000)


def paging(bench: Bench) -> None:
    """Pages of history by REST at every depth of a huge room, and of a small one, in turn."""
    sizes = {"small": 1000, "huge": 100_000 if bench.quick else 1_000_000}
    rooms = [Room(name, 2, messages=size) for name, size in sizes.items()]
    with bench.serving(System(PRODUCT, "uvicorn"), rooms) as one:
        for _ in range(bench.rounds):
            spent = _page_times(one, sizes)
            for name, size in sizes.items():
                what = f"ms a page of {size:,} messages"
                bench.add("history", what, one.system, median(spent[name]) * 1000)


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


def generator(bench: Bench) -> None:
    """How much the load takes when no server holds it up."""

    def measure(one: Running, load: Load) -> None:
        answer = load.closed(bench.seconds / 4, bench.seconds)
        for what, seconds in (("", answer["seconds"]), (" of its CPU time", answer["busy"])):
            rate = answer["deliveries"] / max(seconds, 0.001)
            bench.add("load generator alone", f"deliveries/s{what}", one.system, rate)

    bench.compare(bench.fleet([System("blaster", "sockets")]), [big_room(LATENCY_MEMBERS)], measure)


def until_idle(one: Running, within: float = 20) -> None:
    """Waits until the server has done what connecting or leaving gave it to do."""
    deadline = time.monotonic() + within
    before = one.cpu()
    while time.monotonic() < deadline:
        time.sleep(0.3)
        now = one.cpu()
        if now - before < 0.02:
            return
        before = now
