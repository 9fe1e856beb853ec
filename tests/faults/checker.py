"""Checks the delivery promise (contract §3) against records and history."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from .history import Room
from .records import Frame, ReceivedFrame, Records, Sent, Session

Rooms = dict[int, Room]
Views = dict[tuple[int, int], list[Frame]]
"""By user and room: the messages that the member's client shows in the end."""
MAX_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Violation:
    check: str
    detail: str


@dataclass(frozen=True, slots=True)
class Evidence:
    records: Records
    rooms: Rooms
    views: Views


Check = Callable[[Evidence], Iterator[str]]


def check(evidence: Evidence) -> list[Violation]:
    return [Violation(one.__name__, detail) for one in CHECKS for detail in one(evidence)]


def report(violations: list[Violation]) -> str:
    """Returns the count of each check with its first few details."""
    lines = []
    for name, count in Counter(one.check for one in violations).items():
        lines.append(f"{name}: {count}")
        shown = [one.detail for one in violations if one.check == name][:MAX_SHOWN]
        lines += [f"    {detail}" for detail in shown]
    return "\n".join(lines) or "no violations"


# Promises to senders


def acknowledged_is_stored(evidence: Evidence) -> Iterator[str]:
    stored = _by_client_id(evidence)
    for sent in evidence.records.sent.values():
        if not sent.answers:
            continue
        found = stored.get((sent.room_id, sent.user_id, sent.client_id), [])
        if not found:
            yield f"{sent.client_id} was acknowledged and is not in history"
        elif wrong := _differs(sent, found[0]):
            yield f"{sent.client_id}: {wrong}"


def _differs(sent: Sent, message: Frame) -> str:
    for answer in sent.answers:
        if (answer.id, answer.seq) != (message["id"], message["seq"]):
            return f"answered {answer}, stored as id {message['id']} seq {message['seq']}"
        if answer.version > message["version"]:
            return f"answered {answer}, stored with version {message['version']}"
    untouched = message["edited_at"] is None and not message["deleted"]
    if untouched and message["content"] != sent.text:
        return f"holds {message['content']!r} instead of {sent.text!r}"
    return ""


def client_id_once(evidence: Evidence) -> Iterator[str]:
    for (_, _, client_id), found in _by_client_id(evidence).items():
        if len(found) > 1:
            yield f"{client_id} made messages {[message['id'] for message in found]}"


def acknowledged_change_is_stored(evidence: Evidence) -> Iterator[str]:
    messages = {
        message["id"]: message for room in evidence.rooms.values() for message in room.history
    }
    for change in evidence.records.changes:
        message = messages.get(change.message_id)
        if change.outcome != "done" or message is None:
            continue
        if change.version is not None and change.version > message["version"]:
            yield f"{change} is newer than what is stored, version {message['version']}"
        if change.kind == "delete" and not message["deleted"]:
            yield f"{change} is undone"


def sender_matches_token(evidence: Evidence) -> Iterator[str]:
    sent = evidence.records.sent
    for room in evidence.rooms.values():
        for message in room.history:
            note = sent.get(message["client_id"] or "")
            if note is None or note.user_id != message["sender"] or note.room_id != room.id:
                yield f"message {message['id']} of user {message['sender']} was sent by {note}"
    for _, one in _all_received(evidence):
        note = sent.get(one.client_id or "")
        if note is None or note.user_id != one.sender:
            yield f"{one} was sent by {note}"


# Counters


def seq_without_gap(evidence: Evidence) -> Iterator[str]:
    for room in evidence.rooms.values():
        seqs = [message["seq"] for message in room.history]
        if seqs != list(range(1, room.last_seq + 1)):
            yield f"room {room.id}, last_seq {room.last_seq}: {len(seqs)} messages, {_gaps(seqs)}"


def version_without_gap(evidence: Evidence) -> Iterator[str]:
    """Each version was seen, except one for each change whose answer was lost."""
    seen = _seen_versions(evidence)
    for room in evidence.rooms.values():
        versions = [message["version"] for message in room.history]
        if len(set(versions)) != len(versions) or max(versions, default=0) > room.version:
            yield f"room {room.id}, version {room.version}: history repeats or exceeds versions"
        unseen = set(range(1, room.version + 1)) - seen[room.id]
        lost = sum(
            change.room_id == room.id and change.outcome == "lost"
            for change in evidence.records.changes
        )
        if len(unseen) > lost:
            yield f"room {room.id}: {sorted(unseen)[:20]} were never seen, {lost} changes unknown"
        if above := {version for version in seen[room.id] if version > room.version}:
            yield f"room {room.id}: {sorted(above)[:20]} seen above the room's {room.version}"


def version_is_one_state(evidence: Evidence) -> Iterator[str]:
    """A version has one state for all clients: it is not reused after a lost commit."""
    first: dict[tuple[int, int], tuple[int, str]] = {}
    for session, one in _all_received(evidence):
        state = (one.id, one.content)
        known = first.setdefault((session.room_id, one.version), state)
        if known != state:
            yield f"room {session.room_id} version {one.version}: {known} and {state}"


# Received frames


def received_is_stored(evidence: Evidence) -> Iterator[str]:
    stored = {room.id: room.by_id for room in evidence.rooms.values()}
    missing = set()
    for session, one in _all_received(evidence):
        message = stored[session.room_id].get(one.id)
        if (
            message is None
            or message["version"] < one.version
            or (message["seq"], message["client_id"]) != (one.seq, one.client_id)
        ):
            missing.add((session.room_id, one.id, one.version, one.client_id))
    for room_id, pk, version, client_id in sorted(missing, key=str):
        received = f"message {pk} ({client_id}) version {version}"
        yield f"room {room_id}: {received} was received, not stored"


def versions_rise(evidence: Evidence) -> Iterator[str]:
    for session in evidence.records.sessions:
        for stretch in _stretches(session):
            for before, after in pairwise(stretch):
                if after.version <= before.version:
                    yield f"{_named(session)}: {after.version} after {before.version}"


def message_once(evidence: Evidence) -> Iterator[str]:
    """A `resume` may repeat earlier messages, but none that it replayed itself."""
    for session in evidence.records.sessions:
        stretches = _stretches(session)
        again = len(session.resumes) if len(stretches) == 1 else 0
        for stretch in stretches:
            came: dict[int, list[int]] = defaultdict(list)
            for number, one in enumerate(stretch):
                if one.type == "message":
                    came[one.id].append(number)
            for pk, numbers in came.items():
                allowed = 1 + (again if numbers[-1] < session.resumed else 0)
                if len(numbers) > allowed:
                    at = [stretch[number].version for number in numbers]
                    yield f"{_named(session)}: message {pk} came as new at versions {at}"


def nothing_left_out(evidence: Evidence) -> Iterator[str]:
    """A socket receives every current version between its first and its last."""
    for session in evidence.records.sessions:
        if session.complete_from is None or not session.received:
            continue
        until = max(one.version for one in session.received)
        got = {one.version for one in session.received}
        missed = [
            message["version"]
            for message in evidence.rooms[session.room_id].history
            if session.complete_from < message["version"] <= until and message["version"] not in got
        ]
        if missed:
            yield f"{_named(session)} from {session.complete_from}: missed {sorted(missed)[:20]}"


def views_equal_history(evidence: Evidence) -> Iterator[str]:
    for (user_id, room_id), view in evidence.views.items():
        history = evidence.rooms[room_id].history
        if view != history:
            yield f"user {user_id} in room {room_id}: {_first_difference(view, history)}"


def _first_difference(view: list[Frame], history: list[Frame]) -> str:
    for shown, stored in zip(view, history, strict=False):
        if shown != stored:
            keys = [key for key in stored if shown.get(key) != stored[key]]
            places = [(one["seq"], one["version"]) for one in (shown, stored)]
            return f"shows and has stored (seq, version) {places}, other {keys}"
    return f"shows {len(view)} of {len(history)} messages"


def removed_member_receives_nothing(evidence: Evidence) -> Iterator[str]:
    for removal in evidence.records.removals:
        for session in evidence.records.sessions:
            if (session.user_id, session.room_id) != (removal.user_id, removal.room_id):
                continue
            late = [
                one.version
                for one in session.received
                if one.version > removal.version and removal.begun < one.at < removal.added
            ]
            if late:
                yield f"{_named(session)} received {late[:10]} after removal at {removal.version}"
            if removal.begun < session.opened < removal.added and session.ready > removal.version:
                yield f"{_named(session)} was admitted after removal at {removal.version}"


def no_unforeseen_error(evidence: Evidence) -> Iterator[str]:
    yield from evidence.records.errors


CHECKS: list[Check] = [
    acknowledged_is_stored,
    client_id_once,
    acknowledged_change_is_stored,
    sender_matches_token,
    seq_without_gap,
    version_without_gap,
    version_is_one_state,
    received_is_stored,
    versions_rise,
    message_once,
    nothing_left_out,
    views_equal_history,
    removed_member_receives_nothing,
    no_unforeseen_error,
]


# Helpers


def _by_client_id(evidence: Evidence) -> dict[tuple[int, int, str], list[Frame]]:
    found: dict[tuple[int, int, str], list[Frame]] = defaultdict(list)
    for room in evidence.rooms.values():
        for message in room.history:
            found[room.id, message["sender"], message["client_id"] or ""].append(message)
    return found


def _all_received(evidence: Evidence) -> Iterator[tuple[Session, ReceivedFrame]]:
    for session in evidence.records.sessions:
        for one in session.received:
            yield session, one


def _seen_versions(evidence: Evidence) -> dict[int, set[int]]:
    seen: dict[int, set[int]] = defaultdict(set)
    for session, one in _all_received(evidence):
        seen[session.room_id].add(one.version)
    for sent in evidence.records.sent.values():
        seen[sent.room_id].update(answer.version for answer in sent.answers)
    for change in evidence.records.changes:
        if change.version is not None:
            seen[change.room_id].add(change.version)
    for room_id, version in evidence.records.read:
        seen[room_id].add(version)
    return seen


def _stretches(session: Session) -> list[list[ReceivedFrame]]:
    """Splits frames where a `resume` goes back: its replay is a stretch of its own."""
    edges = sorted({*session.resumes})
    stretches, begun = [], 0
    for edge in edges:
        back = _goes_back(session.received, edge)
        if back is not None:
            stretches.append(session.received[begun:back])
            begun = back
    return [*stretches, session.received[begun:]]


def _goes_back(frames: list[ReceivedFrame], start: int) -> int | None:
    for number in range(max(1, start), len(frames)):
        if frames[number].version <= frames[number - 1].version:
            return number
    return None


def _gaps(numbers: list[int]) -> str:
    doubled = [number for number, count in Counter(numbers).items() if count > 1]
    missing = sorted(set(range(1, max(numbers, default=0) + 1)) - set(numbers))
    return f"missing {missing[:10]}, doubled {doubled[:10]}"


def _named(session: Session) -> str:
    age = time.monotonic() - session.opened
    return f"socket of user {session.user_id} in room {session.room_id} (opened {age:.1f} s ago)"
