"""The results as tables."""

from collections.abc import Iterable

from .load import SLOW, command
from .results import Results, Row
from .scenarios import ACKNOWLEDGED, IDLE, SIGN_INS, fanout_work
from .systems import PRODUCT
from .targets import ANSWERS, DELIVERIES, TARGETS

IN_SHORT = [
    ("Deliveries/s in a room of 200", fanout_work(200), DELIVERIES),
    ("Deliveries/s in a room of 1,000", fanout_work(1000), DELIVERIES),
    ("Acknowledged messages/s, 100 rooms of 10", ACKNOWLEDGED, ANSWERS),
    ("Sign-ins/s", SIGN_INS, "sign-ins/s"),
    ("Memory of an idle socket, KB", IDLE, "KB a socket"),
]


def tables(results: Results) -> str:
    parts = [_in_short(results), _measured(results), _judged(results), _remarks(results)]
    return "\n\n".join(text for part in parts if (text := "\n".join(part)))


def _in_short(results: Results) -> Iterable[str]:
    """The product's own numbers, a column for each server."""
    own = [row for row in results.rows if row.system.name == PRODUCT]
    servers = list(dict.fromkeys(row.system.server for row in own))
    lines = [
        f"| {name} | {' | '.join(_found(own, work, what, server) for server in servers)} |"
        for name, work, what in IN_SHORT
        if any((row.work, row.what) == (work, what) for row in own)
    ]
    if lines:
        yield f"| | {' | '.join(servers)} |"
        yield f"|---|{'---:|' * len(servers)}"
        yield from lines


def _found(rows: list[Row], work: str, what: str, server: str) -> str:
    found = (
        _number(row.median)
        for row in rows
        if (row.work, row.what, row.system.server) == (work, what, server)
    )
    return next(found, "")


def _measured(results: Results) -> Iterable[str]:
    yield "| Work | System | Measured | Median | Min – max | Per CPU second of the server |"
    yield "|---|---|---|---:|---:|---:|"
    for work in results.works():
        for row in results.rows:
            if row.work == work:
                yield _line(row)


def _line(row: Row) -> str:
    spread = f"{_number(min(row.values))} – {_number(max(row.values))}"
    per_cpu = _number(row.median_per_cpu) if row.per_cpu else ""
    name = f"**{row.system}**" if row.system.name == PRODUCT else str(row.system)
    return f"| {row.work} | {name} | {row.what} | {_number(row.median)} | {spread} | {per_cpu} |"


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _judged(results: Results) -> Iterable[str]:
    lines = [line for target in TARGETS if (line := target.judge(results))]
    if lines:
        yield "| Target | Ratio or value | By CPU time | Wanted | Met |"
        yield "|---|---:|---:|---:|---|"
        yield from lines


def _remarks(results: Results) -> Iterable[str]:
    for name, reason in results.skipped.items():
        yield f"Skipped {name}: {reason}."
    if SLOW in command():
        yield "There was no C compiler: the load came from the slower generator in Python."
    if results.busiest:
        yield f"The load generator was never busier than {results.busiest:.0%} of its core."
