"""The application: `daphne config.asgi:application`, or uvicorn."""

import gc
import os

from django.core.asgi import get_asgi_application

from .workers import share_metrics

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
share_metrics()
django_application = get_asgi_application()

# Only now are the apps loaded that the rest stands on.
from channels.routing import ProtocolTypeRouter  # noqa: E402

from realtime.routing import sockets  # noqa: E402
from realtime.running import run_on  # noqa: E402
from realtime.servers.daphne_bodies import bound_daphne_bodies  # noqa: E402
from realtime.shutdown import lifespan  # noqa: E402

from .http_guard import HttpGuard  # noqa: E402
from .logs import guard_server_logs  # noqa: E402
from .metrics import keep_sampling  # noqa: E402
from .postgres import bound_work  # noqa: E402
from .sentry import start_sentry  # noqa: E402
from .tracing import traced  # noqa: E402

bound_work()
bound_daphne_bodies()
guard_server_logs()
keep_sampling()
start_sentry()

application = traced(
    ProtocolTypeRouter(
        {
            "http": HttpGuard(django_application, run_on),
            "websocket": sockets,
            "lifespan": lifespan,
        }
    )
)

# What is loaded by now stays for good, and each full collection would walk it all again: a tenth of
# what a sign-in costs.
gc.collect()
gc.freeze()
