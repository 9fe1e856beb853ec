"""What a check found, in one plain sentence with the remedy; and how checks are run."""

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
    """No secret may be in a sentence: these lines are sent around when people ask for help."""

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
    """`look` blocks as long as it likes: it gets a thread of its own, and `within` seconds."""

    name: str
    look: Callable[[], Iterable[Finding]]


def findings_of(check: Check, within: float) -> list[Finding]:
    """What it found before it failed or the time was over, and that it did."""
    found: list[Finding] = []
    thread = threading.Thread(target=_look, args=(check, found), daemon=True)
    thread.start()
    thread.join(within)
    if thread.is_alive():
        return [*found, wrong(f"This check had no answer within {within:g} s.")]
    return found


def _look(check: Check, found: list[Finding]) -> None:
    try:
        for finding in check.look():
            found.append(finding)  # noqa: PERF402 - those before a failure are kept
    except Exception as error:  # noqa: BLE001 - one check must not end the others
        # Its type alone: the text of a driver's error may hold an address with its password.
        found.append(wrong(f"This check failed itself ({type(error).__name__})."))


def examine(checks: Iterable[Check], within: float) -> Iterator[tuple[str, Finding]]:
    for check in checks:
        for finding in findings_of(check, within):
            yield check.name, finding
