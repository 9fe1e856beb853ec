"""Resolves the mentions of a batch with one query, or none without an `@`."""

from collections.abc import Iterable, Sequence

from messaging.events import MessageState
from messaging.mentions import (
    NO_MENTIONS,
    Key,
    Mentioned,
    MentionedNames,
    members_by_key,
    members_statement,
    names_in,
    resolve,
    rows_of,
)

from .drafts import Draft
from .room_versions import LockedRoom
from .sql import Rows, no_rows, select


class BatchMentions:
    """Holds the names in a batch's texts, and the members that they mean."""

    def __init__(self, drafts: Sequence[Draft]) -> None:
        texts = {one.content for one in drafts if "@" in one.content}
        self._names: dict[str, MentionedNames] = {text: names_in(text) for text in texts}
        self._fetch: Rows = no_rows
        self._members: dict[Key, int] = {}
        self._rows: list[tuple[int, int | None, int]] = []

    def query(self, drafts: Iterable[Draft]) -> None:
        """Selects the members, in one round trip with the other queries of the batch."""
        keys = {
            key
            for draft in drafts
            if draft.content in self._names
            for key in self._names[draft.content].keys(draft.room_id)
        }
        if keys:
            self._fetch = select(*members_statement(keys))

    def of(self, draft: Draft, room: LockedRoom, role: str | None) -> Mentioned:
        """Returns whom a draft mentions; `role` is its sender's in the room."""
        names = self._names.get(draft.content)
        if names is None:
            return NO_MENTIONS
        self._members |= members_by_key(self._fetch())
        return resolve(names, room.pk, room.kind, role, self._members)

    def note(self, message: MessageState, mentioned: Mentioned) -> None:
        """Remembers the rows of a new message."""
        self._rows += [(message.room_id, user_id, message.seq) for user_id in rows_of(mentioned)]

    def rows(self) -> list[tuple[int, int | None, int]]:
        """Returns the rows of `sql.INSERT_MENTION`."""
        return self._rows
