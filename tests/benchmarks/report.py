"""Formats results as tables."""

from collections.abc import Iterable

from .comparing import compared
from .load import PYTHON_LOAD, command
from .results import Results, Row
from .results_file import ResultsFile
from .scenarios import ACKNOWLEDGED, IDLE, LIVELY, SIGN_INS, fanout_work
from .systems import PRODUCT, System
from .targets import ANSWERS, DELIVERIES, TARGETS

IN_SHORT = [
    ("Deliveries/s in a room of 200", fanout_work(200), DELIVERIES),
    ("Deliveries/s in a room of 1,000", fanout_work(1000), DELIVERIES),
    ("Deliveries/s in a room of 200, 20 of them senders", LIVELY, DELIVERIES),
    ("Acknowledged messages/s, 100 rooms of 10", ACKNOWLEDGED, ANSWERS),
    ("Sign-ins/s", SIGN_INS, "sign-ins/s"),
    ("Memory of an idle socket, KB", IDLE, "KB a socket"),
]


def report(results_file: ResultsFile) -> str:
    """Returns everything, for the terminal."""
    results = results_file.results()
    scaling = "\n\n".join(
        f"{swept(work, what)}\n\n{table}" for work, what, table in sweeps(results)
    )
    tables = [in_short(results), measured(results), scaling, judged(results), compared(results)]
    parts = [*tables, remarks(results_file)]
    return "\n\n".join(part for part in parts if part)


def in_short(results: Results) -> str:
    """Returns the product's numbers, a column for each server."""
    own = [row for row in results.rows.values() if _is_plain(row.quantity.system)]
    servers = list(dict.fromkeys(row.quantity.system.server for row in own))
    lines = [
        f"| {name} | {' | '.join(_found(own, work, what, server) for server in servers)} |"
        for name, work, what in IN_SHORT
        if any((row.quantity.work, row.quantity.what) == (work, what) for row in own)
    ]
    if not lines:
        return ""
    return "\n".join([f"| | {' | '.join(servers)} |", f"|---|{'---:|' * len(servers)}", *lines])


def _is_plain(system: System) -> bool:
    return system == System(PRODUCT, system.server)


def _found(rows: list[Row], work: str, what: str, server: str) -> str:
    found = (
        number(row.median)
        for row in rows
        if (row.quantity.work, row.quantity.what, row.quantity.system.server)
        == (work, what, server)
    )
    return next(found, "")


def measured(results: Results) -> str:
    """Returns all results except the sweeps."""
    rows = [row for row in results.rows.values() if row.quantity.at is None]
    if not rows:
        return ""
    head = [
        "| Work | System | Measured | Median | Min – max | Per CPU second of the server |",
        "|---|---|---|---:|---:|---:|",
    ]
    works = dict.fromkeys(row.quantity.work for row in rows)
    lines = (_line(row) for work in works for row in rows if row.quantity.work == work)
    return "\n".join([*head, *lines])


def _line(row: Row) -> str:
    asked = row.quantity
    spread = f"{number(min(row.values))} – {number(max(row.values))}"
    per_cpu = number(row.median_per_cpu) if row.per_cpu else ""
    return (
        f"| {asked.work} | {_name(asked.system)} | {asked.what} | {number(row.median)}"
        f" | {spread} | {per_cpu} |"
    )


def _name(system: System) -> str:
    return f"**{system}**" if system.name == PRODUCT else str(system)


def sweeps(results: Results) -> Iterable[tuple[str, str | None, str]]:
    """Yields work, counted quantity, and a table with a column for each size.

    A line is a system; a single system's quantities share one table.
    """
    rows = [row for row in results.rows.values() if row.quantity.at is not None]
    for work in dict.fromkeys(row.quantity.work for row in rows):
        these = [row for row in rows if row.quantity.work == work]
        if len({row.quantity.system for row in these}) == 1:
            yield work, None, _sweep(these, these[0].quantity.system)
            continue
        for what in dict.fromkeys(row.quantity.what for row in these):
            yield work, what, _sweep([row for row in these if row.quantity.what == what])


def _sweep(rows: list[Row], only: System | None = None) -> str:
    sizes = sorted({row.quantity.at or 0 for row in rows})
    lines: dict[str, dict[int | None, str]] = {}
    for row in rows:
        name = row.quantity.what if only else _name(row.quantity.system)
        lines.setdefault(name, {})[row.quantity.at] = number(row.median)
    head = f"| {_name(only) if only else ''} | {' | '.join(f'{size:,}' for size in sizes)} |"
    body = (
        f"| {name} | {' | '.join(cells.get(size, '') for size in sizes)} |"
        for name, cells in lines.items()
    )
    return "\n".join([head, f"|---|{'---:|' * len(sizes)}", *body])


def swept(work: str, what: str | None) -> str:
    """Returns the heading above such a table."""
    return f"{work[0].upper()}{work[1:]}{f': {what}' if what else ''}"


def number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    # A difference may be slightly below zero: no "-0.00".
    return f"{value:.1f}" if abs(value) >= 10 else f"{round(value, 2) + 0.0:.2f}"


def judged(results: Results) -> str:
    lines = [line for target in TARGETS if (line := target.judge(results))]
    if not lines:
        return ""
    head = ["| Target | Ratio or value | By CPU time | Wanted | Met |", "|---|---:|---:|---:|---|"]
    return "\n".join([*head, *lines])


def remarks(results_file: ResultsFile) -> str:
    results = results_file.results()
    lines = [f"`{name}` failed {reason}" for name, reason in results_file.failed.items()]
    lines += [f"Skipped {name}: {reason}." for name, reason in results.skipped.items()]
    if PYTHON_LOAD in command():
        lines.append("There was no C compiler: the load came from the slower generator in Python.")
    if results.busiest:
        lines.append(f"The load generator was never busier than {results.busiest:.0%} of its core.")
    return "\n\n".join(lines)
