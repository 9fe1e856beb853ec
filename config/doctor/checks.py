"""Lists all checks of the doctor, in the order of their output."""

from functools import partial

from .database import check_database, check_database_clock, check_migrations
from .finding import Check
from .followers import check_followers, check_push
from .installation import check_libraries, check_settings, check_static_files
from .redis import check_broadcast, check_redis, check_redis_clocks
from .sockets import check_origin, check_websocket
from .storage import check_storage
from .web import check_bodies, check_health, check_pages, check_processes, check_proxy


def checks(url: str | None) -> list[Check]:
    """Returns the local checks and, with a public URL, those that go through it."""
    local = [
        Check("settings", partial(check_settings, url)),
        Check("database", check_database),
        Check("migrations", check_migrations),
        Check("redis", check_redis),
        Check("broadcast", check_broadcast),
        Check("clock", check_database_clock),
        Check("clock", check_redis_clocks),
        Check("push", check_push),
        Check("followers", check_followers),
        Check("static files", check_static_files),
        Check("storage", check_storage),
        Check("libraries", check_libraries),
    ]
    if url is None:
        return local
    return [
        *local,
        Check("health", partial(check_health, url)),
        Check("proxy", partial(check_proxy, url)),
        Check("processes", partial(check_processes, url)),
        Check("websocket", partial(check_websocket, url)),
        Check("origin", partial(check_origin, url)),
        Check("bodies", partial(check_bodies, url)),
        Check("pages", partial(check_pages, url)),
    ]
