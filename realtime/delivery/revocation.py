"""Disconnects sockets of ended sessions, lost members and deleted rooms.

`LocalRoom.deliver` holds back frames of a later access epoch until lost members are disconnected.
Replays check the member again (`recovery`).
"""

from collections.abc import Collection

from accounts.kernel.errors import DomainError, SessionEnded
from realtime.errors import Removed

from .hub import Hub, HubObserver
from .local_room import LocalRoom

MAX_ENDED_SESSIONS = 10_000
"""Ended sessions in memory: those that end between the check of a token and the subscription, a few
seconds. The oldest are dropped."""


class Revocation:
    """Disconnects sockets of one process. Runs on their loop."""

    def __init__(self, hub: Hub, observer: HubObserver) -> None:
        self._hub = hub
        self._observer = observer
        # Recently ended sessions: a socket whose token was checked before the end must not
        # subscribe.
        self._ended: dict[int, None] = {}

    def end_sessions(self, session_ids: Collection[int]) -> None:
        """Disconnects the sockets of ended sessions, also those in their handshake."""
        for session_id in session_ids:
            self._ended[session_id] = None
            self._hub.disconnect(list(self._hub.sockets_of_session(session_id)), SessionEnded())
        while len(self._ended) > MAX_ENDED_SESSIONS:
            del self._ended[next(iter(self._ended))]

    def check_session(self, session_id: int) -> None:
        """Raises SessionEnded for a recently ended session. Makes no query."""
        if session_id in self._ended:
            raise SessionEnded

    def disconnect_member(
        self, room_id: int, user_id: int, access_epoch: int, *, removed: bool
    ) -> None:
        """Disconnects a user's sockets in a room after a removal, or after the user left.

        Only those that were checked before this epoch.
        """
        error = Removed() if removed else None  # None: closed with 1000
        room = self._hub.rooms.get(room_id)
        if room is None:
            return
        # A socket of a later epoch belongs to a user who became a member again.
        self._hub.disconnect(
            [one for one in room.subscribers_of(user_id) if one.access_epoch < access_epoch], error
        )
        if access_epoch == room.access_epoch + 1:
            room.access_epoch = access_epoch
            room.fill(())
        elif access_epoch > room.access_epoch:
            self._observer.repair_needed(room)

    def disconnect_lost_members(
        self, room: LocalRoom, checked: Collection[int], members: Collection[int], access_epoch: int
    ) -> None:
        """Disconnects sockets of checked users who are not members at this access epoch."""
        lost = set(checked) - set(members)
        older = [one for one in room.subscribers() if one.access_epoch < access_epoch]
        self._hub.disconnect([one for one in older if one.caller.user_id in lost], Removed())
        for one in older:
            one.access_epoch = access_epoch

    def close_room(self, room_id: int, error: DomainError) -> None:
        room = self._hub.rooms.get(room_id)
        if room is not None:
            self._hub.disconnect(room.subscribers(), error)
