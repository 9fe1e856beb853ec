"""What the sockets of one signed-in user share."""

from dataclasses import dataclass

from .api import Api
from .options import Options
from .outbox import Outbox
from .storage import Storage
from .tokens import Tokens


@dataclass(frozen=True, slots=True)
class Session:
    site: str
    """The server as `ws://host:port`."""
    username: str
    box: str
    """Prefix of the names of outboxes: one user at one server."""
    api: Api
    tokens: Tokens
    storage: Storage
    options: Options

    def outbox(self, room: str) -> Outbox:
        return Outbox(self.storage, f"{self.box}{room}", self.options.max_outbox)
