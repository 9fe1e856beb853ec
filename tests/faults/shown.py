"""What clients show in the end, compared with the history."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from chat_backend_client import Message

from .checker import Violation

MAX_NAMED = 3


class ShownMessage(NamedTuple):
    id: int
    seq: int
    version: int
    text: str
    deleted: bool

    @classmethod
    def of(cls, message: Message) -> "ShownMessage":
        return cls(message.id, message.seq, message.version, message.content, message.deleted)


@dataclass(frozen=True, slots=True)
class Shown:
    """`order`: the `seq` of each new message as the app received it; `changed`: the states
    that an app has which only applied what it received. Python clients alone note these two.
    """

    client: str
    messages: list[ShownMessage]
    sent: list[str]
    """What the client sent, in this order: client ids, or texts."""
    order: list[int] | None = None
    changed: list[ShownMessage] | None = None


def check_shown(shown: Shown, history: list[ShownMessage]) -> Iterator[Violation]:
    """A client shows what the history has: nothing missing, twice, misplaced or outdated."""
    yield from _check_list(shown.client, shown.messages, history)
    if shown.order is not None and shown.order != [one.seq for one in history]:
        wrong = [seq for seq, count in Counter(shown.order).items() if count > 1]
        detail = f"received {len(shown.order)} of {len(history)}, twice of {wrong[:MAX_NAMED]}"
        yield Violation("received_in_order", f"{shown.client}: {detail}")
    if shown.changed is not None and sorted(shown.changed, key=_seq) != history:
        yield from _outdated(f"{shown.client}, as received", shown.changed, history)


def _check_list(
    client: str, messages: list[ShownMessage], history: list[ShownMessage]
) -> Iterator[Violation]:
    seqs = [one.seq for one in messages]
    stored = {one.seq for one in history}
    missing = sorted(stored - set(seqs))
    doubled = [seq for seq, count in Counter(seqs).items() if count > 1]
    if missing:
        yield Violation("lost", f"{client}: {len(missing)} missing, {missing[:MAX_NAMED]}")
    if doubled:
        yield Violation("duplicated", f"{client}: {len(doubled)} twice, {doubled[:MAX_NAMED]}")
    if seqs != sorted(seqs):
        yield Violation("misordered", client)
    yield from _outdated(client, messages, history)


def _outdated(
    client: str, messages: list[ShownMessage], history: list[ShownMessage]
) -> Iterator[Violation]:
    stored = {one.seq: one for one in history}
    wrong = [one for one in messages if stored.get(one.seq) != one]
    if wrong:
        first = wrong[0]
        detail = f"{len(wrong)} differ: {first} instead of {stored.get(first.seq)}"
        yield Violation("outdated", f"{client}: {detail}")


def check_sent(client: str, wanted: list[str], stored: list[str]) -> Iterator[Violation]:
    """What a client sent is stored once each, in the order of sending."""
    lost = [one for one in wanted if one not in set(stored)]
    doubled = [one for one, count in Counter(stored).items() if count > 1]
    if lost:
        yield Violation("never_stored", f"{client}: {len(lost)}, {lost[:MAX_NAMED]}")
    if doubled:
        yield Violation("stored_twice", f"{client}: {len(doubled)}, {doubled[:MAX_NAMED]}")
    if not lost and not doubled and wanted != stored:
        yield Violation("stored_out_of_order", client)


def _seq(message: ShownMessage) -> int:
    return message.seq
