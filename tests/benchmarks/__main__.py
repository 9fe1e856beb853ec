"""`python -m tests.benchmarks [scenario …] [options]`; everything by default."""

import argparse
import resource
import signal
import sys
import time

from .bench import PEERS, QUICK_PEERS, Bench
from .document import write
from .report import tables
from .scenarios import SCENARIOS


def main() -> None:
    options = _arguments().parse_args()
    _allow_many_sockets()
    # So that a run that is ended ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ended"))
    with Bench(
        servers=options.servers.split(","),
        peers=_peers(options.peers, quick=options.quick),
        members=[int(members) for members in options.members.split(",")],
        rounds=options.rounds or (1 if options.quick else 5),
        seconds=options.seconds or (0.6 if options.quick else 2.0),
        quick=options.quick,
    ) as bench:
        for name in options.scenarios or SCENARIOS:
            _measure(name, bench)
    print(tables(bench.results))
    if options.write:
        write(bench)


def _peers(names: str | None, *, quick: bool) -> list[str]:
    if names is None:
        return list(QUICK_PEERS if quick else PEERS)
    named = {"all": ",".join(PEERS), "none": ""}.get(names, names)
    return [name for name in named.split(",") if name]


def _measure(name: str, bench: Bench) -> None:
    start = time.monotonic()
    print(f"{name} …", end=" ", file=sys.stderr, flush=True)
    SCENARIOS[name](bench)
    print(f"{time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], metavar="scenario")
    parser.add_argument("--servers", default="uvicorn,daphne")
    parser.add_argument("--peers", help=f"all, none, or some of {','.join(PEERS)}")
    parser.add_argument("--members", default="200,1000", help="room sizes of fanout")
    parser.add_argument("--rounds", type=int, help="medians of this many, 5 by default")
    parser.add_argument("--seconds", type=float, help="length of a round, 2 by default")
    parser.add_argument("--quick", action="store_true", help="one short round of everything")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    return parser


def _allow_many_sockets() -> None:
    """For the servers, which inherit it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main()
