"""Numbers messages (`seq`) and changes (`version`) of a locked room.

Edits, deletions, reactions and pins take their version in `messaging.message_changes`, under the
same lock.
"""

from dataclasses import dataclass

from rooms.models import Room


@dataclass(slots=True)
class LockedRoom:
    """Holds the columns of a locked room that a message needs.

    A model instance costs ten times more.
    """

    pk: int
    kind: str
    name: str | None
    low_id: int | None
    high_id: int | None
    last_seq: int
    version: int
    access_epoch: int

    def count_message(self) -> None:
        """Takes the next `seq` and `version`; under the lock, commits come in this order."""
        self.last_seq += 1
        self.version += 1

    def as_model(self) -> Room:
        room = Room(pk=self.pk, kind=self.kind, name=self.name)
        room.low_id, room.high_id, room.access_epoch = self.low_id, self.high_id, self.access_epoch
        return room
