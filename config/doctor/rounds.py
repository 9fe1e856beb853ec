"""All that the doctor looks at, in the order in which it is told."""

from functools import partial

from .database import look_at_database, look_at_database_clock, look_at_migrations
from .finding import Check
from .installation import look_at_libraries, look_at_settings, look_at_static_files
from .redis import look_at_hints, look_at_redis, look_at_redis_clocks
from .sockets import look_at_origins, look_at_upgrade
from .web import look_at_bodies, look_at_health, look_at_pages, look_at_processes, look_at_proxy


def checks(url: str | None) -> list[Check]:
    """Those through the public URL only when there is one."""
    inside = [
        Check("settings", partial(look_at_settings, url)),
        Check("database", look_at_database),
        Check("migrations", look_at_migrations),
        Check("redis", look_at_redis),
        Check("hints", look_at_hints),
        Check("clock", look_at_database_clock),
        Check("clock", look_at_redis_clocks),
        Check("static files", look_at_static_files),
        Check("libraries", look_at_libraries),
    ]
    if url is None:
        return inside
    return [
        *inside,
        Check("health", partial(look_at_health, url)),
        Check("proxy", partial(look_at_proxy, url)),
        Check("processes", partial(look_at_processes, url)),
        Check("websocket", partial(look_at_upgrade, url)),
        Check("origin", partial(look_at_origins, url)),
        Check("bodies", partial(look_at_bodies, url)),
        Check("pages", partial(look_at_pages, url)),
    ]
