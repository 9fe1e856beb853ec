"""One run of the benchmarks: what was asked for, where its files lie, and the interleaving."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from .load import CACHE, Load, Wire
from .processes import Missing
from .results import Results
from .systems import PRODUCT, Room, Running, System, running

NODE = ("socketio", "socketio-insert")
PEERS = ("raw", "standard", "standard-orm", "standard-redis", "standard-pubsub", *NODE)
DAPHNE_PEERS = ("raw", "standard")
"""Those that are worth a look on daphne as well."""
QUICK_PEERS = ("raw", "standard", "socketio-insert")

LATENCY_MEMBERS = 200
MANY_ROOMS = [Room(f"room{number}", 10) for number in range(100)]
DOORS = [Room(f"door{number}", 50) for number in range(20)]
"""The rooms that people sign in to."""


def big_room(members: int) -> Room:
    return Room(f"big{members}", members)


@dataclass
class Bench:
    servers: list[str]
    peers: list[str]
    members: list[int]
    rounds: int
    seconds: float
    quick: bool
    results: Results = field(default_factory=Results)
    load_average: float = field(default_factory=lambda: os.getloadavg()[0])
    _fleet: dict[System, Running] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def systems(self, *, peers: Iterable[str] = PEERS) -> list[System]:
        """The product on each server, then those of `peers` that were asked for."""
        wanted = [name for name in self.peers if name in tuple(peers)]
        return [
            *(System(PRODUCT, server) for server in self.servers),
            *(
                System(name, server)
                for name in wanted
                if name not in NODE
                for server in self.servers
                if server == "uvicorn" or (server == "daphne" and name in DAPHNE_PEERS)
            ),
            *(System(name, "node") for name in wanted if name in NODE),
        ]

    @contextmanager
    def serving(self, system: System, rooms: list[Room]) -> Iterator[Running]:
        """A fresh one of its own, for what must not be touched by other measurements."""
        with _folder() as folder, running(system, rooms, folder) as one:
            yield one

    def fleet(self, systems: Iterable[System]) -> list[Running]:
        """Those of them that can run, kept for the whole run: side by side, idle between turns."""
        for system in systems:
            if system not in self._fleet and system.name not in self.results.skipped:
                try:
                    self._fleet[system] = self._stack.enter_context(
                        running(system, self._rooms(), self._stack.enter_context(_folder()))
                    )
                except Missing as reason:
                    self.results.skipped[system.name] = str(reason)
        return [self._fleet[system] for system in systems if system in self._fleet]

    def _rooms(self) -> list[Room]:
        sizes = sorted({*self.members, LATENCY_MEMBERS})
        return [*(big_room(size) for size in sizes), *MANY_ROOMS, *DOORS]

    def compare(
        self,
        systems: list[System],
        rooms: list[Room],
        measure: Callable[[Running, Load], None],
        wire: Callable[[Running], Wire] | None = None,
    ) -> None:
        """Opens the clients of every system, then measures one after the other, round by round."""
        with ExitStack() as stack:
            loads = []
            for one in self.fleet(systems):
                load = stack.enter_context(one.load(rooms, wire(one) if wire else None))
                answer = load.open()
                if answer["lost"]:
                    raise RuntimeError(f"{one.system} did not let in all: {answer}")
                loads.append((one, load))
            for _ in range(self.rounds):
                for one, load in loads:
                    measure(one, load)

    def closed(self, work: str, counted: str, one: Running, load: Load) -> None:
        """A closed loop; `counted` are its deliveries or its answers."""
        before = one.cpu()
        answer = load.closed(self.seconds / 4, self.seconds)
        spent = one.cpu() - before
        rate = answer[counted] / answer["seconds"]
        per_cpu = answer[f"all_{counted}"] / max(spent, 0.01)
        self.results.add(work, f"{counted}/s", one.system, rate, per_cpu)
        self.results.busiest = max(self.results.busiest, answer["busy"] / answer["seconds"])


@contextmanager
def _folder() -> Iterator[Path]:
    CACHE.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="run-", dir=CACHE) as folder:
        yield Path(folder)
