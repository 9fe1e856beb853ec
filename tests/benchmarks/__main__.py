"""`python -m tests.benchmarks [scenario …] [options]`; everything by default."""

import argparse
import logging
import os
import resource
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.servers import ROOT

from . import docs_page, machine_info
from .catalogue import SCENARIOS
from .report import report
from .results import Results
from .results_file import Measured, ResultsFile, Run
from .runner import PEERS, QUICK_PEERS, Runner

log = logging.getLogger(__name__)


def main() -> None:
    options = _arguments().parse_args()
    kept = ResultsFile(options.docs / docs_page.RESULTS)
    failed = False
    if not options.draw:
        results_file = kept if options.keep or options.write else ResultsFile(None)
        failed = _measure_all(options, results_file)
    if options.write or options.draw:
        docs_page.write(kept, options.docs)
    sys.exit(1 if failed else 0)


def _measure_all(options: argparse.Namespace, results_file: ResultsFile) -> bool:
    """Measures, keeps and prints; returns True when a scenario failed."""
    _allow_many_sockets()
    # An ended run must end the processes that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ended"))
    names = options.scenarios or list(SCENARIOS)
    now = ResultsFile(None)
    with _runner(options) as runner:
        run = _run(runner)
        for place, name in enumerate(names, start=1):
            runner.print_line(f"{time.strftime('%H:%M:%S')} {place}/{len(names)} {name} …")
            _measure(name, runner, run, (now, results_file))
    print(report(now))
    return bool(now.failed)


def _measure(name: str, runner: Runner, run: Run, files: tuple[ResultsFile, ...]) -> None:
    """Measures one scenario.

    A failure ends its systems, and the next scenarios start new ones.
    """
    runner.results = Results()
    start = time.monotonic()
    try:
        SCENARIOS[name](runner)
    except Exception as error:
        log.exception("%s failed", name)
        reason = f"{type(error).__name__}: {error}".split("\n", 1)[0][:300]
        for results_file in files:
            results_file.put_failure(name, run, reason)
        runner.end_all()
        word = "FAILED after"
    else:
        for results_file in files:
            results_file.put(name, Measured(run, time.monotonic() - start, runner.results))
        word = "took"
    runner.print_line(f"{word} {time.monotonic() - start:.0f} s", end="\n")


def _runner(options: argparse.Namespace) -> Runner:
    return Runner(
        servers=options.servers.split(","),
        peers=_peers(options.peers, quick=options.quick),
        members=[int(members) for members in options.members.split(",")],
        rounds=options.rounds or (1 if options.quick else 5),
        seconds=options.seconds or (0.6 if options.quick else 1.5),
        quick=options.quick,
        messages=options.messages,
        before=options.before and options.before.resolve(),
    )


def _run(runner: Runner) -> Run:
    return Run(
        day=f"{datetime.now(UTC):%Y-%m-%d}",
        command=" ".join(["python -m tests.benchmarks", *sys.argv[1:]]),
        rounds=runner.rounds,
        seconds=runner.seconds,
        load_average=round(os.getloadavg()[0], 1),
        machine=machine_info.described(),
    )


def _peers(names: str | None, *, quick: bool) -> list[str]:
    if names is None:
        return list(QUICK_PEERS if quick else PEERS)
    named = {"all": ",".join(PEERS), "none": ""}.get(names, names)
    return [name for name in named.split(",") if name]


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        epilog="Scenarios: " + ", ".join(SCENARIOS),
    )
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], metavar="scenario")
    parser.add_argument("--servers", default="uvicorn,daphne")
    parser.add_argument("--peers", help=f"all, none, or some of {','.join(PEERS)}")
    parser.add_argument(
        "--before",
        type=Path,
        metavar="PATH",
        help="another checkout of this project: measured in turn with this one",
    )
    parser.add_argument("--members", default="200,1000", help="room sizes of fanout")
    parser.add_argument("--rounds", type=int, help="medians of this many, 5 by default")
    parser.add_argument("--seconds", type=float, help="length of a round, 1.5 by default")
    parser.add_argument(
        "--messages", type=int, default=100_000, help="size of search, up to 1,000,000"
    )
    parser.add_argument("--quick", action="store_true", help="one short round of everything")
    parser.add_argument(
        "--keep", action="store_true", help=f"keep the results in docs/{docs_page.RESULTS}"
    )
    parser.add_argument(
        "--write", action="store_true", help="keep them, then write the page and the pictures"
    )
    parser.add_argument(
        "--draw",
        action="store_true",
        help="measure nothing: write the page and the pictures from what was kept",
    )
    parser.add_argument(
        "--docs", type=Path, default=ROOT / "docs", help="another folder than docs/ for all that"
    )
    return parser


def _allow_many_sockets() -> None:
    """Raises the limit of open files; servers inherit it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main()
