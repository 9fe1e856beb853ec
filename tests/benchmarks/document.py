"""docs/benchmarks.md: the results of this run, with the machine that they are of."""

import os
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from string import Template

from tests.servers import ROOT

from .bench import Bench
from .report import tables
from .scenarios import SCENARIOS

TEMPLATE = Path(__file__).with_name("page.md")
FILE = ROOT / "docs" / "benchmarks.md"
PACKAGES = ("django", "channels", "channels-redis", "daphne", "uvicorn", "uvloop", "websockets")


def write(bench: Bench) -> None:
    page = Template(TEMPLATE.read_text())
    FILE.write_text(
        page.substitute(
            scenarios=_scenarios(),
            machine=_machine(),
            run=_run(bench),
            tables=tables(bench.results),
        )
    )


def _machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    lines = [
        f"{os.cpu_count()} × {_processor()}, {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, {packages}",
    ]
    node = shutil.which("node")
    if node:
        done = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
        lines.append(f"Node {done.stdout.strip().removeprefix('v')}")
    return "\n".join(f"- {line}" for line in lines)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _run(bench: Bench) -> str:
    command = " ".join(["python -m tests.benchmarks", *sys.argv[1:]])
    return (
        f"- {datetime.now(UTC):%Y-%m-%d}, `{command}`: medians of {bench.rounds} rounds"
        f" of {bench.seconds:g} s\n"
        f"- Load average of the machine before it began: {bench.load_average:.1f}"
    )


def _scenarios() -> str:
    return "\n".join(
        f"- `{name}`: {(scenario.__doc__ or '').strip()}" for name, scenario in SCENARIOS.items()
    )
