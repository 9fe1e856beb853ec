"""Is the process up, and may it be given traffic."""

import logging

from channels.layers import get_channel_layer
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

from realtime.shutdown import shutdown

log = logging.getLogger(__name__)

_migrated: list[bool] = []


async def healthz(request: HttpRequest) -> JsonResponse:
    """Up, whatever the database does: for the supervisor that restarts processes."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Ready to serve: the database answers and knows every migration. For load balancers."""
    database = "not asked: going down" if shutdown.leaving else _database()
    layer = type(get_channel_layer()).__name__
    ready = database == "ok"
    answer = {
        "status": "ok" if ready else "unavailable",
        "database": database,
        "channel_layer": layer,
    }
    response = JsonResponse(answer, status=200 if ready else 503)
    if not ready:
        response["Retry-After"] = "1"
    return response


def _database() -> str:
    """The plan of migrations is read from disk: once it is known to be empty it stays so."""
    try:
        if _migrated:
            connection.ensure_connection()
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            return "ok"
        executor = MigrationExecutor(connection)
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error as error:
        log.warning("Not ready, the database does not answer: %s", type(error).__name__)
        return "unreachable"
    if waiting:
        return "migrations missing"
    _migrated.append(True)
    return "ok"
