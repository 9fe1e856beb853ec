"""The parts of this process that belong together, started with the first socket."""

import asyncio

from rooms.presence import provide

from .fanout import Fanout
from .hub import hub
from .presence import Presence
from .repair import Repair
from .shutdown import shutdown

presence = Presence(hub)
repair = Repair(hub)
fanout = Fanout(hub)
provide(presence.online)


def run_on(loop: asyncio.AbstractEventLoop) -> None:
    """Binds the hub to the loop and starts the repair there; nothing happens the second time."""
    if hub.bind(loop):
        repair.start()
        fanout.start()
        shutdown.take_over(loop)
