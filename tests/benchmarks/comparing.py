"""Compares the product with an earlier checkout (`--before PATH`), in turn."""

from statistics import median

from .results import Results, Row
from .systems import BEFORE, PRODUCT


def compared(results: Results) -> str:
    """Returns a line for each common quantity, with the median of the rounds' ratios."""
    lines = [
        _line(row, results.rows[before])
        for row in results.rows.values()
        if row.quantity.system.name == PRODUCT
        and (before := row.quantity.of(BEFORE)) in results.rows
    ]
    if not lines:
        return ""
    head = [
        "| Work | Server | Measured | Before | Now | Now / before | Min – max | By CPU time |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    return "\n".join([*head, *lines])


def _line(now: Row, before: Row) -> str:
    asked = now.quantity
    at = f", {asked.at:,}" if asked.at is not None else ""
    # A round of one and the same round of the other are seconds apart.
    ratios = _ratios(now.values, before.values)
    by_cpu = _ratios(now.per_cpu, before.per_cpu)
    cells = [
        f"{asked.work}{at}",
        str(asked.system).removeprefix(f"{PRODUCT} on "),
        asked.what,
        f"{before.median:,.4g}",
        f"{now.median:,.4g}",
        f"{median(ratios):.2f}" if ratios else "",
        f"{min(ratios):.2f} – {max(ratios):.2f}" if ratios else "",
        f"{median(by_cpu):.2f}" if by_cpu else "",
    ]
    return f"| {' | '.join(cells)} |"


def _ratios(now: list[float], before: list[float]) -> list[float]:
    return [one / other for one, other in zip(now, before, strict=False) if other]
