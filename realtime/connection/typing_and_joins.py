"""Publishes typing and `join`, which are not stored, at most once in an interval."""

from accounts.kernel.errors import RateLimited
from accounts.kernel.rate_limits import consume_locally
from realtime.delivery.local_room import LocalRoom
from realtime.delivery.subscriber import Subscriber
from realtime.protocol.client_frames import Join, Typing
from realtime.protocol.encoding import encode
from realtime.protocol.server_frames import Joined, TypingOut
from realtime.runtime import Runtime

TYPING_INTERVAL = 1.0
JOIN_INTERVAL = 10.0


class TypingAndJoins:
    """Publishes the typing and `join` frames of one subscriber."""

    __slots__ = ("_runtime", "room", "subscriber")

    def __init__(self, runtime: Runtime, subscriber: Subscriber, room: LocalRoom) -> None:
        self._runtime = runtime
        self.room = room
        self.subscriber = subscriber

    def typing(self, frame: Typing) -> None:
        caller = self.subscriber.caller
        if not self.room.announces:
            return
        if not self._may_publish_typing(typing=frame.typing):
            return
        text = encode(
            TypingOut(sender=caller.user_id, username=caller.username, typing=frame.typing)
        )
        self._runtime.broadcaster.send_to_room(
            self.room.id, text, except_user_id=caller.user_id, droppable=True
        )

    def _may_publish_typing(self, *, typing: bool) -> bool:
        """Whether to publish typing: `true` once a second, `false` once after a `true`.

        Raises RateLimited when all sockets of the user send too many.
        """
        user_id = self.subscriber.caller.user_id
        if not typing:
            if not self.room.reset_throttle("typing", user_id):
                return False
        elif not self.room.may_send("typing", user_id, TYPING_INTERVAL):
            return False
        try:
            consume_locally("CHAT_TYPING_RATE", user_id)
        except RateLimited:
            self.room.reset_throttle("typing", user_id)
            raise
        return True

    def join(self, frame: Join) -> None:
        caller = self.subscriber.caller
        self.subscriber.send(encode(Joined(username=caller.username, ref=frame.ref)))
        if self.room.announces and self.room.may_send("join", caller.user_id, JOIN_INTERVAL):
            text = encode(Joined(username=caller.username))
            self._runtime.broadcaster.send_to_room(
                self.room.id, text, except_user_id=caller.user_id
            )
