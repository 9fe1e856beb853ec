"""Runs checks and collects findings: a level and one or two plain sentences."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    Holds no secret: people paste these lines when they ask for help.
    """

    level: Level
    sentence: str


def ok(sentence: str) -> Finding:
    return Finding(Level.OK, sentence)


def warning(sentence: str) -> Finding:
    return Finding(Level.WARNING, sentence)


def wrong(sentence: str) -> Finding:
    return Finding(Level.WRONG, sentence)


@dataclass(frozen=True)
class Check:
    """A named check. `run` may block: it gets its own thread and a timeout."""

    name: str
    run: Callable[[], Iterable[Finding]]


def run_check(check: Check, timeout: float) -> list[Finding]:
    """Returns the findings so far, and one about a failed or slow check."""
    found: list[Finding] = []
    thread = threading.Thread(target=_collect, args=(check, found), daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        return [*found, wrong(f"This check had no answer within {timeout:g} s.")]
    return found


def _collect(check: Check, found: list[Finding]) -> None:
    try:
        for finding in check.run():
            found.append(finding)  # noqa: PERF402 - keeps the findings before a failure
    except Exception as error:  # noqa: BLE001 - a failing check must not stop the others
        # Only the type: the text of a driver's error may hold an address with its password.
        found.append(wrong(f"This check itself failed ({type(error).__name__})."))


def run_checks(checks: Iterable[Check], timeout: float) -> Iterator[tuple[str, Finding]]:
    for check in checks:
        for finding in run_check(check, timeout):
            yield check.name, finding
