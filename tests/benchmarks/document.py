"""docs/benchmarks.md and its pictures, written from the results that were kept."""

from pathlib import Path
from string import Template

from . import pictures
from .catalogue import SCENARIOS
from .comparing import compared
from .report import in_short, judged, measured, remarks, sweeps, swept
from .results import Results
from .shelf import Measured, Run, Shelf

TEMPLATE = Path(__file__).with_name("page.md")
RESULTS = "benchmarks.json"
PAGE = "benchmarks.md"


def write(shelf: Shelf, folder: Path) -> None:
    results = shelf.results()
    drawn = pictures.draw(results, folder / pictures.FOLDER)
    page = Template(TEMPLATE.read_text())
    (folder / PAGE).write_text(
        page.substitute(
            scenarios=_scenarios(),
            runs=_runs(shelf),
            in_short=in_short(results),
            measured=measured(results),
            targets=judged(results),
            compared=compared(results),
            scaling=_scaling(results, drawn),
            remarks=remarks(shelf),
        )
    )


def _runs(shelf: Shelf) -> str:
    """The machine, and each run of which something stands on the page."""
    lines: dict[str, None] = {}
    for run, names in shelf.runs():
        lines |= dict.fromkeys(f"- {line}" for line in run.machine)
        lines[_run(run, names, [shelf.measured[name] for name in names])] = None
    return "\n".join(lines)


def _run(run: Run, names: list[str], measured_then: list[Measured]) -> str:
    minutes = sum(one.took for one in measured_then) / 60
    which = "everything" if len(names) == len(SCENARIOS) else ", ".join(f"`{n}`" for n in names)
    return (
        f"- {run.day}, `{run.command}`: {which} in {minutes:.0f} min, medians of"
        f" {run.rounds} rounds of {run.seconds:g} s; load average of the machine before it began:"
        f" {run.load_average:g}"
    )


def _scaling(results: Results, drawn: list[pictures.Picture]) -> str:
    """Each table of something varied, after the picture of it."""
    parts = []
    for work, what, table in sweeps(results):
        parts += [
            f"![{picture.title}]({pictures.FOLDER}/{picture.file})"
            for picture in drawn
            if picture.work == work and what in (None, *picture.whats)
        ]
        parts += [swept(work, what), table]
    return "\n\n".join(parts)


def _scenarios() -> str:
    return "\n".join(
        f"- `{name}`: {(scenario.__doc__ or '').strip()}" for name, scenario in SCENARIOS.items()
    )
