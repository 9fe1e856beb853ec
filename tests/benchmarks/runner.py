"""Runs the benchmarks: options, files, and interleaved rounds."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from . import postgres
from .load import CACHE, Load, Wire
from .postgres import Postgres
from .processes import Missing
from .results import Quantity, Results
from .startup import running
from .systems import OWN, PRODUCT, Room, Running, System

NODE = ("socketio", "socketio-insert")
PEERS = ("raw", "standard", "standard-orm", "standard-redis", "standard-pubsub", *NODE)
DAPHNE_PEERS = ("raw", "standard")
"""Peers worth measuring on daphne as well."""
QUICK_PEERS = ("raw", "standard", "standard-orm", "socketio-insert")

LATENCY_MEMBERS = 200
MANY_ROOMS = [Room(f"room{number}", 10) for number in range(100)]
DOORS = [Room(f"door{number}", 50) for number in range(20)]
"""Rooms of the authentication scenario."""


def big_room(members: int) -> Room:
    return Room(f"big{members}", members)


@dataclass
class Runner:
    servers: list[str]
    peers: list[str]
    members: list[int]
    rounds: int
    seconds: float
    quick: bool
    messages: int = 100_000
    """Messages that `search` looks through."""
    before: Path | None = None
    """Another checkout of the product, measured as one more system."""
    results: Results = field(default_factory=Results)
    """Of the scenario that is being measured."""
    _missing: dict[System, str] = field(default_factory=dict)
    _postgres: Postgres | None = None
    _fleet: dict[System, Running] = field(default_factory=dict)
    _fleet_stack: ExitStack = field(default_factory=ExitStack)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end_all()

    def end_all(self) -> None:
        """Ends all systems; later scenarios start new ones."""
        self._end_fleet()
        self._postgres = None
        self._stack.close()

    def _end_fleet(self) -> None:
        self._fleet.clear()
        self._fleet_stack.close()

    def systems(self, *, peers: Iterable[str] = PEERS) -> list[System]:
        """Returns the product on each server, then the requested `peers`."""
        wanted = [name for name in self.peers if name in tuple(peers)]
        return [
            *self.own(*(System(PRODUCT, server) for server in self.servers)),
            *(
                System(name, server)
                for name in wanted
                if name not in NODE
                for server in self.servers
                if server == "uvicorn" or (server == "daphne" and name in DAPHNE_PEERS)
            ),
            *(System(name, "node") for name in wanted if name in NODE),
        ]

    def own(self, *systems: System) -> list[System]:
        """Returns the product's systems, each beside the one of the checkout before."""
        names = (PRODUCT,) if self.before is None else OWN
        return [replace(system, name=name) for system in systems for name in names]

    @contextmanager
    def serving(self, system: System, rooms: list[Room]) -> Iterator[Running]:
        """Yields one fresh system alone, undisturbed by other measurements."""
        self._end_fleet()
        with self._serving(system, rooms) as one:
            yield one

    @contextmanager
    def _serving(self, system: System, rooms: list[Room]) -> Iterator[Running]:
        with _folder() as folder, running(system, rooms, folder, self.postgres, self.before) as one:
            yield one

    @contextmanager
    def side_by_side(self, systems: Iterable[System], rooms: list[Room]) -> Iterator[list[Running]]:
        """Yields fresh systems that can run here, and no others."""
        self._end_fleet()
        with ExitStack() as stack:
            started = (self._start(system, rooms, stack) for system in systems)
            yield [one for one in started if one]

    def fleet(self, systems: Iterable[System]) -> list[Running]:
        """Returns systems that other scenarios reuse; they idle between turns."""
        for system in systems:
            if system not in self._fleet:
                one = self._start(system, self._rooms(), self._fleet_stack)
                if one:
                    self._fleet[system] = one
        return [self._fleet[system] for system in systems if system in self._fleet]

    def _start(self, system: System, rooms: list[Room], stack: ExitStack) -> Running | None:
        if system not in self._missing:
            try:
                return stack.enter_context(self._serving(system, rooms))
            except Missing as reason:
                self._missing[system] = str(reason)
        self.results.skipped[str(system)] = self._missing[system]
        return None

    def postgres(self) -> Postgres:
        if self._postgres is None:
            self._postgres = self._stack.enter_context(postgres.serving())
        return self._postgres

    def _rooms(self) -> list[Room]:
        sizes = sorted({*self.members, LATENCY_MEMBERS})
        return [*(big_room(size) for size in sizes), *MANY_ROOMS, *DOORS]

    def compare(
        self,
        started: list[Running],
        rooms: list[Room],
        measure: Callable[[Running, Load], None],
        wire: Callable[[Running], Wire] | None = None,
        entered: Callable[[Running], None] = lambda one: None,
    ) -> None:
        """Connects the clients of every system, then measures in turn, by rounds.

        `entered` is called for each system once the clients of all are connected.
        """
        with ExitStack() as stack:
            loads = []
            for one in started:
                load = stack.enter_context(one.load(rooms, wire(one) if wire else None))
                answer = load.open()
                if answer["lost"] or not answer["entered"]:
                    raise RuntimeError(f"{one.system} did not let in all: {answer}")
                loads.append((one, load))
            for one, _ in loads:
                entered(one)
            for _ in range(self.rounds):
                for one, load in loads:
                    measure(one, load)

    def closed(
        self, work: str, counted: str, one: Running, load: Load, *, strict: bool = False
    ) -> None:
        """Measures a closed loop; `counted` are its deliveries or its answers."""
        before, helped = one.cpu(), one.helpers_cpu()
        answer = load.closed(self.seconds / 4, self.seconds, strict=strict)
        spent = one.cpu() - before
        rate = answer[counted] / answer["seconds"]
        per_cpu = answer[f"all_{counted}"] / max(spent, 0.01)
        self.add(work, f"{counted}/s", one.system, rate, per_cpu)
        for name, cpu in one.helpers_cpu().items():
            cost = (cpu - helped[name]) / max(answer[f"all_{counted}"], 1) * 1e6
            one_of = {"answers": "an answer", "deliveries": "a delivery"}[counted]
            self.add(work, f"CPU of {name}, µs {one_of}", one.system, cost)
        self.note_load(one, answer)

    def add(
        self,
        work: str,
        what: str,
        system: System,
        value: float,
        per_cpu: float | None = None,
        at: int | None = None,
    ) -> None:
        self.results.add(Quantity(work, what, system, at), value, per_cpu)

    def note_load(self, one: Running, answer: dict[str, float]) -> None:
        """Records how busy the generator was.

        Raises when the system ended or lost sockets.
        """
        if one.has_ended():
            raise RuntimeError(f"{one.system} ended while it was measured")
        if answer["lost"] and one.system.name in OWN:
            raise RuntimeError(f"{one.system} lost {answer['lost']} sockets while measured")
        self.results.busiest = max(self.results.busiest, answer["busy"] / answer["seconds"])

    @staticmethod
    def print_line(text: str, end: str = " ") -> None:
        """Prints progress on the line of its scenario."""
        print(text, end=end, file=sys.stderr, flush=True)


@contextmanager
def _folder() -> Iterator[Path]:
    CACHE.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="run-", dir=CACHE) as folder:
        yield Path(folder)
