"""Writes docs/benchmarks.md and its charts from the kept results."""

from pathlib import Path
from string import Template

from . import charts
from .catalogue import SCENARIOS
from .comparing import compared
from .report import in_short, judged, measured, remarks, sweeps, swept
from .results import Results
from .results_file import Measured, ResultsFile, Run

TEMPLATE = Path(__file__).with_name("page.md")
RESULTS = "benchmarks.json"
PAGE = "benchmarks.md"


def write(results_file: ResultsFile, folder: Path) -> None:
    results = results_file.results()
    drawn = charts.draw(results, folder / charts.FOLDER)
    page = Template(TEMPLATE.read_text())
    (folder / PAGE).write_text(
        page.substitute(
            scenarios=_scenarios(),
            runs=_runs(results_file),
            in_short=in_short(results),
            measured=measured(results),
            targets=judged(results),
            compared=compared(results),
            scaling=_scaling(results, drawn),
            remarks=remarks(results_file),
        )
    )


def _runs(results_file: ResultsFile) -> str:
    """Returns the machine, and each run with results on the page."""
    lines: dict[str, None] = {}
    for run, names in results_file.runs():
        lines |= dict.fromkeys(f"- {line}" for line in run.machine)
        lines[_run(run, names, [results_file.measured[name] for name in names])] = None
    return "\n".join(lines)


def _run(run: Run, names: list[str], measured_then: list[Measured]) -> str:
    minutes = sum(one.took for one in measured_then) / 60
    which = "everything" if len(names) == len(SCENARIOS) else ", ".join(f"`{n}`" for n in names)
    return (
        f"- {run.day}, `{run.command}`: {which} in {minutes:.0f} min, medians of"
        f" {run.rounds} rounds of {run.seconds:g} s; load average of the machine before it began:"
        f" {run.load_average:g}"
    )


def _scaling(results: Results, drawn: list[charts.Chart]) -> str:
    """Returns each table of a varied number, after its chart."""
    parts = []
    for work, what, table in sweeps(results):
        parts += [
            f"![{chart.title}]({charts.FOLDER}/{chart.file})"
            for chart in drawn
            if chart.work == work and what in (None, *chart.whats)
        ]
        parts += [swept(work, what), table]
    return "\n\n".join(parts)


def _scenarios() -> str:
    return "\n".join(
        f"- `{name}`: {' '.join((scenario.__doc__ or '').split())}"
        for name, scenario in SCENARIOS.items()
    )
