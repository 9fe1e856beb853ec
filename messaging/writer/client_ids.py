"""Recognises a repeated send by its `client_id` (contract §2).

The same content answers with the earlier message, as it is now; other content is refused.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from messaging.errors import ClientIdReused
from messaging.events import MessageState
from messaging.models import Message
from messaging.quotes import quotes_of
from messaging.selectors import state_of

from .drafts import Draft, Sent
from .room_versions import LockedRoom


def digest_of(text: str, reply_to: int | None, attachments: Sequence[int] = ()) -> str:
    """Hashes what a `client_id` identifies, to compare a repeat with the first send."""
    payload = json.dumps([text, reply_to, *attachments], ensure_ascii=True)
    return hashlib.sha256(payload.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class EarlierSend:
    """The message of an already used `client_id`, with the digest of its content."""

    digest: str
    message: MessageState


class EarlierSends:
    """Holds what was sent with the `client_id`s of a batch, before it and in it.

    `message_ids` come from `sql.used_client_ids`.
    """

    def __init__(self, message_ids: Collection[int], rooms: Mapping[int, LockedRoom]) -> None:
        self._sends: dict[tuple[int, int, str], EarlierSend] = {}
        if not message_ids:
            return
        rows = Message.objects.select_related("sender").in_bulk(message_ids).values()
        quotes = quotes_of(row.reply_to for row in rows)
        for row in rows:
            room = rooms.get(row.room_id)
            if room is not None:
                key = row.room_id, row.sender_id, row.client_id or ""
                state = state_of(row, room.as_model(), quotes)
                self._sends[key] = EarlierSend(row.client_digest, state)

    def repeated(self, draft: Draft) -> Sent | None:
        """Returns the earlier send of a draft, if any. Raises ClientIdReused."""
        if draft.client_id is None:
            return None
        earlier = self._sends.get((draft.room_id, draft.user_id, draft.client_id))
        if earlier is None:
            return None
        if earlier.digest != draft.digest:
            raise ClientIdReused
        return Sent(earlier.message, duplicate=True)

    def note(self, draft: Draft, message: MessageState) -> None:
        """Remembers a message of this batch for further drafts of it."""
        if draft.client_id is not None:
            key = draft.room_id, draft.user_id, draft.client_id
            self._sends[key] = EarlierSend(draft.digest, message)
