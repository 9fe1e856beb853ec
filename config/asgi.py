"""The ASGI application for daphne (`daphne config.asgi:application`) and uvicorn."""

import gc
import logging
import os
from importlib import import_module

from django.core.asgi import get_asgi_application

from .observability.shared_metrics import share_metrics

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Until the end of this module: collections while modules load free nothing, and took 0.1 s of the
# 1.3 s that a start costs.
gc.disable()
share_metrics()
django_application = get_asgi_application()

# These imports need loaded apps.
from channels.routing import ProtocolTypeRouter  # noqa: E402
from django.conf import settings  # noqa: E402

from realtime.library_versions import report_unfamiliar_libraries  # noqa: E402
from realtime.routing import sockets  # noqa: E402
from realtime.runtime import runtime  # noqa: E402
from realtime.servers.detect import bound_http  # noqa: E402

from .api_handler import ApiHandler, by_path  # noqa: E402
from .followers import with_followers  # noqa: E402
from .health import check_migrations_at_start  # noqa: E402
from .http_guard import HttpGuard  # noqa: E402
from .observability.logs import guard_server_logs  # noqa: E402
from .observability.metrics import start_sampling  # noqa: E402
from .observability.request_ids import traced  # noqa: E402
from .observability.sentry import start_sentry  # noqa: E402
from .postgres import bound_work  # noqa: E402
from .secret_key import DEVELOPMENT_KEY  # noqa: E402

# Django would load the URLs, and with them the models of the whole API, with the first request: on
# the event loop, where it stopped all sockets for 0.7 s.
import_module(settings.ROOT_URLCONF)
bound_work()
guard_server_logs()
start_sampling()
start_sentry()
bound_http(runtime.open_connections, runtime.unfinished_bodies, runtime.uploads)
report_unfamiliar_libraries()
if settings.SECRET_KEY == DEVELOPMENT_KEY:
    logging.getLogger(__name__).warning(
        "SECRET_KEY is not set, so the published development key signs all tokens: anybody can make"
        " one for any user. Set SECRET_KEY unless only this machine can reach this server."
    )

application = with_followers(
    traced(
        ProtocolTypeRouter(
            {
                "http": HttpGuard(by_path(ApiHandler(), django_application)),
                "websocket": sockets,
                "lifespan": runtime.lifecycle.lifespan,
            }
        )
    )
)

# Loaded modules stay in memory. Without the freeze each full collection walks them again, which is
# a tenth of the cost of a sign-in.
gc.collect()
gc.freeze()
gc.enable()
check_migrations_at_start()
