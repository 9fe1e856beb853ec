"""The parts of this process that belong together, started with the first socket."""

import asyncio
import logging
import multiprocessing

from django.conf import settings

from rooms.presence import provide

from .checks import HINT, NO_LAYER
from .fanout import Fanout
from .hub import hub
from .presence import Presence
from .repair import Repair
from .shutdown import shutdown

log = logging.getLogger(__name__)

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
        if multiprocessing.parent_process() is not None and not settings.REDIS_URLS:
            log.warning("%s %s", NO_LAYER, HINT)
